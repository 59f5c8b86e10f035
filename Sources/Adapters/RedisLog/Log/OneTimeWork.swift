package import Base
package import EventSourcing
internal import Synchronization

/// Work that is done once for a log, such as what an upgrade asks for: whether it is done stands in
/// `reel:meta`. Calls block; any thread.
package final class OneTimeWork: Sendable {
    private let name: String
    private let log: RedisEventLog
    /// Once done it stays so.
    private let known = Atomic(false)

    init(_ name: String, _ log: RedisEventLog) {
        self.name = name
        self.log = log
    }

    private var field: String { "done:\(name)" }

    /// Whether it is done.
    package func isDone() throws(LogFailure) -> Bool {
        if known.load(ordering: .relaxed) { return true }
        let reply = try log.client("once").command(
            "read one-time work", LogKeys.meta, ["HGET", LogKeys.meta, field])
        if reply.text != nil { known.store(true, ordering: .relaxed) }
        return reply.text != nil
    }

    /// Notes that it is done, and when.
    package func markDone(at time: Timestamp) throws(LogFailure) {
        _ = try log.client("once").command(
            "note one-time work", LogKeys.meta, ["HSETNX", LogKeys.meta, field, time.rfc3339])
        known.store(true, ordering: .relaxed)
    }
}

extension RedisEventLog {
    /// Work of this name, which is done once for the log.
    package func oneTimeWork(_ name: String) -> OneTimeWork { OneTimeWork(name, self) }
}
