import Base
import RecordingMongo
import Console
import EventSourcing
import MongoViews
import Recording
import ReadModels

/// `reel audit`: who did what to which session, when.
enum AuditCommand: Command {
    static let session = Setting(
        "session", "ID", .text(upTo: 100), help: "Only what concerns this session")
    static let actor = Setting("actor", "NAME", .text(upTo: 128), help: "Only what this one did")
    static let action = Setting(
        "action", "WORDS",
        Rule<AuditAction>("must be words of a to z and _, joined by dots, such as session.start") {
            AuditAction(rawValue: $0)
        }, help: "Only this, such as session.start, chunk.download or key.export")
    static let outcome = Setting(
        "outcome", "OUTCOME", .oneOf(AuditOutcome.allCases.map(\.rawValue)),
        help: "Only what was allowed, denied, or failed")
    static let since = Setting("since", "TIME", time, help: "Only this time or later, RFC 3339")
    static let until = Setting("until", "TIME", time, help: "Only this time or earlier, RFC 3339")
    static let limit = Setting(
        "limit", "N", .integer(1...1000), default: "50", help: "Most records that are shown")
    static let after = Setting(
        "after", "CURSOR",
        Rule<AuditCursor>("must be a cursor that an earlier page ended with") { AuditCursor($0) },
        help: "Only what comes behind an earlier page")

    static let time = Rule<Timestamp>("must be a time such as 2026-11-21T00:53:58Z") {
        Timestamp(rfc3339: $0)
    }

    static let declaration = CommandDeclaration(
        "audit", summary: "Show who did what to which session, when; the newest first",
        details: "Every command, denial, download, key export and change of configuration leaves a record in "
            + "the log; a denied read leaves one too, a moment later.",
        options: [
            session.declaration, actor.declaration, action.declaration, outcome.declaration,
            since.declaration, until.declaration, limit.declaration, after.declaration,
            Common.json.declaration,
        ] + Common.places,
        examples: [
            "reel audit --session sess-01JD2Y0Q6W8R9T3V5X7Z1B4C6D",
            "reel audit --actor m.keller --since 2026-11-21T00:00:00Z --json", "reel audit --outcome denied",
        ],
        statuses: [Common.usageStatus, Common.dependencyStatus])

    static func run(_ settings: Settings) throws -> ExitStatus {
        var filter = AuditFilter()
        filter.session = settings[session]
        filter.actor = settings[actor]
        filter.action = settings[action]
        filter.outcome = settings[outcome].flatMap(AuditOutcome.init)
        filter.since = settings[since]
        filter.until = settings[until]
        let queries: any AuditQueries = try RunningSystem(settings).queries()
        let page = try queries.records(filter, after: settings[after], limit: try settings.require(limit))
        if settings[Common.json] {
            var writer = JSONWriter()
            writer.object { json in
                json.key("records")
                json.array { list in for record in page.records { record.encode(into: &list) } }
                json.key("next_cursor")
                if let next = page.next { json.value(next.text) } else { json.null() }
            }
            try Output.line(writer)
            return .success
        }
        var table = Table(
            "TIME", "ACTOR", "ACTION", "OUTCOME", ">STATUS", "SESSION", "RESOURCE", "FROM", "REASON")
        for view in page.records {
            let record = view.record
            table.add(
                ShortTime.text(view.stamp.time), record.actor.subject ?? "(nobody)", record.action.rawValue,
                record.outcome.rawValue, record.statusCode.map(String.init) ?? "", record.sessionID ?? "",
                record.resource.id == record.sessionID ? "" : record.resource.id ?? "",
                record.address ?? "", record.reason ?? "")
        }
        try Output.table(table, empty: "no records")
        if let next = page.next { Output.error("there are more; go on with --after \(next.text)") }
        return .success
    }
}
