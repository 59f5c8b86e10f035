internal import Base
package import EventSourcing

/// A partition that is halted.
package struct HaltedPartition: Sendable, Hashable {
    /// Its number.
    package var partition: Int
    /// What was noticed, and when.
    package var reason: String
}

/// Partitions that are halted because they lack events that were acknowledged or read before. Blocks;
/// one thread.
package final class RedisHalts {
    private let client: RedisClient
    private let history: HistoryWatch
    private let notify: @Sendable (RedisLogNotice) -> Void

    init(_ client: RedisClient, _ history: HistoryWatch) {
        self.client = client
        self.history = history
        notify = client.options.notify
    }

    func book() throws(LogFailure) -> HaltRegistry {
        HaltRegistry(try client.command("list halts", LogKeys.halted, ["HGETALL", LogKeys.halted]).elements)
    }

    /// The halted partitions in order.
    package func list() throws(LogFailure) -> [HaltedPartition] {
        try book().marks.sorted { $0.key < $1.key }.map {
            HaltedPartition(partition: $0.key, reason: $0.value)
        }
    }

    /// The last lifting of each partition that was halted before, by partition.
    package func lifted() throws(LogFailure) -> [LiftedHalt] { try book().lifted }

    /// Takes in, for the whole process, what others have halted and lifted. Where a halt was lifted, feeds
    /// and subscriptions fail once with `lostHistory`, and whoever opens them anew goes on there too. Calling
    /// it once a second bounds how long a process goes on in a partition that another one has halted.
    package func refresh() throws(LogFailure) {
        let book = try book()
        let change = history.take(book)
        for partition in change.halted.sorted() {
            notify(.partitionHalted(partition, book.marks[partition] ?? ""))
        }
        for lifted in book.lifted where change.lifted.contains(lifted.partition) {
            notify(.partitionLifted(lifted.partition, "\(lifted.by): \(lifted.reason)"))
        }
        // A failover may lose the mark like anything else; whoever noticed the loss knows it still. And who
        // knows a newer position than the mark says adds it.
        var fields: [String] = []
        for partition in change.unmarked.sorted() {
            guard let reason = history.reason(partition) else { continue }
            fields += HaltRegistry.halt(partition, reason, missing: history.newest(partition))
        }
        for (partition, reason) in book.marks.sorted(by: { $0.key < $1.key }) {
            guard let marked = book.missing[partition], let known = history.newest(partition), known > marked
            else { continue }
            fields += HaltRegistry.halt(partition, reason, missing: known)
        }
        if !fields.isEmpty, !client.options.onlyLooks { try write(fields, "halt") }
    }

    /// Writes marks. Refused by a server that takes no writes: the next look tries again.
    private func write(_ fields: [String], _ operation: String) throws(LogFailure) {
        do throws(LogFailure) {
            _ = try client.run(operation, LogKeys.halted, .set, [LogKeys.halted], fields)
        } catch { guard error.kind == .refusingWrites || error.kind == .denied else { throw error } }
    }

    /// Takes back what the archive has of halted partitions, and opens those that lack nothing any more: the
    /// server's data were restored, or the archive had it all.
    /// - Returns: the partitions that go on.
    package func mend() throws(LogFailure) -> [Int] {
        let book = try book()
        try releaseHere()
        // What an earlier version halted does not say what is missing: people decide.
        let candidates = book.marks.keys.filter { book.missing[$0] != nil }.sorted()
        guard !candidates.isEmpty, !client.options.onlyLooks else { return [] }
        let losses = try history.recovery?.run(candidates) ?? []
        let inspector = PartitionInspector(client: client)
        var mended: [Int] = []
        for state in try inspector.states(candidates) {
            let partition = state.partition
            guard state.findings.isEmpty, !losses.contains(where: { $0.partition == partition }) else {
                continue
            }
            guard try inspector.has(newest(partition, book), in: state, archive) == true else { continue }
            let lifting = LiftedHalt(
                partition: partition, at: SystemClock().now(), by: "reel",
                reason: "nothing is missing any more",
                halt: book.marks[partition] ?? "")
            try write(HaltRegistry.lift(lifting), "mend")
            mended.append(partition)
        }
        if !mended.isEmpty { try refresh() }
        return mended
    }

    /// Goes on in partitions that others had to put right, once they have.
    private func releaseHere() throws(LogFailure) {
        let here = history.haltedHere
        guard !here.isEmpty else { return }
        let losses = try history.recovery?.run(here) ?? []
        let inspector = PartitionInspector(client: client)
        for state in try inspector.states(here) where state.findings.isEmpty {
            guard !losses.contains(where: { $0.partition == state.partition }),
                try inspector.has(newest(state.partition, HaltRegistry()), in: state, archive) == true
            else { continue }
            history.release(state.partition)
            notify(.partitionLifted(state.partition, "reel: nothing is missing any more"))
        }
    }

    private var archive: Archive? { history.recovery?.archive }

    /// The newest place of a partition that anybody knows of, as far as this process and a mark tell.
    private func newest(_ partition: Int, _ book: HaltRegistry) -> LogPosition {
        [history.newest(partition), book.missing[partition]].compactMap { $0 }.max()
            ?? .start(of: partition)
    }

    /// Takes back what the archive has of a halted partition, also what nobody has vouched for.
    /// - Returns: why that can't be; nil when it is done, or there was nothing.
    package func takeBack(_ partition: Int) throws(LogFailure) -> String? {
        guard let recovery = history.recovery else { return "this process was given no archive" }
        return try recovery.run([partition], byHand: true).first?.text
    }

    /// Accepts the loss: the partition is open again, to processes that run (within a second or so, see
    /// `refresh`) and to those that start. Checkpoints beside the log that are ahead of it are forgotten, and
    /// segments of the archive that contradict it are set aside. What was derived elsewhere from the lost
    /// events must be put right before.
    /// - Returns: nil when the partition is not halted.
    package func lift(
        _ partition: Int, by actor: String, because reason: String
    ) throws(LogFailure) -> LiftedHalt? {
        let name = LogPosition.partitionName(partition)
        let book = try book()
        guard let halt = book.marks[partition] else { return nil }
        try history.recovery?.setAsideWhatDoesNotJoin(partition)
        try forgetCheckpoints(partition)
        _ = try client.run(
            "lift halt", name, .acceptLoss,
            [
                LogKeys.log(partition), LogKeys.archive(partition), LogKeys.ranks(partition),
                LogKeys.segments(partition),
            ], [newest(partition, book).entryID])
        let lifting = LiftedHalt(
            partition: partition, at: SystemClock().now(), by: actor, reason: reason, halt: halt)
        _ = try client.run("lift halt", name, .set, [LogKeys.halted], HaltRegistry.lift(lifting))
        return lifting
    }

    /// Forgets checkpoints of positions that the log does not have: their subscriptions begin at the start,
    /// and pass over what they have handled.
    private func forgetCheckpoints(_ partition: Int) throws(LogFailure) {
        let key = LogKeys.checkpoints(partition)
        for state in try PartitionInspector(client: client).states([partition]) {
            for name in state.strays.keys { _ = try client.command("lift halt", key, ["HDEL", key, name]) }
        }
    }
}
