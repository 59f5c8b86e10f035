public import EventSourcing

/// A partition that is halted.
public struct HaltedPartition: Sendable, Hashable {
    /// Its number.
    public var partition: Int
    /// What was noticed, and when.
    public var reason: String
}

/// Partitions that are halted because they lack events that were acknowledged or read before. Blocks;
/// one thread.
public final class RedisHalts {
    private let client: RedisClient
    private let history: HistoryWatch
    private let notify: @Sendable (RedisLogNotice) -> Void

    init(_ client: RedisClient, _ history: HistoryWatch) {
        self.client = client
        self.history = history
        notify = client.options.notify
    }

    func book() throws(LogFailure) -> HaltBook {
        HaltBook(try client.command("list halts", LogKeys.halted, ["HGETALL", LogKeys.halted]).elements)
    }

    /// The halted partitions in order.
    public func list() throws(LogFailure) -> [HaltedPartition] {
        try book().marks.sorted { $0.key < $1.key }.map {
            HaltedPartition(partition: $0.key, reason: $0.value)
        }
    }

    /// The last lifting of each partition that was halted before, by partition.
    public func lifted() throws(LogFailure) -> [LiftedHalt] { try book().lifted }

    /// Takes in, for the whole process, what others have halted and lifted. Where a halt was lifted, feeds
    /// and subscriptions fail once with `lostHistory`, and whoever opens them anew goes on there too. Calling
    /// it once a second bounds how long a process goes on in a partition that another one has halted.
    public func refresh() throws(LogFailure) {
        let book = try book()
        let change = history.take(book)
        for partition in change.halted.sorted() {
            notify(.partitionHalted(partition, book.marks[partition] ?? ""))
        }
        for lifted in book.lifted where change.lifted.contains(lifted.partition) {
            notify(.partitionLifted(lifted.partition, "\(lifted.by): \(lifted.reason)"))
        }
        // A failover may lose the mark like anything else; whoever noticed the loss knows it still.
        for partition in change.unmarked.sorted() {
            guard let reason = history.reason(partition) else { continue }
            _ = try client.command(
                "halt", LogPosition.partitionName(partition), HaltBook.halt(partition, reason))
        }
    }

    /// Accepts the loss: the partition is open again, to processes that run (within a second or so, see
    /// `refresh`) and to those that start. Checkpoints beside the log that are ahead of it are forgotten.
    /// What was derived elsewhere from the lost events must be put right before.
    /// - Returns: nil when the partition is not halted.
    public func lift(
        _ partition: Int, by actor: String, because reason: String
    ) throws(LogFailure) -> LiftedHalt? {
        let name = LogPosition.partitionName(partition)
        guard let halt = try book().marks[partition] else { return nil }
        try forgetCheckpoints(partition)
        let lifting = LiftedHalt(
            partition: partition, at: SystemClock().now(), by: actor, reason: reason, halt: halt)
        _ = try client.command("lift halt", name, HaltBook.lift(lifting))
        return lifting
    }

    /// Forgets checkpoints of positions that the log does not have: their subscriptions begin at the start,
    /// and pass over what they have handled.
    private func forgetCheckpoints(_ partition: Int) throws(LogFailure) {
        let key = LogKeys.checkpoints(partition)
        let log = LogKeys.log(partition)
        let saved = try client.command("lift halt", key, ["HGETALL", key]).elements
        for index in stride(from: 0, to: saved.count - 1, by: 2) {
            guard let name = saved[index].text, let entry = saved[index + 1].text,
                let position = LogPosition(partition: partition, entryID: entry), position.milliseconds > 0,
                try client.command("lift halt", log, ["XRANGE", log, entry, entry]).elements.isEmpty
            else { continue }
            let stream = try client.command(
                "lift halt", log, ["XINFO", "STREAM", log], accepting: HistoryCheck.missingKey)
            if HistoryCheck.end(of: stream, without: position) != nil {
                _ = try client.command("lift halt", key, ["HDEL", key, name])
            }
        }
    }
}
