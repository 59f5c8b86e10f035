import EventSourcing
import Simulation
import TestServers
import Testing

@testable import RedisLog

/// An older copy of the server's data beside an archive that has gone on.
@Suite("What the archive has is taken back before anything is called lost")
struct TakingBackTests {
    private let server: TestRedis
    private let archived: ArchivedLog
    private var log: RedisEventLog { archived.log }

    init() throws {
        server = try TestRedis.start()
        archived = try ArchivedLog(partitions: 2, on: server)
    }

    private func policy(_ events: Int = 20) -> ArchivePolicy {
        var policy = ArchivePolicy()
        policy.afterEvents = events
        return policy
    }

    /// Appends, archives some of it, copies the server's data, goes on, archives that, and puts the copy
    /// back.
    /// - Returns: everything as it read before the copy was put back.
    private func rollBack(where isWanted: (String) -> Bool = { _ in true }) throws -> [[RecordedEvent]] {
        try appendSamples(log, 0..<150)
        try archived.archive(policy())
        try appendSamples(log, 150..<180)
        let copy = try DatabaseCopy(log)
        try appendSamples(log, 180..<400)
        try appendSamples(log, 1000..<1060, keys: 60)
        try archived.archive(policy())
        let before = try archived.everything(keys: 60)
        try copy.restore(log, where: isWanted)
        return before
    }

    /// Without the newest event of each partition, which no archive ever has.
    private func withoutNewest(_ everything: [[RecordedEvent]]) -> [[RecordedEvent]] {
        let newest = Set(everything[..<2].compactMap(\.last?.position))
        return everything.map { $0.filter { !newest.contains($0.position) } }
    }

    @Test("an old copy of the server's data: everything that was archived reads as before, and goes on")
    func oldCopy() throws {
        let before = withoutNewest(try rollBack())
        let notices = Notices()
        let opened = try reopened(notices)
        let store = try opened.open()
        let after = try archived.everything(keys: 60)
        #expect(after == before)
        let taken = notices.list.compactMap {
            if case .takenBack(_, let events, _) = $0 { events } else { nil }
        }
        #expect(taken.reduce(0, +) == before[2].count - 180)
        #expect(try opened.halts().list().isEmpty)
        // Ids, versions and sequences are those of before.
        for (key, events) in zip(0..., before[3...]) {
            guard !events.isEmpty else { continue }
            let again = try store.append(events.map(\.event), to: "key-\(key)", expecting: .absent)
            guard case .appended(let present) = again else { return #expect(Bool(false), "\(again)") }
            #expect(present.map(\.position) == events.map(\.position))
            #expect(!present.contains { !$0.wasPresent })
            #expect(try store.version(of: "key-\(key)") == UInt64(events.count))
        }
        let remaining = try opened.groups().remaining(after: [.start(of: 0), .start(of: 1)])
        #expect(remaining.reduce(0, +) == before[2].count)
        // It goes on: appends, archiving, and what was taken back is archived by the segments that have it.
        try appendSamples(opened, 2000..<2100, keys: 60)
        for partition in 0..<2 {
            let archiver = try opened.archiver(policy())
            #expect(try archiver.run(partition: partition, all: true).events > 20)
            #expect(try archiver.verify(partition: partition).events > 100)
        }
        let later = try archived.everything(keys: 60)
        #expect(Array(later[0].prefix(before[0].count)) == before[0])
        #expect(later[2].count == before[2].count + 100)
    }

    private func reopened(
        _ notices: Notices = Notices(), _ change: (inout RedisEventLog.Options) -> Void = { _ in }
    ) throws -> RedisEventLog {
        try RedisEventLog.open(
            "redis://127.0.0.1:\(log.address.first.port)/\(log.address.first.database)", createWith: nil,
            options: notices.options {
                $0.archive = archived.store
                change(&$0)
            })
    }

    @Test("groups get what was taken back once more, so that work whose result was lost is done again")
    func redelivered() throws {
        try appendSamples(log, 0..<100)
        let first = try member(log, "one")
        try first.acknowledge(try take(100, from: first, limit: 100).map(\.event.position))
        let copy = try DatabaseCopy(log)
        try appendSamples(log, 100..<200)
        let deliveries = try take(100, from: first, limit: 100)
        try first.acknowledge(deliveries.map(\.event.position))
        try archived.archive(policy())
        try copy.restore(log)
        let opened = try reopened()
        // The newest of each partition was never archived.
        let again = try take(98, from: try member(opened, "two"), limit: 100)
        #expect(Set(again.map(\.event.id)).isSubset(of: Set(deliveries.map(\.event.id))))
        #expect(Set(again.map(\.event.id)).count == 98)
    }

    @Test("only some partitions are older: the others stay as they are")
    func somePartitions() throws {
        let before = try rollBack(where: { $0.contains("{p001}") })
        _ = try reopened()
        let after = try archived.everything(keys: 60)
        #expect(after[0] == before[0])
        #expect(after[1] == withoutNewest(before)[1])
    }

    @Test("a process that runs on while the server is replaced takes it back when it connects again")
    func running() throws {
        let notices = Notices()
        let opened = try reopened(notices)
        let store = try opened.open()
        try appendSamples(log, 0..<100)
        let copy = try DatabaseCopy(log)
        // Known to this process, and to the archive but for the newest.
        var known: [AppendedEvent] = []
        for number in 0..<30 {
            guard
                case .appended(let events) = try store.append(
                    [SampleEvents.event("known-\(number)")], to: "key-1", expecting: .any)
            else { throw ConditionNotMet(description: "not appended") }
            known += events
        }
        try appendSamples(log, 100..<160)
        try archived.archive(policy())
        try copy.restore(log)
        try rawClient(log).raw("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        #expect(try store.load("key-1", after: 0, limit: 100).count >= 30)
        #expect(try opened.halts().list().isEmpty)
        #expect(notices.list.contains { if case .takenBack = $0 { true } else { false } })
        #expect(
            try store.load("key-1", after: known[0].sequence - 1, limit: 30).map(\.position)
                == known.map(\.position))
    }

    @Test("what is newer than the archive is lost, and only that")
    func lostBehind() throws {
        let opened = try reopened()
        let store = try opened.open()
        try appendSamples(log, 0..<100)
        let copy = try DatabaseCopy(log)
        try appendSamples(log, 100..<200)
        try archived.archive(policy())
        guard
            case .appended(let lost) = try store.append(
                [SampleEvents.event("lost")], to: "key-1", expecting: .any)
        else { throw ConditionNotMet(description: "not appended") }
        let partition = lost[0].position.partition
        try copy.restore(log)
        try rawClient(log).raw("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        try waitUntil("the loss is noticed") {
            do throws(LogFailure) {
                _ = try store.version(of: "key-1")
                return try !opened.halts().list().isEmpty
            } catch { return false }
        }
        #expect(try opened.halts().list().map(\.partition) == [partition])
        #expect(try opened.halts().list()[0].reason.contains("\(lost[0].position)"))
        // Everything but the newest is back.
        let archivedEnd = try #require(try archived.names(partition).last?.last)
        #expect(try store.end(of: partition) == archivedEnd)
        // Accepting the loss gives up no more than that.
        #expect(try opened.halts().lift(partition, by: "anna", because: "test") != nil)
        try opened.halts().refresh()
        #expect(try store.read(after: .start(of: partition), limit: 1000).last?.position == archivedEnd)
    }

    @Test("a log that went on without its archive contradicts it: the partition halts, and nothing is merged")
    func contradiction() throws {
        try appendSamples(log, 0..<100)
        let copy = try DatabaseCopy(log)
        try appendSamples(log, 100..<200)
        try archived.archive(policy())
        try copy.restore(log)
        // Somebody who has no archive appends.
        let other = try RedisEventLog.open(
            "redis://127.0.0.1:\(log.address.first.port)/\(log.address.first.database)", createWith: nil)
        let key = SampleEvents.key(in: 1, of: log.partitioning, salt: "new")
        _ = try other.open().append([SampleEvents.event("written over")], to: key, expecting: .absent)
        let live = try other.open().end(of: 1)
        let opened = try reopened()
        let halted = try opened.halts().list()
        #expect(halted.map(\.partition) == [1])
        #expect(halted.first?.reason.contains("contradicts the archive") == true)
        #expect(halted.first?.reason.contains(live.entryID) == true)
        #expect(try opened.open().end(of: 1) == live)
        // The archiver does nothing there; the other partition was taken back.
        let failure = #expect(throws: LogFailure.self) {
            try opened.archiver(policy()).run(partition: 1, all: true)
        }
        #expect(failure?.kind == .lostHistory)
        #expect(try opened.open().read(after: .start(of: 0), limit: 1000).count > 60)
        // Whoever accepts that keeps what the archive had beside it, and the log goes on.
        let names = try archived.names(1).filter { $0.last > live || $0.after >= .start(of: 1) }
        #expect(try opened.halts().lift(1, by: "anna", because: "test") != nil)
        try opened.halts().refresh()
        #expect(!archived.store.setAside.isEmpty)
        #expect(Set(archived.store.setAside).isSubset(of: names))
        _ = try opened.open().append([SampleEvents.event("next")], to: key, expecting: .exactly(1))
        #expect(try opened.archiver(policy()).run(partition: 1, all: true).events > 0)
        #expect(try opened.archiver(policy()).verify(partition: 1).events > 0)
        #expect(try reopened().halts().list().isEmpty)
    }

    @Test("what nobody has vouched for is not taken back, unless somebody says so")
    func unvouched() throws {
        let before = withoutNewest(try rollBack())
        archived.store.forgetVouchers()
        let opened = try reopened()
        let halted = try opened.halts().list()
        #expect(halted.map(\.partition) == [0, 1])
        #expect(halted.allSatisfy { $0.reason.contains("nobody with a key has vouched for it") })
        // That events are missing is not known.
        let begin = "whether the server has lost events cannot be told"
        #expect(halted.allSatisfy { $0.reason.hasPrefix(begin) })
        #expect(try opened.open().read(after: .start(of: 0), limit: 1000).count < before[0].count)
        for partition in 0..<2 { #expect(try opened.halts().takeBack(partition) == nil) }
        #expect(try opened.halts().mend() == [0, 1])
        #expect(try archived.everything(keys: 60) == before)
    }

    @Test("what an archiver that died has left beside segments that are vouched for is in nobody's way")
    func unvouchedBeside() throws {
        let before = withoutNewest(try rollBack())
        for state in try PartitionInspector(client: rawClient(log)).states([0, 1]) {
            // All that was archived later, in one segment: it goes on farther than any of them.
            let part = ArchivePart(epoch: log.epoch, partition: state.partition)
            let last = try #require(try archived.names(state.partition).map(\.last).max())
            let events = before[state.partition].filter { $0.position > state.through && $0.position <= last }
            let header = SegmentHeader(
                epoch: log.epoch, after: state.through, first: events[0].position, last: last,
                count: events.count, countBefore: state.count, previousHash: state.hash)
            try archived.store.write(
                header: header.json, index: SegmentIndex(of: events).encoded,
                payload: SegmentCoding.encode(events), as: header.name, in: part)
            #expect(archived.store.isVouched(header.name, hash: "", in: part) == nil)
        }
        let opened = try reopened()
        #expect(try opened.halts().list().isEmpty)
        #expect(try archived.everything(keys: 60) == before)
    }

    @Test("verifying the archive names a segment that goes beyond the log, until the log has it")
    func beyond() throws {
        _ = try rollBack()
        archived.store.forgetVouchers()
        let opened = try reopened()
        for partition in 0..<2 {
            let through = try opened.archiver(policy()).state(of: partition).through
            let segment = try #require(try archived.names(partition).first { $0.last > through })
            let failure = #expect(throws: LogFailure.self) {
                try opened.archiver(policy()).verify(partition: partition)
            }
            #expect(failure?.kind == .corrupt)
            #expect(failure?.isOfRecord == true)
            #expect(failure?.key == "\(LogPosition.partitionName(partition))/\(segment)")
            #expect(failure?.text.hasPrefix("it goes beyond what the log was archived up to") == true)
        }
        for partition in 0..<2 { #expect(try opened.halts().takeBack(partition) == nil) }
        #expect(try opened.halts().mend() == [0, 1])
        for partition in 0..<2 {
            #expect(try opened.archiver(policy()).verify(partition: partition).segments > 0)
        }
    }

    @Test("a segment that somebody has put there, and is no part of the log, adds nothing to it")
    func forged() throws {
        try appendSamples(log, 0..<100)
        try archived.archive(policy())
        let end = try log.open().end(of: 0)
        let link = try #require(
            try archived.names(0).last.map { name in
                let part = ArchivePart(epoch: log.epoch, partition: 0)
                return (name, try archived.store.read(name, in: part).hash)
            })
        // A segment as the archiver would write it, with an event that never happened.
        var place = end
        place.milliseconds += 5
        let event = RecordedEvent(
            event: SampleEvents.event("forged"), partitionKey: SampleEvents.key(in: 0, of: log.partitioning),
            sequence: 1, position: place)
        let state = try PartitionInspector(client: rawClient(log)).states([0])[0]
        let stream = try log.open().read(after: state.through, limit: 1000)
        let events = stream + [event]
        let header = SegmentHeader(
            epoch: log.epoch, after: state.through, first: events[0].position, last: place,
            count: events.count, countBefore: state.count, previousHash: link.1)
        try archived.store.write(
            header: header.json, index: SegmentIndex(of: events).encoded,
            payload: SegmentCoding.encode(events), as: header.name,
            in: ArchivePart(epoch: log.epoch, partition: 0))
        let opened = try reopened()
        #expect(try opened.halts().list().map(\.partition) == [0])
        #expect(try opened.open().end(of: 0) == end)
        #expect(try opened.open().version(of: event.partitionKey) == 0)
        // Taken away, it keeps nobody from going on.
        archived.store.remove(header.name, in: ArchivePart(epoch: log.epoch, partition: 0))
        #expect(try opened.halts().mend() == [0])
    }

    @Test("of archivers that raced, one chain is taken back, whichever segments it is cut into")
    func raced() throws {
        try appendSamples(log, 0..<100)
        let copy = try DatabaseCopy(log)
        try appendSamples(log, 100..<300)
        // One that dies before it trims, with another cut.
        for events in [15, 60] {
            #expect(throws: LogFailure.self) {
                try archived.archive(policy(events)) { step throws(LogFailure) in
                    if step == .verified {
                        throw LogFailure(.server, operation: "die", key: "", text: "killed")
                    }
                }
            }
        }
        try archived.archive(policy(25))
        let before = withoutNewest(try archived.everything(keys: 23))
        try copy.restore(log)
        let opened = try reopened()
        #expect(try opened.halts().list().isEmpty)
        #expect(try archived.everything(keys: 23) == before)
    }

    @Test("whoever only looks writes nothing, and does not take the log for whole")
    func looking() throws {
        _ = try rollBack()
        let server = try DatabaseCopy(log)
        let opened = try reopened { $0.onlyLooks = true }
        #expect(opened.history.halted == [0, 1])
        #expect(opened.history.reason(0)?.contains("the archive has events up to") == true)
        #expect(try opened.halts().list().isEmpty)
        #expect(try DatabaseCopy(log).count == server.count)
        let feed = try opened.follow(after: [.start(of: 0), .start(of: 1)])
        #expect(try feed.next(limit: 10, waitMilliseconds: 0).isEmpty)
    }

    private func reopened(_ change: (inout RedisEventLog.Options) -> Void) throws -> RedisEventLog {
        try reopened(Notices(), change)
    }

    @Test("a server without room keeps the partition halted until there is some, and then goes on by itself")
    func noRoom() throws {
        let server = try TestRedis.start()
        let store = InMemorySegmentStore()
        let options = Notices().options { $0.archive = store }
        let log = try RedisEventLog.open(server.url, createWith: 1, options: options)
        try appendSamples(log, 0..<50)
        let copy = try DatabaseCopy(log)
        try appendSamples(log, 50..<100)
        _ = try log.archiver(policy()).run(partition: 0, all: true)
        try copy.restore(log)
        try server.run("CONFIG", "SET", "maxmemory", "1")
        let opened = try RedisEventLog.open(server.url, createWith: nil, options: options)
        #expect(try opened.halts().list().map(\.partition) == [0])
        #expect(try opened.halts().list()[0].reason.contains("maxmemory"))
        #expect(try opened.halts().mend().isEmpty)
        try server.run("CONFIG", "SET", "maxmemory", "0")
        #expect(try opened.halts().mend() == [0])
        #expect(try opened.open().read(after: .start(of: 0), limit: 200).count == 99)
    }
}
