import Operations
import Base
import Console
import EventSourcing
import MongoViews
import Pipeline
import RecordingMongo
import Recording
import RedisLog
import Supervision

/// What the read models know of sessions whose retention has passed.
final class ReadModelCandidates: RetentionCandidates {
    private let views: MongoReadModels

    init(_ views: MongoReadModels) { self.views = views }

    func candidates(
        before now: Timestamp, behind last: RetentionCandidate?, limit: Int
    ) throws -> [RetentionCandidate] {
        try views.expired(
            before: now, behind: last.map { ($0.keptUntil, $0.sessionID) }, limit: limit
        ).map { RetentionCandidate(sessionID: $0.sessionID, keptUntil: $0.keptUntil) }
    }
}

/// The time that retention goes by: the earlier of this machine's and the log's server's, since a clock that
/// is ahead must not delete what is still to be kept.
struct RetentionClock {
    let groups: RedisGroups

    func now() throws -> Timestamp { min(SystemClock().now(), try groups.time()) }
}

/// Deletes sessions whose retention has passed, in the background.
struct RetentionRole {
    private let system: OpenSystem

    init(_ system: OpenSystem) { self.system = system }

    func run(stop: StopSignal) throws {
        guard system.retentionPause > 0 else {
            system.report(.info, "retention", "switched off: no session is deleted by itself")
            return stop.wait()
        }
        let log = system.log
        let clock = RetentionClock(groups: log.groups())
        let takeover = log.holdTagTakeover
        let sweep = RetentionSweep(
            log: log, candidates: { ReadModelCandidates(system.views) }, now: { try clock.now() },
            clock: SystemClock(), member: ConsumerName(instance: system.instance, number: 0).description,
            report: system.report.roles, tagCounts: { try !takeover.isDone() },
            onDeleted: { outcome in
                try CommandTrail(log, service: RetentionSweep.actor).keep(outcome, reason: "retention")
            })
        try sweep.run(everyMilliseconds: system.retentionPause, stop: stop)
    }
}

extension CommandTrail {
    /// The record of a session that was deleted because its retention had passed.
    func keep(_ outcome: RetentionService.Outcome, reason: String) throws {
        let session = outcome.session
        try keep(
            .sessionDelete, on: AuditResource(.session, id: session.sessionID), session: session.sessionID,
            reason: reason,
            details: [
                "retention_days": "\(session.storage.retentionDays)",
                "kept_until": Retention.end(of: session)?.rfc3339 ?? "",
            ])
    }
}
