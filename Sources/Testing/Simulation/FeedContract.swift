internal import EventSourcing

/// What every `OrderedFeed`, `Liveness` and `CheckpointStore` promises.
package enum FeedContract {
    /// All cases.
    package static let cases: [ContractCase] = feeds + marks

    private static func starts(_ log: any EventLog) throws -> [LogPosition] {
        (0..<(try log.open()).partitioning.count).map { LogPosition.start(of: $0) }
    }

    private static func append(_ log: any EventLog, _ range: Range<Int>) throws {
        let store = try log.open()
        _ = try store.append(
            range.map {
                AppendBatch(to: "key-\($0 % 11)", expecting: .any, [SampleEvents.event("e\($0)", number: $0)])
            })
    }

    private static func drain(_ feed: any OrderedFeed, limit: Int) throws -> [RecordedEvent] {
        var events: [RecordedEvent] = []
        while true {
            let batch = try feed.next(limit: limit, waitMilliseconds: 20)
            if batch.isEmpty { return events }
            events += batch
        }
    }

    private static let feeds = [
        ContractCase("a feed gives every event once, in order within a partition, sequences without gaps") {
            log in
            try append(log, 0..<200)
            let feed = try log.follow(after: try starts(log))
            let events = try drain(feed, limit: 7)
            try expectEqual(Set(events.map(\.id)).count, 200, "different events")
            try expectEqual(events.count, 200, "events")
            var last: [Int: LogPosition] = [:]
            var sequences: [String: UInt64] = [:]
            for event in events {
                if let before = last[event.position.partition] {
                    try expect(before < event.position, "\(event.position) after \(before)")
                }
                last[event.position.partition] = event.position
                try expectEqual(event.sequence, (sequences[event.partitionKey] ?? 0) + 1, "sequence")
                sequences[event.partitionKey] = event.sequence
            }
            try append(log, 200..<203)
            try expectEqual(try drain(feed, limit: 7).count, 3, "new events")
        },
        ContractCase("a feed goes on after the positions that it is given, and only in their partitions") {
            log in
            try append(log, 0..<100)
            let all = try drain(try log.follow(after: try starts(log)), limit: 50)
            let partition = all[0].position.partition
            let part = all.filter { $0.position.partition == partition }
            let feed = try log.follow(after: [part[2].position])
            try expectEqual(try drain(feed, limit: 3), Array(part[3...]), "after the third")
            feed.seek(to: part[0].position)
            try expectEqual(try drain(feed, limit: 1000), Array(part[1...]), "after going back")
            feed.seek(to: .start(of: partition + 1))
            try expectEqual(try drain(feed, limit: 1000), [], "after a seek in another partition")
        },
        ContractCase("a feed from the log's end gets nothing of before, and everything that comes") { log in
            try append(log, 0..<40)
            let store = try log.open()
            let ends = try (0..<store.partitioning.count).map { try store.end(of: $0) }
            let feed = try log.follow(after: ends)
            try expectEqual(try feed.next(limit: 50, waitMilliseconds: 20), [], "what was there")
            try append(log, 40..<70)
            try expectEqual(
                Set(try drain(feed, limit: 4).map(\.id)), Set((40..<70).map { "e\($0)" }), "what came")
        },
        ContractCase("whoever goes on from saved checkpoints sees each event once") { log in
            try append(log, 0..<90)
            let checkpoints = try log.checkpoints()
            var seen: [String] = []
            // Each one takes a part, saves how far it came and goes; some go without having saved.
            for turn in 0..<200 {
                let saved = try checkpoints.load("s")
                let feed = try log.follow(after: try starts(log).map { saved[$0.partition] ?? $0 })
                let events = try feed.next(limit: 2, waitMilliseconds: 20)
                if events.isEmpty { break }
                if turn % 4 == 3 { continue }
                var ends: [Int: LogPosition] = [:]
                for event in events { ends[event.position.partition] = event.position }
                try checkpoints.save("s", Array(ends.values))
                seen += events.map(\.id)
                if turn == 5 { try append(log, 90..<100) }
            }
            try expectEqual(seen.count, 100, "events")
            try expectEqual(Set(seen).count, 100, "different events")
        },
        ContractCase("the largest payload is fed whole") { log in
            let store = try log.open()
            let event = SampleEvents.largest("large")
            _ = try store.append([event], to: "s", expecting: .absent)
            _ = try store.append([SampleEvents.event("after")], to: "s", expecting: .exactly(1))
            let events = try drain(try log.follow(after: try starts(log)), limit: 10)
            try expectEqual(events.map(\.id), ["large", "after"], "events")
            try expect(events[0].data == event.data, "the payload is another")
        },
        ContractCase("a position beyond the log's end is refused: waiting there would be silence") { log in
            try append(log, 0..<3)
            let beyond = LogPosition(partition: 0, milliseconds: 99_999_999_999_999, counter: 0)
            do throws(LogFailure) { _ = try log.follow(after: [beyond]) } catch {
                return try expectEqual(error.kind, .lostHistory, "kind of \(error)")
            }
            throw ContractViolation(description: "nothing was thrown")
        },
        ContractCase("a feed of no partitions, or of an empty log, answers an empty batch") { log in
            try expectEqual(try log.follow(after: []).next(limit: 5, waitMilliseconds: 10), [], "events")
            try expectEqual(
                try log.follow(after: try starts(log)).next(limit: 5, waitMilliseconds: 0), [], "events")
        },
    ]

    private static let marks = [
        ContractCase("a mark is set until it ends or its time is over") { log in
            let liveness = try log.liveness()
            try expectEqual(try liveness.alive([]), [], "no marks")
            try liveness.beat("a", forMilliseconds: 60_000)
            try liveness.beat("b", forMilliseconds: 60_000)
            try liveness.beat("brief", forMilliseconds: 1)
            try expectEqual(try liveness.alive(["a", "x", "b"]), [true, false, true], "marks")
            try liveness.end("a")
            try liveness.end("x")
            try expectEqual(try log.liveness().alive(["a", "b"]), [false, true], "marks")
            var polls = 0
            while try liveness.alive(["brief"])[0], polls < 100_000 {
                spinPause()
                polls += 1
            }
            try expectEqual(try liveness.alive(["brief"]), [false], "a mark whose time is over")
        },
        ContractCase("checkpoints are what was saved last, by subscription and partition") { log in
            let store = try log.checkpoints()
            try expectEqual(try store.load("s"), [:], "nothing saved")
            let positions = [
                LogPosition(partition: 0, milliseconds: 5, counter: 1),
                LogPosition(partition: 1, milliseconds: .max, counter: .max),
            ]
            try store.save("s", [LogPosition(partition: 0, milliseconds: 4, counter: 0)])
            try store.save("s", positions)
            try store.save("other", [])
            try expectEqual(
                try log.checkpoints().load("s"), [0: positions[0], 1: positions[1]], "checkpoints")
            try expectEqual(try store.load("other"), [:], "checkpoints of another")
        },
    ]
}
