import EventSourcing
import Simulation
import TestServers
import Testing

@testable import RedisLog

/// Somebody puts the keys of another log in the place of this one's, in one step: no connection is lost, and
/// nobody is told.
@Suite("Another log under open connections")
struct OtherLogTests {
    private let server: TestRedis
    private let log: RedisEventLog
    private let url: String

    init() throws {
        server = try TestRedis.start()
        url = "\(server.url)/0"
        log = try RedisEventLog.open(url, createWith: 2)
    }

    /// The same log for a process that knows nothing of what others find out.
    private func process() throws -> RedisEventLog { try RedisEventLog.open(url, createWith: nil) }

    /// Another log, newer than this one, with other partition keys.
    private func another() throws -> (epoch: String, copy: DatabaseCopy) {
        let other = try RedisEventLog.open("\(server.url)/1", createWith: 2)
        let store = try other.open()
        for number in 0..<40 {
            _ = try store.append(
                [SampleEvents.event("Sampled-\(number)", number: number)], to: "other-\(number)",
                expecting: .absent)
        }
        // It has the group, as any log that works has; who joined it here is not to be served from there.
        _ = try member(other, "there").next(limit: 1, waitMilliseconds: 0)
        return (other.epoch, try DatabaseCopy(other))
    }

    /// Entries that were ever added to each partition.
    private func lengths() throws -> [Int] {
        try PartitionInspector(client: rawClient(log)).states([0, 1]).map(\.added)
    }

    @Test("whoever appends, reads, follows or is in a group is refused by name; nothing is appended there")
    func exchanged() throws {
        try appendSamples(log, 0..<40)
        let appending = try process().open()
        _ = try appending.append([SampleEvents.event("a")], to: "key-1", expecting: .any)
        let loading = try process().open()
        #expect(try !loading.load("key-2", after: 0, limit: 10).isEmpty)
        let reading = try process().open()
        #expect(try !reading.read(after: .start(of: 0), limit: 100).isEmpty)
        let feed = try process().follow(after: [.start(of: 0), .start(of: 1)])
        while try !feed.next(limit: 100, waitMilliseconds: 0).isEmpty {}
        let group = try member(try process(), "here")
        try group.acknowledge(try take(40, from: group, limit: 40).map(\.event.position))
        let watching = try process()
        let watch = watching.watch()
        #expect(watch.look().failure == nil)

        let ours = try DatabaseCopy(log)
        let (epoch, copy) = try another()
        try copy.restore(log)
        let there = try DatabaseCopy(log)
        let lengths = try lengths()

        let calls: [(name: String, call: () throws -> Void)] = [
            ("append", { _ = try appending.append([SampleEvents.event("b")], to: "key-1", expecting: .any) }),
            ("load", { _ = try loading.load("key-2", after: 0, limit: 10) }),
            ("read", { _ = try reading.read(after: .start(of: 0), limit: 100) }),
            ("feed", { _ = try feed.next(limit: 100, waitMilliseconds: 0) }),
            ("group", { _ = try group.next(limit: 10, waitMilliseconds: 0) }),
        ]
        for (name, call) in calls {
            // Each twice: the second time the process knows it.
            for _ in 0..<2 {
                let failure = #expect(throws: LogFailure.self, "\(name)") { try call() }
                #expect(failure?.kind == .otherLog, "\(name): \(String(describing: failure))")
                #expect(
                    failure?.text
                        == "another log stands there now: its epoch is \(epoch), expected \(log.epoch)",
                    "\(name)")
            }
        }
        #expect(watch.look().failure?.kind == .otherLog)
        // What was read in the name of a member is pending there, as after a member that died.
        #expect(try self.lengths() == lengths)
        let changed = try DatabaseCopy(log).differing(from: there)
        #expect(changed.allSatisfy { $0.hasSuffix(":log") }, "\(changed)")

        // The right one is put back: everybody goes on.
        try ours.restore(log)
        try waitUntil("everybody goes on") {
            for (_, call) in calls {
                do { try call() } catch { return false }
            }
            return watch.look().failure == nil
        }
        #expect(try loading.load("key-1", after: 0, limit: 10).map(\.id).suffix(2) == ["a", "b"])
    }
}
