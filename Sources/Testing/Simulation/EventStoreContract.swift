internal import Base
internal import EventSourcing

/// What every `EventStore` promises.
package enum EventStoreContract {
    /// All cases.
    package static let cases: [ContractCase] = appending + refusing + reading

    private static func appended(_ outcome: AppendOutcome) throws -> [AppendedEvent] {
        guard case .appended(let events) = outcome else {
            throw ContractViolation(description: "expected an append, found \(outcome)")
        }
        return events
    }

    private static let appending = [
        ContractCase("an appended event is loaded with every attribute as it was") { log in
            let store = try log.open()
            var event = SampleEvents.event(
                "äöü/\u{0}\r\n\"1", type: "Sampled", subject: "s-chunk-000001", number: 7)
            event.version = 3
            event.context = EventContext(
                source: "/reel/ü", actor: Actor(type: "user", id: "a b"),
                traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                correlationID: "c", causationID: "k")
            event.data = Array("{\"text\":\"\u{1F600} \\u0000\"}".utf8)
            let answer = try appended(try store.append([event], to: "s", expecting: .absent))
            try expectEqual(answer.map(\.sequence), [1], "sequences")
            try expectEqual(answer.map(\.wasPresent), [false], "wasPresent")
            let loaded = try store.load("s", after: 0, limit: 10)
            let wanted = RecordedEvent(
                event: event, partitionKey: "s", sequence: 1, position: answer[0].position)
            try expectEqual(loaded, [wanted], "loaded events")
            try expectEqual(
                answer[0].position.partition, store.partitioning.partition(of: "s"), "partition")
        },
        ContractCase("sequences of one key have no gaps, positions ascend, keys are independent") { log in
            let store = try log.open()
            var last: [String: AppendedEvent] = [:]
            for number in 0..<60 {
                let key = "key-\(number % 3)"
                let events = (0...number % 4).map { SampleEvents.event("\(number)/\($0)", number: $0) }
                for answer in try appended(try store.append(events, to: key, expecting: .any)) {
                    try expectEqual(answer.sequence, (last[key]?.sequence ?? 0) + 1, "sequence of \(key)")
                    if let before = last[key] {
                        try expect(before.position < answer.position, "positions of \(key) do not ascend")
                    }
                    last[key] = answer
                }
            }
            for (key, answer) in last {
                try expectEqual(try store.version(of: key), answer.sequence, "version of \(key)")
            }
        },
        ContractCase("an id that is present with the same body answers its first position") { log in
            let store = try log.open()
            let event = SampleEvents.event("one", number: 1)
            let first = try appended(try store.append([event], to: "s", expecting: .absent))
            _ = try appended(try store.append([SampleEvents.event("two")], to: "s", expecting: .exactly(1)))
            // The expected version is long past: ids come first.
            var later = event
            later.time = Timestamp(milliseconds: event.time.milliseconds + 5)
            let again = try appended(try store.append([later], to: "s", expecting: .absent))
            try expectEqual(again.map(\.position), first.map(\.position), "positions")
            try expectEqual(again.map(\.sequence), [1], "sequences")
            try expectEqual(again.map(\.wasPresent), [true], "wasPresent")
            try expectEqual(try store.version(of: "s"), 2, "version")
            try expectEqual(try store.load("s", after: 0, limit: 1).map(\.time), [event.time], "first time")
        },
        ContractCase("of a batch that is partly present only the rest is written") { log in
            let store = try log.open()
            let events = (1...4).map { SampleEvents.event("e\($0)", number: $0) }
            _ = try appended(try store.append(Array(events[..<2]), to: "s", expecting: .absent))
            let answer = try appended(try store.append(events, to: "s", expecting: .exactly(2)))
            try expectEqual(answer.map(\.wasPresent), [true, true, false, false], "wasPresent")
            try expectEqual(answer.map(\.sequence), [1, 2, 3, 4], "sequences")
        },
        ContractCase("an id twice in one batch is written once") { log in
            let store = try log.open()
            let event = SampleEvents.event("twin", number: 1)
            let answer = try appended(
                try store.append([event, SampleEvents.event("other"), event], to: "s", expecting: .absent))
            try expectEqual(answer.map(\.sequence), [1, 2, 1], "sequences")
            try expectEqual(answer.map(\.wasPresent), [false, false, true], "wasPresent")
            try expectEqual(answer[0].position, answer[2].position, "positions")
            try expectEqual(try store.version(of: "s"), 2, "version")
        },
        ContractCase("outcomes of many batches come in their order, each batch by itself") { log in
            let store = try log.open()
            let batches = (0..<500).map { number in
                AppendBatch(
                    to: "key-\(number % 50)", expecting: number % 7 == 0 ? .exactly(99) : .any,
                    [SampleEvents.event("n\(number)", number: number)])
            }
            let outcomes = try store.append(batches)
            try expectEqual(outcomes.count, batches.count, "outcomes")
            for (number, outcome) in outcomes.enumerated() {
                if case .appended = outcome {
                    try expect(number % 7 != 0, "batch \(number) should conflict")
                } else {
                    try expect(number % 7 == 0, "batch \(number): \(outcome)")
                }
            }
            try expectEqual(try store.append([AppendBatch]()).count, 0, "outcomes of nothing")
        },
    ]

    private static let refusing = [
        ContractCase("another version is a conflict that names the actual one, and writes nothing") { log in
            let store = try log.open()
            let event = SampleEvents.event("x")
            try expectEqual(
                try store.append([event], to: "s", expecting: .exactly(1)), .conflict(actual: 0), "on nothing"
            )
            _ = try appended(try store.append([event], to: "s", expecting: .exactly(0)))
            let other = SampleEvents.event("y")
            for expected in [ExpectedVersion.absent, .exactly(0), .exactly(2)] {
                try expectEqual(
                    try store.append([other], to: "s", expecting: expected), .conflict(actual: 1),
                    "\(expected)")
            }
            try expectEqual(try store.load("s", after: 0, limit: 10).map(\.id), ["x"], "events")
        },
        ContractCase("an id with another body refuses the whole batch") { log in
            let store = try log.open()
            _ = try appended(try store.append([SampleEvents.event("x", number: 1)], to: "s", expecting: .any))
            let batch = [
                SampleEvents.event("y"), SampleEvents.event("x", number: 2), SampleEvents.event("z"),
            ]
            try expectEqual(
                try store.append(batch, to: "s", expecting: .any), .idTaken(eventID: "x"), "taken in the log")
            let twins = [SampleEvents.event("w", number: 1), SampleEvents.event("w", number: 2)]
            try expectEqual(
                try store.append(twins, to: "s", expecting: .any), .idTaken(eventID: "w"),
                "taken in the batch")
            try expectEqual(try store.load("s", after: 0, limit: 10).map(\.id), ["x"], "events")
        },
        ContractCase("one event that breaks a limit refuses everything as invalid") { log in
            let store = try log.open()
            let good = SampleEvents.event("good")
            var bad: [ProposedEvent] = Array(repeating: good, count: 6)
            bad[0].id = ""
            bad[1].id = String(repeating: "i", count: LogLimits.bytesPerIdentifier + 1)
            bad[2].data = Array("[]".utf8)
            bad[3].data = Array(
                "{\"a\":\"\(String(repeating: "x", count: LogLimits.bytesPerPayload))\"}".utf8)
            bad[4].version = 0
            bad[5].subject = String(repeating: "s", count: LogLimits.bytesPerIdentifier + 1)
            for event in bad {
                try expectInvalid { () throws(LogFailure) in
                    _ = try store.append([good, event], to: "s", expecting: .any)
                }
            }
            try expectInvalid { () throws(LogFailure) in _ = try store.append([], to: "s", expecting: .any) }
            try expectInvalid { () throws(LogFailure) in _ = try store.append([good], to: "", expecting: .any)
            }
            let many = Array(repeating: good, count: LogLimits.eventsPerAppend + 1)
            try expectInvalid { () throws(LogFailure) in _ = try store.append(many, to: "s", expecting: .any)
            }
            try expectEqual(try store.version(of: "s"), 0, "version")
        },
        ContractCase("the largest batch and the largest payload are taken") { log in
            let store = try log.open()
            let many = (0..<LogLimits.eventsPerAppend).map { SampleEvents.event("e\($0)", number: $0) }
            let answer = try appended(try store.append(many, to: "s", expecting: .absent))
            try expectEqual(answer.last?.sequence, UInt64(many.count), "last sequence")
            try expectEqual(
                try appended(try store.append(many, to: "s", expecting: .absent)).filter(\.wasPresent).count,
                many.count, "present")
            _ = try appended(try store.append([SampleEvents.largest("large")], to: "t", expecting: .absent))
            try expectEqual(
                try store.load("t", after: 0, limit: 1).first?.data.count, LogLimits.bytesPerPayload, "bytes")
        },
        ContractCase("of many that append to the same version at once exactly one wins each time") { log in
            let threads = 6
            let rounds = 20
            let wins = Tally(rounds)
            try concurrently(threads) { thread in
                let store = try log.open()
                for round in 0..<rounds {
                    while try store.version(of: "s") < UInt64(round) { spinPause() }
                    let event = SampleEvents.event("t\(thread)/r\(round)")
                    switch try store.append([event], to: "s", expecting: .exactly(UInt64(round))) {
                    case .appended: wins.add(round)
                    case .conflict(let actual):
                        try expect(
                            actual > UInt64(round), "a conflict with version \(actual) in round \(round)")
                    case .idTaken(let id): throw ContractViolation(description: "id taken: \(id)")
                    case .fenced: throw ContractViolation(description: "fenced without a fence")
                    }
                }
            }
            try expectEqual(wins.counts, Array(repeating: 1, count: rounds), "winners")
        },
    ]

    private static let reading = [
        ContractCase("loading pages through a history, and ends") { log in
            let store = try log.open()
            let events = (1...25).map { SampleEvents.event("e\($0)", number: $0) }
            _ = try appended(try store.append(events, to: "s", expecting: .absent))
            try expectEqual(try store.load("s", after: 20, limit: 3).map(\.sequence), [21, 22, 23], "a page")
            try expectEqual(try store.load("s", after: 25, limit: 3), [], "after the end")
            try expectEqual(try store.load("s", after: .max, limit: 3), [], "after everything")
            try expectEqual(try store.load("nobody", after: 0, limit: 3), [], "an unknown key")
            try expectEqual(try store.load("s", after: 0, limit: 0), [], "no limit")
            try expectEqual(try store.version(of: "nobody"), 0, "version of an unknown key")
            var seen: [UInt64] = []
            try store.forEach(of: "s", pageSize: 7) { seen.append($0.sequence) }
            try expectEqual(seen, Array(1...25), "sequences")
        },
        ContractCase("a history holds one key's events alone, whatever the keys are made of") { log in
            let store = try log.open()
            // What means something to servers, and keys that only just differ.
            let keys = [
                "a", "A", "a:b", "a:", "{a}", "{a}b", "a b", "a\r\nb", "a\u{0}b", "ä", "*", "p000",
                String(repeating: "k", count: LogLimits.bytesPerIdentifier),
            ]
            for round in 0..<3 {
                for key in keys {
                    _ = try appended(
                        try store.append(
                            [SampleEvents.event("same-\(round)", number: round)], to: key,
                            expecting: round == 0 ? .absent : .exactly(UInt64(round))))
                }
            }
            for key in keys {
                let loaded = try store.load(key, after: 0, limit: 10)
                try expectEqual(loaded.count, 3, "events of \(key)")
                try expect(
                    loaded.allSatisfy { Array($0.partitionKey.utf8) == Array(key.utf8) }, "keys of \(key)")
                try expectEqual(loaded.map(\.sequence), [1, 2, 3], "sequences of \(key)")
            }
            let long = String(repeating: "k", count: LogLimits.bytesPerIdentifier + 1)
            try expectInvalid { () throws(LogFailure) in
                _ = try store.append([SampleEvents.event("x")], to: long, expecting: .any)
            }
        },
        ContractCase("a partition is read in order, from after a position, to its end") { log in
            let store = try log.open()
            var wanted: [Int: [String]] = [:]
            for number in 0..<100 {
                let key = "key-\(number % 9)"
                _ = try appended(
                    try store.append([SampleEvents.event("e\(number)")], to: key, expecting: .any))
                wanted[store.partitioning.partition(of: key), default: []].append("e\(number)")
            }
            for partition in 0..<store.partitioning.count {
                let start = LogPosition.start(of: partition)
                let all = try store.read(after: start, limit: 1000)
                try expectEqual(all.map(\.id), wanted[partition] ?? [], "partition \(partition)")
                try expectEqual(try store.end(of: partition), all.last?.position ?? start, "end")
                guard all.count > 2 else { continue }
                try expectEqual(
                    try store.read(after: all[0].position, limit: 2), Array(all[1...2]), "after the first")
                try expectEqual(
                    try store.read(after: all[all.count - 1].position, limit: 2), [], "after the last")
            }
        },
    ]

    private static func expectInvalid(_ body: () throws(LogFailure) -> Void) throws {
        do { try body() } catch {
            return try expectEqual(error.kind, .invalid, "kind of \(error)")
        }
        throw ContractViolation(description: "nothing was thrown")
    }
}
