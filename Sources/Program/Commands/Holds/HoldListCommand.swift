import Base
import RecordingMongo
import Console
import EventSourcing
import MongoViews
import ReadModels
import Recording

/// `reel hold list`: the sessions that cases hold.
enum HoldListCommand: Command {
    static let caseName = Setting(
        "case", "CASE", HoldOptions.caseRule, help: "Only sessions that this case holds")

    static let declaration = CommandDeclaration(
        "hold", "list", summary: "List the sessions that cases hold, the newest first",
        options: [
            caseName.declaration, SessionsListCommand.limit.declaration,
            SessionsListCommand.offset.declaration, Common.json.declaration,
        ] + Common.places,
        examples: ["reel hold list", "reel hold list --case 2026-117 --json"],
        statuses: [Common.usageStatus, Common.dependencyStatus])

    static func run(_ settings: Settings) throws -> ExitStatus {
        var filter = SessionFilter()
        filter.isHeld = true
        filter.caseName = settings[caseName]
        let page = Page(
            limit: try settings.require(SessionsListCommand.limit),
            offset: try settings.require(SessionsListCommand.offset))
        let queries = try RunningSystem(settings).queries()
        let sessions = try queries.sessions(filter, page)
        let total = try queries.sessionCount(filter)
        if settings[Common.json] {
            var writer = JSONWriter()
            writer.object { json in
                json.key("sessions")
                json.array { list in for session in sessions { Self.write(session, into: &list) } }
                PaginationInfo(page, total: total).encode(into: &json)
            }
            try Output.line(writer)
            return .success
        }
        var table = Table("SESSION", "STATUS", "CASE", "SET", "BY", "REASON", "NAME")
        for session in sessions {
            for hold in session.holds where filter.caseName == nil || filter.caseName == hold.caseName {
                table.add(
                    session.sessionID, session.status.rawValue, hold.caseName,
                    ShortTime.text(hold.setAt), hold.setBy, hold.reason, session.name)
            }
        }
        try Output.table(
            table,
            empty: filter.caseName.map { "no session is held by the case \($0)" } ?? "no session is held")
        if page.offset + sessions.count < total {
            Output.error(
                "\(page.offset + sessions.count) of \(total) shown; go on with --offset \(page.offset + page.limit)"
            )
        }
        return .success
    }

    private static func write(_ session: SessionView, into list: inout JSONWriter) {
        list.object { json in
            json.member("session_id", session.sessionID)
            json.member("name", session.name)
            json.member("status", session.status.rawValue)
            json.key("holds")
            json.array { list in for hold in session.holds { hold.encode(into: &list) } }
        }
    }
}
