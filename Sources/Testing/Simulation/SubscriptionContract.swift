internal import Base
internal import EventSourcing

/// What every `CompetingSubscription` promises.
package enum SubscriptionContract {
    /// All cases.
    package static let cases: [ContractCase] = delivering + givingBack + takingOver + crowds

    static func member(
        _ log: any EventLog, _ instance: String = "one", _ number: Int = 0, group: String = "work",
        types: Set<String> = ["Sampled"]
    ) throws -> any CompetingSubscription {
        try log.join(group: group, consumer: ConsumerName(instance: instance, number: number), types: types)
    }

    static func append(_ log: any EventLog, _ range: Range<Int>, type: String = "Sampled") throws {
        let store = try log.open()
        let outcomes = try store.append(
            range.map {
                AppendBatch(
                    to: "key-\($0 % 23)", expecting: .any,
                    [SampleEvents.event("\(type)-\($0)", type: type, number: $0)])
            })
        for outcome in outcomes {
            guard case .appended = outcome else { throw ContractViolation(description: "\(outcome)") }
        }
    }

    /// Takes deliveries until `count` came; nothing in three seconds is a violation.
    static func take(
        _ count: Int, from subscription: any CompetingSubscription, limit: Int = 10,
        each: (Delivery) throws -> Void = { _ in }
    ) throws -> [Delivery] {
        var taken: [Delivery] = []
        var quiet = 0
        while taken.count < count {
            let batch = try subscription.next(limit: limit, waitMilliseconds: 100)
            try expect(batch.count <= limit, "\(batch.count) deliveries for a limit of \(limit)")
            quiet = batch.isEmpty ? quiet + 1 : 0
            try expect(quiet < 60, "only \(taken.count) of \(count) deliveries came")
            for delivery in batch { try each(delivery) }
            taken += batch
        }
        try expectEqual(taken.count, count, "deliveries")
        return taken
    }

    static func expectNothing(_ subscription: any CompetingSubscription) throws {
        let batch = try subscription.next(limit: 10, waitMilliseconds: 50)
        try expectEqual(batch.map(\.event.id), [], "further deliveries")
    }

    private static let delivering = [
        ContractCase("a new group gets the whole log, each event once, then what is new") { log in
            try append(log, 0..<70)
            let subscription = try member(log)
            let first = try take(70, from: subscription, limit: 100)
            try expectEqual(Set(first.map(\.event.id)), Set((0..<70).map { "Sampled-\($0)" }), "ids")
            try expect(first.allSatisfy { $0.attempt == 1 }, "a first delivery is attempt 1")
            try subscription.acknowledge(first.map(\.event.position))
            try append(log, 70..<75)
            let second = try take(5, from: subscription)
            try expectEqual(Set(second.map(\.event.id)), Set((70..<75).map { "Sampled-\($0)" }), "new ids")
            try expectNothing(subscription)
        },
        ContractCase("a delivery is the event as it stands in the log") { log in
            try append(log, 0..<3)
            let subscription = try member(log)
            let store = try log.open()
            for delivery in try take(3, from: subscription, limit: 1) {
                let event = delivery.event
                try expectEqual(
                    try store.load(event.partitionKey, after: event.sequence - 1, limit: 1), [event], "event")
            }
        },
        ContractCase("other types are not delivered and do not stay pending") { log in
            try append(log, 0..<40, type: "Other")
            try append(log, 0..<5)
            let subscription = try member(log)
            let deliveries = try take(5, from: subscription, limit: 3)
            try expect(deliveries.allSatisfy { $0.event.type == "Sampled" }, "only the type asked for")
            try expectNothing(subscription)
        },
        ContractCase("groups do not disturb each other") { log in
            try append(log, 0..<20)
            let a = try member(log, group: "a")
            let b = try member(log, group: "b")
            try a.acknowledge(try take(20, from: a).map(\.event.position))
            _ = try take(20, from: b)
        },
        ContractCase("an empty log answers an empty batch after the wait") { log in
            let subscription = try member(log)
            try expectEqual(try subscription.next(limit: 5, waitMilliseconds: 30), [], "deliveries")
            try expectEqual(try subscription.next(limit: 5, waitMilliseconds: 0), [], "deliveries")
        },
        ContractCase("without waiting everything that is there still comes") { log in
            try append(log, 0..<50)
            let subscription = try member(log)
            var ids: Set<String> = []
            while true {
                let batch = try subscription.next(limit: 3, waitMilliseconds: 0)
                if batch.isEmpty { break }
                ids.formUnion(batch.map(\.event.id))
            }
            try expectEqual(ids.count, 50, "deliveries")
        },
        ContractCase("a busy partition does not starve the others") { log in
            let store = try log.open()
            let busy = SampleEvents.key(in: 0, of: store.partitioning)
            let calm = SampleEvents.key(in: store.partitioning.count - 1, of: store.partitioning)
            _ = try store.append((0..<500).map { SampleEvents.event("b\($0)") }, to: busy, expecting: .any)
            _ = try store.append([SampleEvents.event("calm")], to: calm, expecting: .any)
            let subscription = try member(log)
            var before = 0
            while true {
                let batch = try subscription.next(limit: 4, waitMilliseconds: 0)
                try expect(!batch.isEmpty, "the calm partition's event never came")
                if batch.contains(where: { $0.event.id == "calm" }) { break }
                before += batch.count
            }
            try expect(before <= 100, "\(before) events of the busy partition came first")
        },
        ContractCase("members of a group share the events, none is given to two") { log in
            try append(log, 0..<300)
            let liveness = try log.liveness()
            try liveness.beat(ConsumerName.mark(ofInstance: "one"), forMilliseconds: 60_000)
            let seen = Tally(300)
            try concurrently(4) { number in
                let subscription = try member(log, "one", number)
                while true {
                    let batch = try subscription.next(limit: 7, waitMilliseconds: 50)
                    if batch.isEmpty { return }
                    for delivery in batch {
                        seen.add(Int(delivery.event.id.dropFirst("Sampled-".count)) ?? 0)
                    }
                    try subscription.acknowledge(batch.map(\.event.position))
                }
            }
            try expectEqual(seen.counts, Array(repeating: 1, count: 300), "deliveries by event")
        },
    ]

    private static let givingBack = [
        ContractCase("an event that is handed back comes again, counted, and not before its time") { log in
            try append(log, 0..<2)
            let subscription = try member(log)
            let first = try take(2, from: subscription)
            // Timed, not looked for in between: a slow machine may be late, but nothing is early.
            let asked = ContinuousClock.now
            try subscription.retry(first[0], afterMilliseconds: 150)
            try subscription.acknowledge([first[1].event.position])
            let again = try take(1, from: subscription)
            let waited = ContinuousClock.now - asked
            try expect(waited >= .milliseconds(149), "it came after \(waited)")
            try expectEqual(again[0].event, first[0].event, "event")
            try expectEqual(again[0].attempt, 2, "attempt")
            try subscription.retry(again[0], afterMilliseconds: 0)
            try expectEqual(try take(1, from: subscription)[0].attempt, 3, "attempt")
        },
        ContractCase("an event that was set aside does not come again") { log in
            try append(log, 0..<3)
            let subscription = try member(log)
            let deliveries = try take(3, from: subscription)
            let reason = ParkedReason(
                stage: "work", errors: ["it \"broke\"", "because"], attempts: 3,
                time: Timestamp(milliseconds: 1_700_000_000_000))
            try subscription.park(deliveries[0], reason)
            try subscription.acknowledge(deliveries[1...].map(\.event.position))
            try expectNothing(subscription)
            try expectNothing(try member(log, "two"))
        },
        ContractCase("failed tries are counted across members, until the event is acknowledged or parked") {
            log in
            try append(log, 0..<2)
            let first = try member(log)
            let deliveries = try take(2, from: first)
            try expectEqual(try first.countTry(of: deliveries[0]), 1, "first try")
            try expectEqual(try first.countTry(of: deliveries[0]), 2, "second try")
            try expectEqual(try first.countTry(of: deliveries[1]), 1, "tries of another event")
            // Another member of the group, as after a restart.
            let second = try member(log, "two")
            try expectEqual(try second.countTry(of: deliveries[0]), 3, "third try")
            try second.acknowledge([deliveries[0].event.position])
            try second.countTryStartsAgain(deliveries[0])
            try first.park(
                deliveries[1],
                ParkedReason(stage: "work", errors: ["no"], attempts: 1, time: SystemClock().now()))
            try first.countTryStartsAgain(deliveries[1])
        },
        ContractCase("acknowledging twice, or what is not pending, is no error") { log in
            try append(log, 0..<1)
            let subscription = try member(log)
            let delivery = try take(1, from: subscription)[0]
            for _ in 0..<2 { try subscription.acknowledge([delivery.event.position]) }
            try subscription.acknowledge([])
            try subscription.acknowledge([.start(of: 0)])
            try expectNothing(subscription)
        },
    ]

    private static let takingOver = [
        ContractCase("what a member left pending goes to another once its process is not alive") { log in
            try append(log, 0..<12)
            let liveness = try log.liveness()
            let mark = ConsumerName.mark(ofInstance: "dying")
            try liveness.beat(mark, forMilliseconds: 60_000)
            let dying = try member(log, "dying")
            let deliveries = try take(12, from: dying, limit: 12)
            try dying.acknowledge(deliveries[..<2].map(\.event.position))
            let heir = try member(log, "heir")
            try expectNothing(heir)
            try liveness.end(mark)
            let inherited = try take(10, from: heir, limit: 4)
            try expectEqual(
                Set(inherited.map(\.event.position)), Set(deliveries[2...].map(\.event.position)), "inherited"
            )
            try expect(inherited.allSatisfy { $0.attempt == 2 }, "a redelivery is attempt 2")
            try heir.acknowledge(inherited.map(\.event.position))
            try expectNothing(heir)
        },
        ContractCase("the same member after a restart gets its own pending events first") { log in
            try append(log, 0..<8)
            let liveness = try log.liveness()
            try liveness.beat(ConsumerName.mark(ofInstance: "same"), forMilliseconds: 60_000)
            let before = try member(log, "same")
            let deliveries = try take(5, from: before, limit: 5)
            let after = try member(log, "same")
            let again = try take(5, from: after, limit: 5)
            try expectEqual(
                Set(again.map(\.event.position)), Set(deliveries.map(\.event.position)), "own pending")
            try expect(again.allSatisfy { $0.attempt >= 2 }, "a redelivery is attempt 2")
            _ = try take(3, from: after, limit: 5)
        },
    ]
}

extension CompetingSubscription {
    fileprivate func countTryStartsAgain(_ delivery: Delivery) throws {
        try expectEqual(try countTry(of: delivery), 1, "a try after the count ended")
    }
}
