internal import Base
package import EventSourcing

/// How the log is, as of the last look (`LogWatch`).
package struct LogCondition: Sendable {
    /// What of a partition is only in the server.
    package struct Unarchived: Sendable, Hashable {
        /// The partition.
        package var partition: Int
        /// Its events in the server.
        package var events: Int
        /// Milliseconds since the oldest of them was appended; 0 where there is but the newest event, which
        /// is never archived.
        package var oldestMilliseconds: Int
        /// Events whose loss somebody has accepted.
        package var lost: Int
        /// Since when the archiver can't go on there, and why; empty where it can.
        package var stuck: String
    }

    /// Why the log could not be looked at; nil when it could.
    package var failure: LogFailure?
    /// How the server is set, and whether it takes writes; nil before the first look.
    package var settings: ServerSettings?
    /// What an acknowledged append has survived, where the server gives less than it once gave to this log;
    /// nil otherwise.
    package var worsened: String?
    /// Partitions that are halted.
    package var halted: [HaltedPartition] = []
    /// The partitions that were looked at.
    package var unarchived: [Unarchived] = []

    /// Milliseconds since the oldest event was appended that could be archived and is not.
    package var oldestUnarchivedMilliseconds: Int { unarchived.map(\.oldestMilliseconds).max() ?? 0 }
}

/// Looks again and again whether the log still is what it was, for the whole process: the same log, its
/// halted partitions, nothing gone from a partition, and a server that takes writes and keeps them. One
/// thread; call `look` about once a second.
package final class LogWatch {
    private let log: RedisEventLog
    private let client: RedisClient
    private let halts: RedisHalts
    private var looks = 0
    private var next = 0
    private var told: ServerSettings?
    private var toldWorse: String?

    /// Looks between two looks at the server's settings, and at whether something halted may go on.
    private static let seldom = 2
    /// Partitions of one look: all of them within eight looks, and never more than the server notices.
    private static let leastPartitions = 32

    init(_ log: RedisEventLog) {
        self.log = log
        client = log.client("watch")
        halts = log.halts()
    }

    /// Looks, and halts or opens what has to be.
    @discardableResult
    package func look() -> LogCondition {
        var condition = log.condition
        do throws(LogFailure) {
            try halts.refresh()
            if looks.isMultiple(of: Self.seldom) { try lookAtServer(&condition) }
            try lookAtPartitions(&condition)
            if looks.isMultiple(of: Self.seldom), log.history.hasHalted { _ = try halts.mend() }
            condition.halted = try halts.list()
            condition.failure = nil
        } catch {
            condition.failure = error
        }
        looks += 1
        log.keep(condition)
        return condition
    }

    private func lookAtServer(_ condition: inout LogCondition) throws(LogFailure) {
        let settings = try ServerSettings.weakest(client)
        condition.settings = settings
        _ = log.history.note(objection: settings.objection)
        condition.worsened = try compareWithBest(settings)
        defer { (told, toldWorse) = (settings, condition.worsened) }
        if toldWorse != condition.worsened, let worse = condition.worsened {
            log.options.notify(.durabilityChanged(worse, isWorse: true))
        }
        guard let told else { return }
        if told.refusal != settings.refusal { log.options.notify(.serverRefuses(settings.refusal)) }
        if told.objection != settings.objection { log.options.notify(.settingsObjected(settings.objection)) }
        if condition.worsened == nil, toldWorse != nil || told.durability != settings.durability {
            log.options.notify(
                .durabilityChanged(
                    "the server's settings have changed: \(settings.durability)", isWorse: false))
        }
    }

    /// What the server gives less of than it ever gave to this log; what it gives more of is written down.
    private func compareWithBest(_ settings: ServerSettings) throws(LogFailure) -> String? {
        let kept = try client.durabilityMark()
        let now = DurabilityMark(settings)
        let best = kept?.joined(now) ?? now
        if best != kept {
            // Where nothing can be written now the next look tries again.
            do throws(LogFailure) { try client.keep(best) } catch {
                guard error.kind == .refusingWrites || error.kind == .denied else { throw error }
            }
        }
        return best.lacking(settings)
    }

    private func lookAtPartitions(_ condition: inout LogCondition) throws(LogFailure) {
        let count = log.partitioning.count
        let size = min(count, max(Self.leastPartitions, (count + 7) / 8))
        let partitions = (0..<size).map { (next + $0) % count }
        next = (next + size) % count
        let states = try log.states(of: partitions, client)
        condition.unarchived.removeAll { partitions.contains($0.partition) }
        condition.unarchived += states.map(\.unarchived)
        let odd = states.filter { !$0.findings.isEmpty && log.history.reason($0.unarchived.partition) == nil }
        guard !odd.isEmpty else { return }
        do throws(LogFailure) { try client.halt(odd.map(\.unarchived.partition), "look") } catch {
            guard error.kind == .lostHistory else { throw error }
        }
    }
}

extension RedisEventLog {
    /// What looks after the log for this process.
    package func watch() -> LogWatch { LogWatch(self) }

    /// How the log is now, all of its partitions, halted ones or not. Writes nothing, and halts nothing.
    package func survey() throws(LogFailure) -> LogCondition {
        let client = client("survey")
        var condition = LogCondition()
        let settings = try ServerSettings.weakest(client)
        condition.settings = settings
        do throws(LogFailure) { condition.worsened = try client.durabilityMark()?.lacking(settings) } catch {
            guard error.isOfRecord else { throw error }
        }
        do throws(LogFailure) { condition.halted = try halts().list() } catch {
            guard error.isOfRecord else { throw error }
            condition.halted = []
        }
        let states = try states(of: Array(0..<partitioning.count), client)
        condition.unarchived = states.map(\.unarchived)
        let known = Set(condition.halted.map(\.partition))
        for state in states where !known.contains(state.unarchived.partition) {
            let partition = state.unarchived.partition
            let reason =
                history.reason(partition)
                ?? (state.findings.isEmpty ? nil : state.findings.joined(separator: "; "))
            if let reason { condition.halted.append(HaltedPartition(partition: partition, reason: reason)) }
        }
        return condition
    }

    fileprivate func states(
        of partitions: [Int], _ client: RedisClient
    ) throws(LogFailure) -> [(unarchived: LogCondition.Unarchived, findings: [String])] {
        let now = Int(clamping: try groups().time().milliseconds)
        return try PartitionInspector(client: client).states(partitions).map { state in
            var age = 0
            if let first = state.first, state.length > 1 {
                age = max(0, now - Int(clamping: first.milliseconds))
            }
            let unarchived = LogCondition.Unarchived(
                partition: state.partition, events: state.length, oldestMilliseconds: age,
                lost: state.lost, stuck: state.stuck)
            return (unarchived, state.findings)
        }
    }
}
