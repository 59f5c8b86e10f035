internal import Base
internal import EventSourcing

/// Many groups, many members, and members that come and go.
extension SubscriptionContract {
    /// Keeps a process of the group alive, or ends it.
    private static func mark(_ log: any EventLog, _ instance: String, isAlive: Bool) throws {
        let mark = ConsumerName.mark(ofInstance: instance)
        let liveness = try log.liveness()
        if isAlive {
            try liveness.beat(mark, forMilliseconds: 60_000)
        } else {
            try liveness.end(mark)
        }
    }

    private static func number(_ delivery: Delivery) -> Int {
        Int(delivery.event.id.dropFirst("Sampled-".count)) ?? 0
    }

    /// Takes and acknowledges until `count` different events were seen; nothing for a while is a violation.
    private static func drain(
        _ subscription: any CompetingSubscription, until count: Int, _ seen: inout Set<Int>
    ) throws {
        var quiet = 0
        while seen.count < count {
            let batch = try subscription.next(limit: 20, waitMilliseconds: 100)
            quiet = batch.isEmpty ? quiet + 1 : 0
            try expect(quiet < 60, "only \(seen.count) of \(count) events came")
            seen.formUnion(batch.map(number))
            try subscription.acknowledge(batch.map(\.event.position))
        }
    }

    static let crowds = [
        ContractCase("members of several processes share what several writers append meanwhile") { log in
            let (writers, readers, each) = (3, 6, 60)
            let total = writers * each
            for reader in 0..<readers { try mark(log, "process-\(reader / 2)", isAlive: true) }
            let seen = Tally(total)
            let left = Monitor(total)
            try concurrently(writers + readers) { thread in
                if thread < writers {
                    for number in (thread * each)..<((thread + 1) * each) {
                        try append(log, number..<(number + 1))
                    }
                    return
                }
                let reader = thread - writers
                let subscription = try member(log, "process-\(reader / 2)", reader % 2)
                var quiet = 0
                while left.with({ $0 }) > 0 {
                    let batch = try subscription.next(limit: 9, waitMilliseconds: 50)
                    quiet = batch.isEmpty ? quiet + 1 : 0
                    try expect(quiet < 200, "\(left.with { $0 }) events never came")
                    for delivery in batch { seen.add(number(delivery)) }
                    try subscription.acknowledge(batch.map(\.event.position))
                    left.with { $0 -= batch.count }
                }
            }
            try expectEqual(seen.counts, Array(repeating: 1, count: total), "deliveries by event")
        },
        ContractCase("many groups at once, early and late ones, each get everything") { log in
            try append(log, 0..<25)
            try mark(log, "one", isAlive: true)
            let groups = 8
            try concurrently(groups + 1) { thread in
                if thread == groups { return try append(log, 25..<50) }
                var seen: Set<Int> = []
                try drain(try member(log, group: "group-\(thread)"), until: 50, &seen)
            }
            var late: Set<Int> = []
            try drain(try member(log, group: "late"), until: 50, &late)
        },
        ContractCase("members that join and go at once, without taking anything, lose nothing") { log in
            try append(log, 0..<10)
            try concurrently(8) { thread in
                try mark(log, "brief-\(thread)", isAlive: true)
                let subscription = try member(log, "brief-\(thread)")
                // Half of them are given something, and go without a word about it.
                if thread % 2 == 0 { _ = try subscription.next(limit: 2, waitMilliseconds: 0) }
                try mark(log, "brief-\(thread)", isAlive: false)
            }
            try append(log, 10..<30)
            var seen: Set<Int> = []
            try drain(try member(log, "last"), until: 30, &seen)
        },
        ContractCase("one member after the other takes a part and goes, and nothing is lost") { log in
            try append(log, 0..<60)
            var seen: Set<Int> = []
            for turn in 0..<6 {
                try mark(log, "turn-\(turn)", isAlive: true)
                let subscription = try member(log, "turn-\(turn)")
                let batch = try subscription.next(limit: 8, waitMilliseconds: 100)
                // The last one of each is left behind.
                for delivery in batch.dropLast() { seen.insert(number(delivery)) }
                try subscription.acknowledge(batch.dropLast().map(\.event.position))
                try mark(log, "turn-\(turn)", isAlive: false)
            }
            try expect(!seen.isEmpty && seen.count < 60, "\(seen.count) events were taken by parts")
            try drain(try member(log, "last"), until: 60, &seen)
        },
        ContractCase("what several members handed back again and again still comes to one who takes it") {
            log in
            try append(log, 0..<12)
            for turn in 0..<3 {
                try mark(log, "refuser-\(turn)", isAlive: true)
                let refuser = try member(log, "refuser-\(turn)")
                for _ in 0..<3 {
                    for delivery in try take(12, from: refuser, limit: 5) {
                        try refuser.retry(delivery, afterMilliseconds: 0)
                    }
                }
                try mark(log, "refuser-\(turn)", isAlive: false)
            }
            var seen: Set<Int> = []
            try drain(try member(log, "taker"), until: 12, &seen)
        },
        ContractCase("when heirs die while they inherit, the last one gets everything") { log in
            try append(log, 0..<25)
            let instances = ["first", "second", "third"]
            for instance in instances { try mark(log, instance, isAlive: true) }
            let members = try instances.map { try member(log, $0) }
            var held = 0
            for member in members { held += try member.next(limit: 8, waitMilliseconds: 100).count }
            try expect(held > 0, "nobody was given anything")
            try mark(log, "first", isAlive: false)
            // The second has a part of what the first one had when it dies itself.
            _ = try take(1, from: members[1], limit: 1)
            try mark(log, "second", isAlive: false)
            // What the third has in its hands already does not come to it again.
            var seen = Set<Int>()
            var quiet = 0
            let own = try log.join(
                group: "work", consumer: ConsumerName(instance: "third", number: 0), types: ["Sampled"])
            while seen.count < 25 {
                let batch = try own.next(limit: 5, waitMilliseconds: 100)
                quiet = batch.isEmpty ? quiet + 1 : 0
                try expect(quiet < 60, "only \(seen.count) of 25 events came")
                seen.formUnion(batch.map(number))
                try own.acknowledge(batch.map(\.event.position))
            }
        },
        ContractCase("a member that parks late what another one has taken over changes nothing") { log in
            try append(log, 0..<2)
            try mark(log, "late", isAlive: true)
            let late = try member(log, "late")
            let deliveries = try take(2, from: late)
            try mark(log, "late", isAlive: false)
            let heir = try member(log, "heir")
            let inherited = try take(2, from: heir)
            try heir.acknowledge([inherited[0].event.position])
            for delivery in deliveries {
                try late.park(
                    delivery,
                    ParkedReason(stage: "work", errors: ["late"], attempts: 3, time: SystemClock().now()))
            }
            // The one that was not finished is still pending, and comes to the next one.
            let next = try take(1, from: try member(log, "next"))
            try expectEqual(next[0].event, inherited[1].event, "event")
        },
        ContractCase("the largest payload is delivered whole, and delivered again whole") { log in
            let store = try log.open()
            let event = SampleEvents.largest("Sampled-0")
            _ = try store.append([event], to: "s", expecting: .absent)
            try append(log, 1..<4)
            let subscription = try member(log)
            for delivery in try take(4, from: subscription) where delivery.event.id == event.id {
                try expect(delivery.event.data == event.data, "the payload is another")
                try subscription.retry(delivery, afterMilliseconds: 0)
            }
            let again = try take(1, from: subscription)
            try expect(again[0].event.data == event.data, "the payload is another the second time")
        },
    ]
}
