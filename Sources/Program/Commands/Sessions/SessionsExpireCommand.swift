import Operations
import Base
import Console
import EventSourcing
import MongoViews
import Pipeline
import Recording
import RedisLog

/// `reel sessions expire`: deletes by hand what the system deletes by itself.
enum SessionsExpireCommand: Command {
    static let dryRun = Flag("dry-run", short: "n", help: "Only list what would be deleted")
    static let at = Setting(
        "at", "TIME", AuditCommand.time, defaultNote: "now",
        help: "With --dry-run: what would be deleted at this time")

    static let declaration = CommandDeclaration(
        "sessions", "expire", summary: "Delete the sessions whose retention has passed",
        details: "A session that was completed, or failed, is kept for the retention_days of its storage "
            + "configuration after its recording ended, and longer as long as a case "
            + "holds it ('reel hold list'). The role 'storage' deletes the others by itself; this does it at "
            + "once, or shows which they are. Deleted sessions stay in the lists of deleted ones; their content "
            + "and keys are gone for good.",
        options: [dryRun.declaration, at.declaration, Common.json.declaration] + Common.places,
        examples: [
            "reel sessions expire --dry-run", "reel sessions expire --dry-run --at 2027-01-01T00:00:00Z",
            "reel sessions expire --json",
        ],
        statuses: [Common.usageStatus, Common.dependencyStatus])

    private static let batch = 100

    static func run(_ settings: Settings) throws -> ExitStatus {
        let isDry = settings[dryRun]
        let time = settings[at]
        if time != nil, !isDry {
            throw UsageError(["--at shows what would happen: it needs --dry-run"], command: declaration.name)
        }
        let system = try RunningSystem(settings, for: isDry ? .looking : .changing)
        let now = try time ?? RetentionClock(groups: system.log.groups()).now()
        let candidates = ReadModelCandidates(MongoReadModels(try system.mongo(), .all))
        let takeover = system.log.holdTagTakeover
        let service = RetentionService(
            try system.log.open(), clock: SystemClock(), tagCounts: { try !takeover.isDone() })
        let context = EventContext(source: "/reel/cli", actor: CurrentUser.actor)
        var last: RetentionCandidate?
        var outcomes: [RetentionService.Outcome] = []
        while true {
            let found = try candidates.candidates(before: now, behind: last, limit: batch)
            for candidate in found {
                guard
                    let outcome = try service.expire(
                        candidate.sessionID, now: now, context: isDry ? nil : context)
                else { continue }
                if outcome.isDeleted {
                    try CommandTrail(system.log).keep(outcome, reason: "retention, by hand")
                }
                if case .due = outcome.verdict { outcomes.append(outcome) }
            }
            guard found.count == batch else { break }
            last = found.last
        }
        try settings[Common.json]
            ? Output.line(json(outcomes, now, isDry))
            : Output.table(table(outcomes), empty: "no session is due")
        return .success
    }

    private static func table(_ outcomes: [RetentionService.Outcome]) -> Table {
        var table = Table("SESSION", "STATUS", "KEPT UNTIL", ">DAYS", ">CHUNKS", ">SIZE", "NAME", "DONE")
        for outcome in outcomes {
            let session = outcome.session
            table.add(
                session.sessionID, session.status.rawValue, ShortTime.text(Retention.end(of: session)),
                "\(session.storage.retentionDays)", Quantity.grouped(session.statistics.chunksCount),
                Quantity.bytes(session.statistics.sizeBytes), session.name,
                outcome.isDeleted ? "deleted" : "")
        }
        return table
    }

    private static func json(
        _ outcomes: [RetentionService.Outcome], _ now: Timestamp, _ isDry: Bool
    ) -> JSONWriter {
        var writer = JSONWriter()
        writer.object { json in
            json.member("at", now)
            json.member("dry_run", isDry)
            json.member("deleted", outcomes.filter(\.isDeleted).count)
            json.key("sessions")
            json.array { list in
                for outcome in outcomes {
                    let session = outcome.session
                    list.object { json in
                        json.member("session_id", session.sessionID)
                        json.member("name", session.name)
                        json.member("status", session.status.rawValue)
                        json.member("retention_days", session.storage.retentionDays)
                        if let end = Retention.end(of: session) { json.member("kept_until", end) }
                        json.member("chunks_count", session.statistics.chunksCount)
                        json.member("size_bytes", session.statistics.sizeBytes)
                        json.member("is_deleted", outcome.isDeleted)
                    }
                }
            }
        }
        return writer
    }
}
