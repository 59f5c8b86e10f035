import EventSourcing
import Simulation
import TestServers
import Testing

@testable import RedisLog

/// An archive in which several segments cover the same stretch, or with one that does not belong there,
/// beside an older copy of the server's data.
@Suite("Several ways along archived segments")
struct ArchiveWaysTests {
    private let server: TestRedis
    private let archived: ArchivedLog
    private var log: RedisEventLog { archived.log }

    init() throws {
        server = try TestRedis.start()
        archived = try ArchivedLog(partitions: 2, on: server)
    }

    private func policy(_ events: Int) -> ArchivePolicy {
        var policy = ArchivePolicy()
        policy.afterEvents = events
        return policy
    }

    private func part(_ partition: Int) -> ArchivePart {
        ArchivePart(epoch: log.epoch, partition: partition)
    }

    /// Without the newest event of each partition, which no archive ever has.
    private func withoutNewest(_ everything: [[RecordedEvent]]) -> [[RecordedEvent]] {
        let newest = Set(everything[..<2].compactMap(\.last?.position))
        return everything.map { $0.filter { !newest.contains($0.position) } }
    }

    private func reopened() throws -> RedisEventLog {
        try RedisEventLog.open(
            "redis://127.0.0.1:\(log.address.first.port)/\(log.address.first.database)", createWith: nil,
            options: Notices().options { $0.archive = archived.store })
    }

    private func reasons(_ opened: RedisEventLog) throws -> [String] {
        try opened.halts().list().map(\.reason)
    }

    /// Puts a segment in a part that the log's archiver has not written.
    private func put(
        _ events: [RecordedEvent], after: LogPosition, behind hash: String, count: Int = 0,
        isVouched: Bool = false
    ) throws -> SegmentName {
        let last = try #require(events.last).position
        let header = SegmentHeader(
            epoch: log.epoch, after: after, first: events[0].position, last: last, count: events.count,
            countBefore: count, previousHash: hash)
        try archived.store.write(
            header: header.json, index: SegmentIndex(of: events).encoded,
            payload: SegmentCoding.encode(events), as: header.name, in: part(after.partition))
        if isVouched {
            let hash = try archived.store.read(header.name, in: part(after.partition)).hash
            archived.store.vouch(for: header.name, hash: hash, in: part(after.partition))
        }
        return header.name
    }

    /// The event of a history that never happened, at the place of another one.
    private func forged(_ event: RecordedEvent, _ number: Int = 0) -> RecordedEvent {
        RecordedEvent(
            event: SampleEvents.event("forged-\(number)", number: number), partitionKey: event.partitionKey,
            sequence: event.sequence, position: event.position)
    }

    /// Archives all of it in two chains of segments, of which the second is cut otherwise, and ends farther.
    /// - Returns: the state of the server before anything was archived, and the log as it went on.
    private func archiveTwice() throws -> (DatabaseCopy, RedisEventLog) {
        try appendSamples(log, 0..<100)
        let copy = try DatabaseCopy(log)
        try appendSamples(log, 100..<300)
        for partition in 0..<2 {
            // The one that cut less wakes up when the other one is done.
            var isFirst = true
            let late = try log.archiver(policy(15)) { step throws(LogFailure) in
                guard step == .closing, isFirst else { return }
                isFirst = false
                _ = try log.archiver(policy(25)).run(partition: partition, all: true)
            }
            _ = try late.run(partition: partition, all: true)
        }
        try copy.restore(log)
        let opened = try reopened()
        try archive(opened)
        return (copy, opened)
    }

    private func archive(_ opened: RedisEventLog) throws {
        for partition in 0..<2 {
            _ = try opened.archiver(policy(25)).run(partition: partition, all: true)
        }
    }

    @Test("an old copy is put back twice beside an archive that was cut in two ways: all is taken back")
    func twice() throws {
        let (copy, opened) = try archiveTwice()
        // The last segment of the first way ends behind what was archived since, and nothing is missing.
        let reasons = try reopened().halts().list().map(\.reason)
        #expect(reasons == [])
        try appendSamples(opened, 300..<400)
        try archive(opened)
        let before = withoutNewest(try archived.everything(keys: 23))
        for partition in 0..<2 {
            let beginnings = try archived.names(partition).filter { $0.after == .start(of: partition) }
            #expect(beginnings.count == 2)
        }
        try copy.restore(log)
        let later = try reopened().halts().list().map(\.reason)
        #expect(later == [])
        #expect(try archived.everything(keys: 23) == before)
    }

    @Test("a server that lost what it says of its archive gets that back, though that was cut in two ways")
    func mendedBeside() throws {
        _ = try archiveTwice()
        let before = try archived.everything(keys: 23)
        for partition in 0..<2 { try rawClient(log).raw("DEL", LogKeys.archive(partition)) }
        let reasons = try reopened().halts().list().map(\.reason)
        #expect(reasons == [])
        #expect(try archived.everything(keys: 23) == before)
    }

    /// A log with 200 events of which 100 were there when the copy was made, in segments of 10.
    private func rolledBack() throws -> (before: [[RecordedEvent]], names: [[SegmentName]]) {
        try appendSamples(log, 0..<100)
        let copy = try DatabaseCopy(log)
        try appendSamples(log, 100..<200)
        try archived.archive(policy(10))
        let before = withoutNewest(try archived.everything(keys: 23))
        try copy.restore(log)
        let ends = try PartitionInspector(client: rawClient(log)).states([0, 1]).map(\.end)
        let names = try (0..<2).map { partition in
            try archived.names(partition).filter { $0.last > ends[partition] }
        }
        return (before, names)
    }

    @Test(
        "a segment that leads nowhere keeps back nothing of those before it, and no lift gives these up",
        arguments: ["missing", "damaged", "unvouched", "forged"])
    func obstacle(_ kind: String) throws {
        let (before, names) = try rolledBack()
        var kept: [LogPosition] = []
        for partition in 0..<2 {
            let name = names[partition][2]
            switch kind {
            case "missing": archived.store.remove(name, in: part(partition))
            case "damaged": archived.store.damage(name, in: part(partition))
            case "unvouched": archived.store.forgetVoucher(of: name, in: part(partition))
            default:
                // One that goes on beyond all others from nowhere.
                var event = forged(try #require(before[partition].last))
                event.position.milliseconds += 1_000
                var after = event.position
                after.milliseconds -= 1
                _ = try put([event], after: after, behind: String(repeating: "a", count: 64), count: 7)
            }
            kept.append(
                kind == "forged" ? try #require(names[partition].last?.last) : names[partition][1].last)
        }
        let opened = try reopened()
        let halted = try reasons(opened)
        #expect(halted.count == 2)
        #expect(halted.allSatisfy { $0.hasPrefix("whether the server has lost events cannot be told") })
        for lifting in [false, true] {
            for partition in 0..<2 {
                if lifting {
                    #expect(try opened.halts().lift(partition, by: "anna", because: "test") != nil)
                    try opened.halts().refresh()
                }
                let found = try opened.open().read(after: .start(of: partition), limit: 1000)
                #expect(found == before[partition].filter { $0.position <= kept[partition] })
                let aside = archived.store.setAside.filter { $0.last.partition == partition }
                #expect(aside.allSatisfy { $0.last > kept[partition] })
            }
        }
        // It goes on, and what was taken back is archived.
        try appendSamples(opened, 300..<400)
        try archive(opened)
        for partition in 0..<2 {
            #expect(try opened.archiver(policy(25)).verify(partition: partition).events > 60)
        }
    }

    @Test("a segment that cannot be read for now, and is not needed, keeps nobody from going on")
    func transient() throws {
        let (copy, opened) = try archiveTwice()
        try appendSamples(opened, 300..<400)
        try archive(opened)
        let before = withoutNewest(try archived.everything(keys: 23))
        try copy.restore(log)
        for partition in 0..<2 {
            let other = try #require(
                try archived.names(partition).filter { $0.after == .start(of: partition) }.max())
            archived.store.failReads(of: other)
        }
        #expect(try reasons(try reopened()) == [])
        #expect(try archived.everything(keys: 23) == before)
    }

    @Test("two ways that meet at a place go on side by side, and the archiver halts nothing")
    func meeting() throws {
        try appendSamples(log, 0..<60)
        let copy = try DatabaseCopy(log)
        for partition in 0..<2 {
            var isFirst = true
            let late = try log.archiver(policy(1)) { step throws(LogFailure) in
                guard step == .closing, isFirst else { return }
                isFirst = false
                _ = try log.archiver(policy(2)).run(partition: partition, all: true)
            }
            _ = try late.run(partition: partition, all: true)
        }
        let before = try archived.everything(keys: 23)
        try copy.restore(log)
        let opened = try reopened()
        for partition in 0..<2 {
            // The leftover first, then one more: there the first way has a segment of the wanted name.
            let second = before[partition][1].position
            _ = try opened.archiver(policy(1)).run(partition: partition, upTo: second, all: true)
            #expect(try opened.archiver(policy(2)).state(of: partition).through == second)
            #expect(try opened.archiver(policy(2)).run(partition: partition, all: true).events > 10)
            #expect(try opened.archiver(policy(2)).verify(partition: partition).events > 10)
        }
        #expect(try reasons(opened) == [])
        #expect(archived.store.setAside == [])
        #expect(try archived.everything(keys: 23) == before)
        // Either way leads to the end again.
        try copy.restore(log)
        let again = try reopened()
        try archive(again)
        #expect(try reasons(again) == [])
        #expect(try archived.everything(keys: 23) == before)
    }

    @Test("what somebody has vouched for and the log does not have halts, also where another way is taken")
    func otherLineage() throws {
        let (before, names) = try rolledBack()
        let state = try PartitionInspector(client: rawClient(log)).states([0])[0]
        let limit = names[0][3].last
        let events = before[0].filter { $0.position > state.through && $0.position < limit }
        _ = try put(
            events.map { $0.position > state.end ? forged($0) : $0 }, after: state.through,
            behind: state.hash, count: state.count, isVouched: true)
        let halted = try reasons(try reopened())
        #expect(halted.count == 1)
        #expect(halted.first?.contains("contradicts the archive") == true)
        #expect(halted.first?.hasPrefix("whether") == false)
    }

    @Test("whoever takes back by hand what nobody vouches for gets first what somebody does")
    func byHand() throws {
        let (before, names) = try rolledBack()
        let state = try PartitionInspector(client: rawClient(log)).states([0])[0]
        var events = before[0].filter { $0.position > state.through }
        events = events.map { $0.position > state.end ? forged($0) : $0 }
        events[events.count - 1].position.milliseconds += 1_000
        _ = try put(events, after: state.through, behind: state.hash, count: state.count)
        let opened = try reopened()
        #expect(try reasons(opened).count == 1)
        #expect(try opened.halts().takeBack(0)?.contains("contradicts the archive") == true)
        let end = try #require(names[0].last?.last)
        let found = try opened.open().read(after: .start(of: 0), limit: 1000)
        #expect(found == before[0].filter { $0.position <= end })
    }

    @Test("a chain that somebody has put there does not become the log's when Redis loses what it says of it")
    func forgedChain() throws {
        try appendSamples(log, 0..<100)
        try archived.archive(policy(10))
        let before = try archived.everything(keys: 23)
        let hashes = try rawClient(log).command("test", "test", ["HGET", LogKeys.archive(0), "hash"]).text
        let state = try PartitionInspector(client: rawClient(log)).states([0])[0]
        let stretch = before[0].filter { $0.position <= state.through }
        // In one piece, and in two of every kind: whichever hashes come first, some do.
        _ = try put(stretch.map { forged($0) }, after: .start(of: 0), behind: "")
        for cut in 1..<(stretch.count - 1) {
            let name = try put(stretch[..<cut].map { forged($0, cut) }, after: .start(of: 0), behind: "")
            let hash = try archived.store.read(name, in: part(0)).hash
            _ = try put(
                stretch[cut...].map { forged($0, cut) }, after: name.last, behind: hash, count: cut)
        }
        try rawClient(log).raw("DEL", LogKeys.archive(0))
        #expect(try reasons(try reopened()) == [])
        #expect(
            try rawClient(log).command("test", "test", ["HGET", LogKeys.archive(0), "hash"]).text == hashes)
        #expect(try archived.everything(keys: 23) == before)
    }
}
