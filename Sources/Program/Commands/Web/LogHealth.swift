import Operations
import Engine
import EventSourcing
import Gateway
import Metrics
import Pipeline
import Recording
import RedisLog
import APIKit

/// How the event log is, for whoever asks for a role's health. What is said holds no secret, and names no
/// session.
enum LogHealth {
    /// What is wrong with the log; nil when all is well.
    static func finding(of system: OpenSystem) throws -> HealthProbe.Finding? {
        do throws(LogFailure) { _ = try system.log.inspect() } catch {
            // What an operator has to put right is said; the rest is that nobody answers.
            guard error.remedy == .operators else { throw error }
            return HealthProbe.Finding(.unhealthy, error.text)
        }
        return finding(of: system.log.condition)
    }

    /// What the last look found.
    static func finding(of condition: LogCondition) -> HealthProbe.Finding? {
        if let failure = condition.failure, failure.kind == .otherLog {
            return HealthProbe.Finding(.unhealthy, failure.text)
        }
        var findings: [String] = []
        if let settings = condition.settings {
            findings += [settings.objection, settings.refusal].compactMap { $0 }
        }
        if let worse = condition.worsened { findings.append(worse) }
        if !condition.halted.isEmpty {
            let names = condition.halted.map { "\($0.partition)" }.joined(separator: ", ")
            findings.append("halted partitions: \(names); 'reel partitions list' says why")
        }
        let stuck = condition.unarchived.filter { !$0.stuck.isEmpty }.map(\.partition).sorted()
        if !stuck.isEmpty {
            let names = StuckPartitions.names(stuck, among: condition.unarchived.count)
            findings.append("the archiver is stuck in \(names); 'reel archive status' says why")
        }
        return findings.isEmpty
            ? nil : HealthProbe.Finding(.degraded, findings.joined(separator: "; "))
    }

    /// Roles that have waited for so long are said.
    private static let patience = Duration.seconds(5)

    /// What keeps roles of this process from working; nil when all work.
    static func waiting(_ outages: Outages) -> HealthProbe.Finding? {
        let now = ContinuousClock.now
        let lasting = outages.current.filter { now - $0.since > patience }
        guard let first = lasting.first else { return nil }
        let roles = Set(lasting.map(\.role)).sorted().joined(separator: ", ")
        return HealthProbe.Finding(
            .degraded, "waiting for \((now - first.since).components.seconds) s: \(roles): \(first.text)")
    }

    /// Figures of the log, as of the last look.
    static func figures(of system: OpenSystem, in metrics: MetricsRegistry) {
        let log = system.log
        func flag(_ name: String, _ help: String, _ holds: @escaping @Sendable (LogCondition) -> Bool?) {
            metrics.reading(name, help) {
                // What a server said that does not answer any more is not known now.
                let condition = log.condition
                return (condition.failure == nil ? holds(condition) : nil).map { $0 ? 1 : 0 } ?? .nan
            }
        }
        metrics.reading("reel_redis_reachable", "Whether the last look at the log's server succeeded.") {
            log.condition.failure == nil ? 1 : 0
        }
        flag("reel_redis_takes_writes", "Whether the log's server takes writes.") {
            $0.settings.map { $0.refusal == nil }
        }
        flag("reel_redis_settings_suitable", "Whether the server's settings are what is demanded of a log.") {
            $0.settings.map { $0.objection == nil }
        }
        flag("reel_redis_durable", "Whether an append is on disk when it is acknowledged.") {
            $0.settings.map(\.isDurable)
        }
        metrics.reading("reel_redis_used_memory_bytes", "Memory that the log's server uses.") {
            log.condition.settings.map { Double($0.usedBytes) } ?? .nan
        }
        metrics.reading("reel_redis_maxmemory_bytes", "Memory that it may use; 0 for no limit.") {
            log.condition.settings.map { Double($0.maxmemoryBytes) } ?? .nan
        }
        metrics.reading("reel_halted_partitions", "Partitions that are halted.") {
            Double(log.condition.halted.count)
        }
        metrics.reading(
            "reel_archive_oldest_unarchived_seconds",
            "Age of the oldest event that could leave the log's server and has not."
        ) { Double(log.condition.oldestUnarchivedMilliseconds) / 1000 }
        metrics.reading("reel_archive_unarchived_events", "Events in the log's server.") {
            Double(log.condition.unarchived.reduce(0) { $0 + $1.events })
        }
        let due = system.archiving.afterMilliseconds + 3_600_000
        metrics.reading(
            "reel_archive_stuck_partitions", "Partitions in which the archiver can't go on.",
            [Label("reason", "failed")]
        ) { Double(log.condition.unarchived.count { !$0.stuck.isEmpty }) }
        metrics.reading(
            "reel_archive_stuck_partitions", "Partitions in which the archiver can't go on.",
            [Label("reason", "held")]
        ) { Double(log.condition.unarchived.count { $0.stuck.isEmpty && $0.oldestMilliseconds > due }) }
        for (remedy, name) in [(Remedy.time, "time"), (.operators, "operators"), (.none, "none")] {
            metrics.reading(
                "reel_waiting_roles", "Loops of roles that cannot work at the moment, by what can end it.",
                [Label("remedy", name)]
            ) { Double(system.report.outages.current.count { $0.remedy == remedy }) }
        }
    }
}
