import Base
import EventSourcing
import Foundation
import Pipeline
import RedisLog
import Simulation
import TestServers
import Testing
import Files

/// Ends the n-th file call of a thread and all after it, as a killed process would.
private final class Killer: FileWatcher {
    private let left: Lock<Int>
    let reached = Lock(0)

    init(after calls: Int) { left = Lock(calls) }

    func before(_ operation: String, _ path: String) throws(FileFailure) {
        reached.withLock { $0 += 1 }
        let isDead = left.withLock { left in
            left -= 1
            return left < 0
        }
        if isDead { throw FileFailure(operation, path, code: EIO) }
    }
}

/// A log with an archive of files.
private struct FiledLog {
    let root = FileManager.default.temporaryDirectory.path + "/reel-archive-\(UUID().uuidString)"
    let url: String
    let log: RedisEventLog

    init(partitions: Int) throws {
        let server = try TestRedis.shared
        url = "\(server.url)/\(server.freshDatabase())"
        var options = RedisEventLog.Options()
        options.archive = FileSegmentStore(root: root)
        log = try RedisEventLog.open(url, createWith: partitions, options: options)
    }

    func reopened() throws -> RedisEventLog {
        var options = RedisEventLog.Options()
        options.archive = FileSegmentStore(root: root)
        return try RedisEventLog.open(url, createWith: nil, options: options)
    }

    func append(_ range: Range<Int>, eventsPerKey: Int = 50) throws {
        let store = try log.open()
        var at = range.lowerBound
        while at < range.upperBound {
            let end = min(at + 2000, range.upperBound)
            let batches = (at..<end).map { number in
                AppendBatch(
                    to: "session-\(number / eventsPerKey)", expecting: .any,
                    [SampleEvents.event("\(number / eventsPerKey)/e\(number)", number: number)])
            }
            for outcome in try store.append(batches) {
                guard case .appended = outcome else { throw Refused(outcome: outcome) }
            }
            at = end
        }
    }

    struct Refused: Error { let outcome: AppendOutcome }

    func archive(afterEvents: Int, all: Bool) throws {
        var policy = ArchivePolicy()
        policy.afterEvents = afterEvents
        let archiver = try reopened().archiver(policy)
        for partition in 0..<log.partitioning.count { _ = try archiver.run(partition: partition, all: all) }
    }

    func everything() throws -> [RecordedEvent] {
        let store = try reopened().open()
        return try (0..<log.partitioning.count).flatMap {
            try store.read(after: .start(of: $0), limit: 1_000_000)
        }
    }

    var files: [String] {
        (FileManager.default.enumerator(atPath: root)?.allObjects as? [String] ?? []).sorted()
    }

    func remove() { try? FileManager.default.removeItem(atPath: root) }
}

@Suite("Archive in files")
struct ArchiveFileTests {
    @Test("a run that is killed at any file call is gone on with; no call leaves a half segment")
    func killed() throws {
        let filed = try FiledLog(partitions: 1)
        defer { filed.remove() }
        try filed.append(0..<60)
        let before = try filed.everything()
        var calls = 0
        while true {
            let killer = Killer(after: calls)
            let died = FileCalls.$watcher.withValue(killer) { () -> Bool in
                do {
                    try filed.archive(afterEvents: 1000, all: true)
                    return false
                } catch { return true }
            }
            #expect(try filed.everything() == before, "after \(calls) calls")
            if !died { break }
            calls += 1
        }
        #expect(calls > 5)
        let segments = filed.files.filter { $0.hasSuffix(".seg") }
        #expect(segments.count == 1)
        #expect(try filed.log.archiver(ArchivePolicy()).verify(partition: 0).events == 59)
    }

    @Test("every changed byte of a segment is found, and the file is named")
    func damage() throws {
        let filed = try FiledLog(partitions: 1)
        defer { filed.remove() }
        try filed.append(0..<40)
        try filed.archive(afterEvents: 1000, all: true)
        let name = try #require(filed.files.first { $0.hasSuffix(".seg") })
        let path = "\(filed.root)/\(name)"
        let good = try #require(FileManager.default.contents(atPath: path))
        for at in stride(from: 0, to: good.count, by: 7) {
            var bad = good
            bad[at] ^= 0x20
            try bad.write(to: URL(fileURLWithPath: path))
            let failure = #expect(throws: LogFailure.self) { try filed.everything() }
            #expect(failure?.kind == .corrupt)
            #expect(failure?.key.hasSuffix(".seg") == true)
        }
        for count in [0, 10, 24, 100, good.count - 1] {
            try good.prefix(count).write(to: URL(fileURLWithPath: path))
            #expect(throws: LogFailure.self) { try filed.everything() }
            #expect(throws: LogFailure.self) { try filed.log.archiver(ArchivePolicy()).verify(partition: 0) }
        }
        try good.write(to: URL(fileURLWithPath: path))
        #expect(try filed.everything().count == 40)
    }

    /// Appends and archives by turns, and looks at the server's memory. REEL_GROWTH_EVENTS makes it longer.
    @Test("the server's memory stays flat while the log grows")
    func growth() throws {
        let asked = ProcessInfo.processInfo.environment["REEL_GROWTH_EVENTS"].flatMap(Int.init)
        let total = asked ?? 20_000
        let rounds = 10
        let filed = try FiledLog(partitions: 4)
        defer { filed.remove() }
        var used: [Int] = []
        for round in 0..<rounds {
            var at = round * total / rounds
            let end = (round + 1) * total / rounds
            while at < end {
                let next = min(at + 10_000, end)
                try filed.append(at..<next)
                try filed.archive(afterEvents: 500, all: false)
                at = next
            }
            used.append(try filed.log.memory().bytes)
        }
        // The first round leaves what is not archived yet; after that nothing is added.
        #expect(used.dropFirst().allSatisfy { $0 < used[0] * 3 / 2 + 200_000 }, "\(used)")
        let archived = try filed.log.archiver(ArchivePolicy()).status().map(\.archivedEvents).reduce(0, +)
        #expect(archived > total - 4 * 501 - 1)
        if asked != nil { print("growth of \(total) events, bytes in the server by tenths: \(used)") }
        let store = try filed.reopened().open()
        #expect(try store.load("session-0", after: 0, limit: 100).count == 50)
    }
}
