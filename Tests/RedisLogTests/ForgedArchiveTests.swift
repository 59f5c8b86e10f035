import EventSourcing
import RedisLog
import Simulation
import Testing

@testable import RedisLog

extension ArchivedLog {
    /// An archive of one partition in several segments, with events of 23 keys.
    /// - Parameter first: what comes before them.
    static func ofSegments(
        _ first: (RedisEventLog) throws -> Void = { _ in }
    ) throws -> ArchivedLog {
        let archived = try ArchivedLog(partitions: 1)
        var policy = ArchivePolicy()
        policy.afterEvents = 40
        try first(archived.log)
        try appendSamples(archived.log, 0..<200)
        try archived.archive(policy)
        return archived
    }

    var part: ArchivePart { ArchivePart(epoch: log.epoch, partition: 0) }

    /// Puts a segment of other events, header or index in place of one, with all of its own hashes right.
    @discardableResult
    func forge(
        _ name: SegmentName, previousHash: String? = nil, index: SegmentIndex? = nil,
        _ change: (inout [RecordedEvent]) -> Void = { _ in }
    ) throws -> StoredSegment {
        let stored = try store.read(name, in: part)
        var header = try #require(SegmentHeader(parsing: stored.header))
        var events = try #require(SegmentCoding.decode(stored.payload, partition: 0))
        change(&events)
        header.first = events[0].position
        header.count = events.count
        header.previousHash = previousHash ?? header.previousHash
        let forged = StoredSegment.sealed(
            header: header.json, index: (index ?? SegmentIndex(of: events)).encoded,
            payload: SegmentCoding.encode(events))
        store.put(forged, as: name, in: part)
        return forged
    }

    func records() throws -> [String] {
        try rawClient(log).raw("LRANGE", LogKeys.segments(0), "0", "-1").elements.compactMap(\.text)
    }

    func write(records: [String]) throws {
        try rawClient(log).raw("DEL", LogKeys.segments(0))
        for record in records { try rawClient(log).raw("RPUSH", LogKeys.segments(0), record) }
    }

    /// Every way to read what is archived, each by a process that knows nothing yet.
    var readers: [(String, (RedisEventLog) throws -> [RecordedEvent])] {
        [
            ("a partition", { try $0.open().read(after: .start(of: 0), limit: 10_000) }),
            (
                "all sessions",
                { log in
                    let store = try log.open()
                    return try (0..<23).flatMap { try store.load("key-\($0)", after: 0, limit: 1000) }
                }
            ),
            (
                "a feed",
                { log in
                    let feed = try log.follow(after: [.start(of: 0)])
                    var events: [RecordedEvent] = []
                    while case let batch = try feed.next(limit: 30, waitMilliseconds: 0), !batch.isEmpty {
                        events += batch
                    }
                    return events
                }
            ),
        ]
    }
}

@Suite("Segments that the log does not vouch for")
struct ForgedArchiveTests {
    private static func changed(_ event: RecordedEvent) -> RecordedEvent {
        var event = event
        event.event.data = Array("{\"number\":666}".utf8)
        return event
    }

    /// Nobody gives out anything of what was forged, and everybody names the segment.
    private func expectRefused(_ archived: ArchivedLog, _ name: SegmentName, _ what: String) throws {
        for (reader, read) in archived.readers {
            let failure = #expect(throws: LogFailure.self, "\(what), read by \(reader)") {
                try read(try archived.reopened())
            }
            #expect(failure?.kind == .corrupt, "\(what), read by \(reader): \(String(describing: failure))")
            #expect(failure?.key == "\(name)", "\(what), read by \(reader)")
        }
        let failure = #expect(throws: LogFailure.self, "\(what), verified") {
            try archived.log.archiver(ArchivePolicy()).verify(partition: 0)
        }
        #expect(failure?.kind == .corrupt, "\(what), verified")
    }

    @Test("a segment with other contents and right checksums of its own is refused by everybody")
    func contents() throws {
        for place in 0..<5 {
            let archived = try ArchivedLog.ofSegments()
            let name = try archived.names(0)[place]
            try archived.forge(name) { $0[3] = Self.changed($0[3]) }
            try expectRefused(archived, name, "a changed event in segment \(place)")
        }
    }

    @Test("verifying a session reads every segment of its partition, also those that hold nothing of it")
    func verified() throws {
        let archived = try ArchivedLog.ofSegments { log in
            _ = try log.open().append(
                [SampleEvents.event("x", subject: "early")], to: "early", expecting: .absent)
        }
        try archived.reopened().open().verifyArchive(of: "early")
        for (place, name) in try archived.names(0).enumerated() {
            let whole = try archived.store.read(name, in: archived.part)
            try archived.forge(name) { $0[3] = Self.changed($0[3]) }
            let store = try archived.reopened().open()
            let failure = #expect(throws: LogFailure.self) { try store.verifyArchive(of: "early") }
            #expect(failure?.kind == .corrupt && failure?.key == "\(name)", "segment \(place)")
            if place > 0 { #expect(try store.load("early", after: 0, limit: 10).count == 1) }
            archived.store.remove(name, in: archived.part)
            #expect(throws: LogFailure.self, "segment \(place) is gone") {
                try archived.reopened().open().verifyArchive(of: "early")
            }
            archived.store.put(whole, as: name, in: archived.part)
        }
        try archived.reopened().open().verifyArchive(of: "early")
    }

    @Test("what a process has read before it was exchanged is no reason to believe the new segment")
    func exchangedLater() throws {
        let archived = try ArchivedLog.ofSegments()
        let names = try archived.names(0)
        let log = try archived.reopened()
        let store = try log.open()
        let before = try store.read(after: .start(of: 0), limit: 1000)
        #expect(before.count == 200)
        try archived.forge(names[1]) { $0[3] = Self.changed($0[3]) }
        for reader in [store, try log.open()] {
            let failure = #expect(throws: LogFailure.self) {
                try reader.read(after: .start(of: 0), limit: 1000)
            }
            #expect(failure?.key == "\(names[1])")
        }
    }

    @Test("dropped, added and exchanged events, and another beginning, are refused by everybody")
    func changes() throws {
        let changes: [(String, (inout [RecordedEvent]) -> Void)] = [
            ("an event dropped", { $0.remove(at: 7) }),
            ("the first event dropped", { $0.remove(at: 0) }),
            (
                "two events exchanged",
                { events in
                    let (first, second) = (events[4].event, events[5].event)
                    events[4].event = second
                    events[5].event = first
                }
            ),
            ("an event of another key", { $0[9].partitionKey = "key-0" }),
            ("an event with another sequence", { $0[9].sequence += 1 }),
        ]
        for (what, change) in changes {
            let archived = try ArchivedLog.ofSegments()
            let name = try archived.names(0)[2]
            try archived.forge(name, change)
            try expectRefused(archived, name, what)
        }
    }

    @Test("an index that hides a session's events hides nothing")
    func index() throws {
        let hidden = "hidden"
        let archived = try ArchivedLog.ofSegments { log in
            _ = try log.open().append([SampleEvents.event("h")], to: hidden, expecting: .absent)
        }
        let name = try archived.names(0)[0]
        let stored = try archived.store.read(name, in: archived.part)
        let events = try #require(SegmentCoding.decode(stored.payload, partition: 0))
        #expect(events[0].partitionKey == hidden)
        try archived.forge(name, index: SegmentIndex(of: events.filter { $0.partitionKey != hidden }))
        let store = try archived.reopened().open()
        for read in [
            { _ = try store.load(hidden, after: 0, limit: 1000) }, { _ = try store.version(of: hidden) },
            // Whoever appends to it looks up its ids there.
            { _ = try store.append([SampleEvents.event("new")], to: "nobody's", expecting: .absent) },
        ] as [() throws -> Void] {
            let failure = #expect(throws: LogFailure.self) { try read() }
            #expect(failure?.kind == .corrupt && failure?.key == "\(name)", "\(String(describing: failure))")
        }
    }

    @Test("all segments from one on rewritten, each naming the one before: the log's own hash refuses them")
    func rewritten() throws {
        let archived = try ArchivedLog.ofSegments()
        let names = try archived.names(0)
        var hash: String?
        for (place, name) in names.enumerated() where place >= 1 {
            let forged = try archived.forge(name, previousHash: hash) { events in
                if place == 1 { events[0] = Self.changed(events[0]) }
            }
            hash = forged.hash
        }
        let known = try archived.records()
        for records in [known, []] {
            try archived.write(records: records)
            for (reader, read) in archived.readers {
                let failure = #expect(throws: LogFailure.self, "\(reader), \(records.count) records") {
                    try read(try archived.reopened())
                }
                #expect(failure?.kind == .corrupt)
            }
        }
    }

    @Test("a segment and the server's record of it, exchanged together: the segment behind it tells")
    func recordToo() throws {
        let archived = try ArchivedLog.ofSegments()
        let names = try archived.names(0)
        let forged = try archived.forge(names[1]) { $0[0] = Self.changed($0[0]) }
        var records = try archived.records()
        var parts = records[1].split(separator: " ").map(String.init)
        (parts[4], parts[5]) = (forged.hash, forged.frontHash)
        records[1] = parts.joined(separator: " ")
        try archived.write(records: records)
        try expectRefused(archived, names[2], "segment and record")
    }

    @Test("segments of other places, copied under a name, are refused")
    func copied() throws {
        let archived = try ArchivedLog.ofSegments()
        let names = try archived.names(0)
        let other = try archived.store.read(names[3], in: archived.part)
        archived.store.put(other, as: names[1], in: archived.part)
        try expectRefused(archived, names[1], "another place's segment")
    }

    @Test("a segment that waits, with an index that lacks a session, is not taken into the chain")
    func waiting() throws {
        let archived = try ArchivedLog(partitions: 1)
        try appendSamples(archived.log, 0..<50)
        #expect(throws: LogFailure.self) {
            try archived.archive { step throws(LogFailure) in
                if step == .written { throw LogFailure(.server, operation: "die", key: "", text: "killed") }
            }
        }
        let name = try archived.names(0)[0]
        let events = try #require(
            SegmentCoding.decode(try archived.store.read(name, in: archived.part).payload, partition: 0))
        try archived.forge(name, index: SegmentIndex(of: events.filter { $0.partitionKey != "key-3" }))
        let failure = #expect(throws: LogFailure.self) { try archived.archive() }
        #expect(failure?.kind == .corrupt && failure?.key == "\(name)", "\(String(describing: failure))")
        #expect(try rawClient(archived.log).raw("XLEN", LogKeys.log(0)).integer == 50)
    }
}

@Suite("The server's records of segments")
struct SegmentRecordTests {
    @Test("an archive of an earlier build has none: it reads the same, and the next run writes them")
    func missing() throws {
        let archived = try ArchivedLog.ofSegments()
        let before = try archived.everything(keys: 23)
        let records = try archived.records()
        #expect(records.count == 5)
        for left in [[], Array(records[..<2]), Array(records[1...])] {
            try archived.write(records: left)
            #expect(try archived.everything(keys: 23) == before, "\(left.count) of 5 records")
            // Forged segments are refused without records, too.
            let names = try archived.names(0)
            let honest = try archived.store.read(names[1], in: archived.part)
            try archived.forge(names[1]) {
                $0.removeLast(0); $0[0].event.data = Array("{}".utf8)
            }
            #expect(throws: LogFailure.self) {
                try archived.reopened().open().read(after: .start(of: 0), limit: 1000)
            }
            archived.store.put(honest, as: names[1], in: archived.part)
            try archived.archive()
            #expect(try archived.records() == records, "\(left.count) of 5 records")
        }
    }

    @Test("records that say something else are no reason to believe or to lose anything")
    func wrong() throws {
        let archived = try ArchivedLog.ofSegments()
        let before = try archived.everything(keys: 23)
        let records = try archived.records()
        let wrong: [(String, [String])] = [
            ("cut off", records.map { String($0.dropLast()) }), ("empty", [""]),
            ("in another order", records.reversed()), ("doubled", records + records),
            ("one left out", [records[0], records[1], records[3], records[4]]),
            ("text", Array(repeating: "x y z", count: 5)),
            ("huge numbers", records.map { $0.replacing(" 0 40 ", with: " 0 \(Int.max) ") }),
        ]
        for (what, records) in wrong {
            try archived.write(records: records)
            #expect(try archived.everything(keys: 23) == before, "\(what)")
        }
        try archived.write(records: records)
        var parts = records[2].split(separator: " ").map(String.init)
        parts[4] = String(parts[4].reversed())
        try archived.write(records: records[..<2] + [parts.joined(separator: " ")] + records[3...])
        let failure = #expect(throws: LogFailure.self) {
            try archived.reopened().open().read(after: .start(of: 0), limit: 1000)
        }
        #expect(failure?.kind == .corrupt)
    }

    @Test("a process goes on with what is archived while it runs, and asks for the new records alone")
    func grows() throws {
        let archived = try ArchivedLog.ofSegments()
        let log = try archived.reopened()
        let store = try log.open()
        let first = try store.read(after: .start(of: 0), limit: 1000)
        for round in 1...3 {
            try appendSamples(archived.log, round * 1000..<round * 1000 + 100)
            try archived.archive()
            let all = try store.read(after: .start(of: 0), limit: 10_000)
            #expect(all.count == 200 + 100 * round)
            #expect(Array(all.prefix(first.count)) == first)
        }
        #expect(try archived.records().count == 8)
    }

    @Test("a record is read back as it was written, and nothing else is a record")
    func coding() throws {
        let first = SegmentLink(
            name: SegmentName(
                after: .start(of: 3), last: LogPosition(partition: 3, milliseconds: 7, counter: 1)),
            countBefore: 0, count: 12, hash: String(repeating: "a", count: 64),
            frontHash: String(repeating: "0", count: 64), previousHash: "")
        #expect(SegmentLink(first.record, partition: 3, behind: nil) == first)
        let second = SegmentLink(
            name: SegmentName(
                after: first.name.last, last: LogPosition(partition: 3, milliseconds: 9, counter: 0)),
            countBefore: 12, count: 1, hash: String(repeating: "b", count: 64),
            frontHash: String(repeating: "c", count: 64), previousHash: first.hash)
        #expect(SegmentLink(second.record, partition: 3, behind: first) == second)
        #expect(SegmentLink(second.record, partition: 3, behind: nil) == nil)
        let parts = second.record.split(separator: " ").map(String.init)
        for (place, values) in [
            ["7-0", "9-1", "", "7"], ["7-1", "", "9"], ["11", "-1", "x", "99999999999999999999"],
            ["0", "-1", "\(Int.max)", ""], ["B" + String(repeating: "b", count: 63), "b", ""],
            [String(repeating: "c", count: 65), ""],
        ].enumerated() {
            for value in values {
                var changed = parts
                changed[place] = value
                let record = changed.joined(separator: " ")
                #expect(SegmentLink(record, partition: 3, behind: first) == nil, "\(record)")
            }
        }
        #expect(SegmentLink(second.record + " x", partition: 3, behind: first) == nil)
    }
}
