import EventSourcing
import Simulation
import TestServers
import Testing

@testable import RedisLog

/// What somebody takes out of a partition who is not the archiver.
@Suite("What is gone and not archived is a loss, whoever took it")
struct GoneTests {
    /// What somebody does to a partition whose first part may be archived.
    struct Deed: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// Whether its first part is archived before.
        var isArchived = false
        let act: @Sendable (RedisClient, [LogPosition]) throws -> Void
    }

    static let deeds: [Deed] = [false, true].flatMap { isArchived in
        [
            Deed(testDescription: "the head is trimmed", isArchived: isArchived) { client, _ in
                try client.raw("XTRIM", LogKeys.log(0), "MAXLEN", "3")
            },
            Deed(testDescription: "everything is trimmed", isArchived: isArchived) { client, _ in
                try client.raw("XTRIM", LogKeys.log(0), "MAXLEN", "0")
            },
            Deed(testDescription: "an entry in the middle is deleted", isArchived: isArchived) {
                client, live in
                try client.raw("XDEL", LogKeys.log(0), live[live.count / 2].entryID)
            },
            Deed(testDescription: "the newest entry is deleted", isArchived: isArchived) { client, live in
                try client.raw("XDEL", LogKeys.log(0), live[live.count - 1].entryID)
            },
            Deed(testDescription: "the stream is deleted", isArchived: isArchived) { client, _ in
                try client.raw("DEL", LogKeys.log(0))
            },
            Deed(
                testDescription: "the stream is deleted, and somebody has written on", isArchived: isArchived
            ) {
                client, live in
                let entry = try client.raw("XRANGE", LogKeys.log(0), live[1].entryID, live[1].entryID)
                let fields = entry.elements.first?.elements.last?.elements.compactMap(\.text) ?? []
                try client.raw("DEL", LogKeys.log(0))
                _ = try client.command("test", "test", ["XADD", LogKeys.log(0), "*"] + fields)
            },
        ]
    }

    private let server: TestRedis
    private let archived: ArchivedLog
    private let live: [LogPosition]
    private var log: RedisEventLog { archived.log }

    init() throws {
        server = try TestRedis.start()
        archived = try ArchivedLog(partitions: 1, on: server)
        try appendSamples(archived.log, 0..<60)
        live = try appendSamples(archived.log, 60..<90)
        // A subscription has handled all of it.
        try archived.log.checkpoints().save("completion", [live[29]])
    }

    private func archive() throws {
        _ = try log.archiver(ArchivePolicy()).run(partition: 0, upTo: live[0], all: true)
    }

    private func reopened() throws -> RedisEventLog { try archived.reopened() }

    private func expectLoss(_ what: String, _ body: () throws -> Void) {
        let failure = #expect(throws: LogFailure.self, "\(what)") { try body() }
        #expect(failure?.kind == .lostHistory, "\(what): \(String(describing: failure))")
    }

    @Test("noticed by whoever opens a feed, archives, or looks", arguments: deeds)
    func noticed(_ deed: Deed) throws {
        for reader in [
            "a feed that begins", "a feed that goes on", "the archiver", "a look", "pending entries",
        ] {
            let case_ = try GoneTests()
            if deed.isArchived { try case_.archive() }
            try case_.notice(deed, reader)
        }
    }

    private func notice(_ deed: Deed, _ reader: String) throws {
        let log = try reopened()
        let client = rawClient(log)
        switch reader {
        case "a feed that begins":
            try deed.act(client, live)
            expectLoss(reader) { _ = try reopened().follow(after: [.start(of: 0)]) }
        case "a feed that goes on":
            let feed = try log.follow(after: [live[4]])
            _ = try feed.next(limit: 3, waitMilliseconds: 0)
            try deed.act(client, live)
            // Whatever comes of a partition that lacks something is looked at.
            let others = try RedisEventLog.open(
                "redis://127.0.0.1:\(log.address.first.port)/\(log.address.first.database)", createWith: nil
            ).open()
            var number = 0
            try waitUntil("the feed notices", seconds: 20) {
                number += 1
                do throws(LogFailure) {
                    _ = try others.append(
                        [SampleEvents.event("later-\(number)")], to: "key-2", expecting: .any)
                    _ = try feed.next(limit: 50, waitMilliseconds: 100)
                    return false
                } catch { return error.kind == .lostHistory }
            }
        case "the archiver":
            try deed.act(client, live)
            let before = try archived.names(0)
            expectLoss(reader) {
                _ = try reopened().archiver(ArchivePolicy()).run(partition: 0, all: true)
            }
            #expect(try archived.names(0) == before)
        case "a look":
            try deed.act(client, live)
            let watch = log.watch()
            try waitUntil("the look notices", seconds: 20) { watch.look().halted.map(\.partition) == [0] }
        default:
            let subscription = try member(log, "one")
            try log.liveness().beat(ConsumerName.mark(ofInstance: "one"), forMilliseconds: 60_000)
            _ = try take(20, from: subscription, limit: 20)
            try deed.act(client, live)
            guard try client.raw("EXISTS", LogKeys.log(0)).integer == 1 else { return }
            guard try client.raw("XINFO", "GROUPS", LogKeys.log(0)).elements.count == 1 else { return }
            try client.raw("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            try waitUntil("the member notices, or has lost nothing of its own") {
                do throws(LogFailure) {
                    return try subscription.next(limit: 100, waitMilliseconds: 10).isEmpty
                } catch {
                    return error.kind == .lostHistory || error.isTransient && log.history.halted == [0]
                }
            }
        }
        // Everybody hears of it, and nothing is appended.
        let halted = try reopened().halts().list()
        guard reader != "pending entries" || !halted.isEmpty else { return }
        #expect(halted.map(\.partition) == [0], "\(reader)")
        #expect(halted.first?.reason.contains("has lost events that were acknowledged") == true)
        expectLoss("append") {
            _ = try reopened().open().append([SampleEvents.event("x")], to: "key-1", expecting: .any)
        }
    }

    @Test("the halt names what is gone: how many, from where to where, of which sessions")
    func named() throws {
        try rawClient(log).raw("XTRIM", LogKeys.log(0), "MAXLEN", "3")
        expectLoss("follow") { _ = try reopened().follow(after: [.start(of: 0)]) }
        let reason = try #require(try log.halts().list().first).reason
        let first = try rawClient(log).raw("XRANGE", LogKeys.log(0), "-", "+", "COUNT", "1")
        let entry = try #require(first.elements.first?.elements.first?.text)
        #expect(reason.contains("87 of its entries are gone that the archive does not have"))
        #expect(reason.contains("it begins at \(entry) now"))
        #expect(reason.contains("missing are 87 from"))
        #expect(reason.contains("of key-0, key-1, key-10"))
        #expect(reason.contains("and 15 more"))
    }

    @Test("a history that does not begin with 1, or has a gap, is an error, and what is left of it is shown")
    func histories() throws {
        let store = try log.open()
        // The first event of one session, the second of another one.
        let first = try store.load("key-3", after: 0, limit: 1)[0].position
        let second = try store.load("key-4", after: 1, limit: 1)[0].position
        for place in [first, second] { try rawClient(log).raw("XDEL", LogKeys.log(0), place.entryID) }
        for (key, hole, place) in [("key-3", 1, first), ("key-4", 2, second)] {
            let failure = #expect(throws: LogFailure.self) {
                try reopened().open().load(key, after: 0, limit: 10)
            }
            #expect(failure?.unreadableEntry == place)
            let page = try reopened().open().entries(of: key, after: 0, limit: 10)
            #expect(page.entries.map(\.sequence) == [1, 2, 3, 4])
            #expect(page.entries.filter { $0.event == nil }.map(\.sequence) == [UInt64(hole)])
        }
        // Whoever reads has halted the partition; accepting it leaves these two as they are, named.
        #expect(try log.halts().list().map(\.partition) == [0])
        #expect(try log.halts().lift(0, by: "anna", because: "test") != nil)
        let later = try reopened()
        try appendSamples(later, 100..<123)
        let failure = #expect(throws: LogFailure.self) { try later.open().load("key-3", after: 0, limit: 10) }
        #expect(failure?.unreadableEntry == first)
        #expect(try later.halts().list().isEmpty)
        // And so does archiving them.
        try later.checkpoints().save("completion", [try later.open().end(of: 0)])
        #expect(try later.archiver(ArchivePolicy()).run(partition: 0, all: true).events > 100)
        for (key, hole) in [("key-3", UInt64(1)), ("key-4", 2)] {
            let failure = #expect(throws: LogFailure.self) {
                try reopened().open().load(key, after: 0, limit: 10)
            }
            #expect(failure?.kind == .unreadable)
            let page = try reopened().open().entries(of: key, after: 0, limit: 10)
            #expect(page.entries.map(\.sequence) == [1, 2, 3, 4, 5])
            #expect(page.entries.filter { $0.event == nil }.map(\.sequence) == [hole])
        }
        #expect(try reopened().open().load("key-5", after: 0, limit: 10).map(\.sequence) == [1, 2, 3, 4, 5])
        #expect(try later.archiver(ArchivePolicy()).verify(partition: 0).events > 100)
    }

    @Test("when what was gone is there again, the partition goes on by itself")
    func restored() throws {
        let copy = try DatabaseCopy(log) { $0 == LogKeys.log(0) }
        try rawClient(log).raw("XTRIM", LogKeys.log(0), "MAXLEN", "3")
        expectLoss("follow") { _ = try reopened().follow(after: [.start(of: 0)]) }
        let other = try reopened()
        #expect(other.history.halted == [0])
        #expect(try other.halts().mend().isEmpty)
        try copy.restore(log) { $0 == LogKeys.log(0) }
        #expect(try other.halts().mend() == [0])
        #expect(other.history.halted.isEmpty)
        #expect(try other.halts().lifted().map(\.by) == ["reel"])
        _ = try other.open().append([SampleEvents.event("next")], to: "key-1", expecting: .any)
    }

    @Test("what a partition keeps of a session is gone", arguments: ["s", "i"])
    func sessionKeys(_ letter: String) throws {
        try rawClient(log).raw("DEL", "reel:{p000}:\(letter):key-1")
        for call in [
            { _ = try self.reopened().open().load("key-1", after: 0, limit: 5) },
            { _ = try self.reopened().open().version(of: "key-1") },
            {
                _ = try self.reopened().open().append([SampleEvents.event("x")], to: "key-1", expecting: .any)
            },
            {
                let events = [SampleEvents.event("y"), SampleEvents.event("z")]
                _ = try self.reopened().open().append(events, to: "key-1", expecting: .absent)
            },
        ] { expectLoss("call", call) }
        #expect(try log.halts().list().first?.reason.contains("reel:{p000}:\(letter):key-1 is gone") == true)
    }

    @Test("all that a partition keeps of a session is gone: nothing is archived over it")
    func sessionForgotten() throws {
        try rawClient(log).raw("DEL", "reel:{p000}:s:key-1", "reel:{p000}:i:key-1")
        expectLoss("archive") { _ = try reopened().archiver(ArchivePolicy()).run(partition: 0, all: true) }
        #expect(try archived.names(0).count <= 1)
        #expect(try log.halts().list().first?.reason.contains("what it says of key-1 is gone") == true)
        #expect(try rawClient(log).raw("XLEN", LogKeys.log(0)).integer == 90)
    }

    @Test("counters that are gone come back, and ids of archived sessions are known all the same")
    func ranks() throws {
        let store = try log.open()
        let event = SampleEvents.event("gone")
        _ = try store.append([event], to: "archived", expecting: .absent)
        try appendSamples(log, 200..<210)
        try log.checkpoints().save("completion", [try store.end(of: 0)])
        _ = try log.archiver(ArchivePolicy()).run(partition: 0, all: true)
        let remaining = try log.groups().remaining(after: [.start(of: 0)])
        try rawClient(log).raw("DEL", LogKeys.ranks(0))
        // The same append again finds its event in the archive.
        guard
            case .appended(let again) = try reopened().open().append(
                [event], to: "archived", expecting: .absent)
        else { return #expect(Bool(false), "not appended") }
        #expect(again.map(\.wasPresent) == [true])
        #expect(try log.groups().remaining(after: [.start(of: 0)]) == remaining)
        #expect(try reopened().halts().list().isEmpty)
    }

    @Test(
        "what a partition says of its archive is changed: it is put right from the archive",
        arguments: [["DEL"], ["HSET", "count", "7"], ["HSET", "through", "0-0"], ["HDEL", "count"]])
    func archiveHash(_ words: [String]) throws {
        try archive()
        let before = try archived.everything(keys: 23)
        let key = LogKeys.archive(0)
        _ = try rawClient(log).command("test", "test", [words[0], key] + words.dropFirst())
        let notices = Notices()
        _ = try RedisEventLog.open(
            "redis://127.0.0.1:\(log.address.first.port)/\(log.address.first.database)", createWith: nil,
            options: notices.options { $0.archive = archived.store })
        #expect(notices.list.contains { if case .archiveMended = $0 { true } else { false } })
        #expect(try log.halts().list().isEmpty)
        #expect(try archived.everything(keys: 23) == before)
        #expect(try reopened().archiver(ArchivePolicy()).verify(partition: 0).events > 50)
    }

    @Test("what a partition says of its archive is changed, and the archive does not know better: it halts")
    func archiveHashWithoutArchive() throws {
        try archive()
        _ = try rawClient(log).raw("DEL", LogKeys.archive(0))
        for name in try archived.names(0) {
            archived.store.remove(name, in: ArchivePart(epoch: log.epoch, partition: 0))
        }
        expectLoss("follow") { _ = try reopened().follow(after: [.start(of: 0)]) }
    }

    @Test("the hash of the last segment is changed: whoever reads the archive says so")
    func archiveHashChanged() throws {
        try archive()
        _ = try rawClient(log).raw("HSET", LogKeys.archive(0), "hash", String(repeating: "0", count: 64))
        let failure = #expect(throws: LogFailure.self) {
            try reopened().open().read(after: .start(of: 0), limit: 5)
        }
        #expect(failure?.kind == .corrupt)
        #expect(throws: LogFailure.self) {
            try reopened().archiver(ArchivePolicy()).run(partition: 0, all: true)
        }
    }

    @Test("a key of the log that holds something else halts its partition")
    func overwritten() throws {
        try rawClient(log).raw("SET", LogKeys.log(0), "x")
        let failure = #expect(throws: LogFailure.self) { try reopened().follow(after: [.start(of: 0)]) }
        #expect(failure?.text.contains("overwritten") == true)
    }
}
