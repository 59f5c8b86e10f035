import Base
import RecordingMongo
import MongoViews
import Console
import EventSourcing
import Recording
import ReadModels

/// `reel sessions list`: the sessions of the read model.
enum SessionsListCommand: Command {
    static let status = Setting(
        "status", "STATUS", .oneOf(SessionStatus.allCases.map(\.rawValue)),
        help: "Only sessions in this state; deleted ones are shown by this only")
    static let project = Setting("project", "TEXT", .text(upTo: 100), help: "Only sessions of this project")
    static let environment = Setting(
        "environment", "TEXT", .text(upTo: 50), help: "Only sessions of this environment")
    static let tag = Setting("tag", "TAG", .text(upTo: 50), help: "Only sessions with this tag")
    static let owner = Setting("owner", "NAME", .text(upTo: 100), help: "Only sessions of this owner")
    static let held = Flag("held", help: "Only sessions that a case holds")
    static let caseName = Setting(
        "case", "CASE", HoldOptions.caseRule, help: "Only sessions that this case holds")
    static let limit = Setting(
        "limit", "N", .integer(1...1000), default: "50", help: "Most sessions that are shown")
    static let offset = Setting(
        "offset", "N", .integer(0...1_000_000_000), default: "0", help: "Sessions that are skipped")

    static let declaration = CommandDeclaration(
        "sessions", "list", summary: "List sessions, the newest first",
        options: [
            status.declaration, project.declaration, environment.declaration, tag.declaration,
            owner.declaration, held.declaration, caseName.declaration, limit.declaration, offset.declaration,
            Common.json.declaration,
        ] + Common.places,
        examples: ["reel sessions list", "reel sessions list --status recording --project payments --json"],
        statuses: [Common.usageStatus, Common.dependencyStatus])

    static func run(_ settings: Settings) throws -> ExitStatus {
        var filter = SessionFilter()
        filter.status = settings[status].flatMap(SessionStatus.init)
        filter.project = settings[project]
        filter.environment = settings[environment]
        filter.tag = settings[tag]
        filter.owner = settings[owner]
        if settings[held] { filter.isHeld = true }
        filter.caseName = settings[caseName]
        let page = Page(limit: try settings.require(limit), offset: try settings.require(offset))
        let queries = try RunningSystem(settings).queries()
        let sessions = try queries.sessions(filter, page)
        let total = try queries.sessionCount(filter)
        if settings[Common.json] {
            var writer = JSONWriter()
            SessionListResponse(sessions: sessions, pagination: PaginationInfo(page, total: total))
                .encode(into: &writer, as: .document)
            try Output.line(writer)
            return .success
        }
        var table = Table("SESSION", "STATUS", "CREATED", ">CHUNKS", ">SIZE", ">SECONDS", ">RATIO", "NAME")
        for session in sessions {
            let sums = session.statistics
            table.add(
                session.sessionID, session.status.rawValue, ShortTime.text(session.createdAt),
                Quantity.grouped(sums.chunksCount), Quantity.bytes(sums.sizeBytes),
                sums.durationSeconds == 0 ? "-" : Quantity.grouped(sums.durationSeconds),
                Ratio.text(sums.compressionRatio), session.name)
        }
        try Output.table(table, empty: "no sessions")
        if page.offset + sessions.count < total {
            Output.error(
                "\(page.offset + sessions.count) of \(total) shown; go on with --offset \(page.offset + page.limit)"
            )
        }
        return .success
    }
}

/// A ratio in tables: three digits behind the point.
enum Ratio {
    static func text(_ ratio: Double?) -> String {
        guard let ratio else { return "" }
        let thousandths = max(0, Int(saturating: (ratio * 1000).rounded()))
        let digits = String(thousandths % 1000)
        return "\(thousandths / 1000)." + String(repeating: "0", count: 3 - digits.count) + digits
    }
}

extension Output {
    /// A table to standard output, as wide as the terminal allows.
    static func table(_ table: Table, empty: String) throws {
        if table.isEmpty { return Output.error(empty) }
        try line(table.render(columns: Terminal.columns(of: .output)).joined(separator: "\n"))
    }
}
