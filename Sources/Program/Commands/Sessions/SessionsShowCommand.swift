import MongoViews
import RedisLog
import Base
import Console
import EventSourcing
import Pipeline
import RecordingMongo
import Recording

/// `reel sessions show`: everything the read model knows of one session.
enum SessionsShowCommand: Command {
    static let at = Setting(
        "at", "MOMENT", Rule.moment, defaultNote: "now",
        help: "Show it as it was then, folded from the log: a time, a place in the log, or a version")

    static let declaration = CommandDeclaration(
        "sessions", "show", summary: "Show one session, also as it was", positionals: [Common.session],
        options: [at.declaration, Common.json.declaration] + Common.places,
        examples: [
            "reel sessions show sess-01JD2Y0Q6W8R9T3V5X7Z1B4C6D",
            "reel sessions show sess-01JD2Y0Q6W8R9T3V5X7Z1B4C6D --at 2026-11-21T00:53:58Z",
        ],
        statuses: [Common.notFoundStatus, Common.usageStatus, Common.dependencyStatus])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let id = settings.positional(0) ?? ""
        let system = try RunningSystem(settings)
        let session: SessionView
        if let moment = settings[at] {
            session = try SessionThen.find(id, moment, system).fold.session
        } else {
            guard let shown = try system.queries().session(id) else {
                throw CommandFailure(.no, try missing(id, system))
            }
            session = shown
        }
        if settings[Common.json] {
            var writer = JSONWriter()
            session.encode(into: &writer, as: .document)
            try Output.line(writer)
            return .success
        }
        try print(session)
        return .success
    }

    /// For people: one fact a line, those that are known.
    static func print(_ session: SessionView) throws {
        let sums = session.statistics
        let metadata = session.metadata
        let rows: [(String, String)] = [
            ("session", session.sessionID), ("name", session.name), ("status", session.status.rawValue),
            ("created", ShortTime.text(session.createdAt)), ("started", ShortTime.text(session.startedAt)),
            ("stopped", ShortTime.text(session.stoppedAt)),
            ("chunks", Quantity.grouped(sums.chunksCount)),
            ("size", "\(Quantity.grouped(sums.sizeBytes)) bytes"),
            ("duration", sums.durationSeconds == 0 ? "" : Quantity.clock(seconds: sums.durationSeconds)),
            ("film", session.media.map(film) ?? ""),
            ("compression", "\(session.recording.compression), ratio \(Ratio.text(sums.compressionRatio))"),
            ("encryption", session.storage.encryptionEnabled ? "on" : "off"),
            ("errors", Quantity.grouped(sums.errorCount)),
            ("desktop", session.rdp.map(desktop) ?? ""),
            ("project", metadata.project ?? ""), ("environment", metadata.environment ?? ""),
            ("tags", metadata.tags.joined(separator: ", ")), ("owner", metadata.owner ?? ""),
            ("held by", session.holds.map(\.caseName).joined(separator: ", ")),
            ("verified", session.verification.map(verification) ?? "never"),
            ("priority", metadata.priority ?? ""), ("description", metadata.description ?? ""),
            ("position", "\(session.logPosition), version \(session.version)"),
        ]
        for (name, value) in rows where !value.isEmpty {
            try Output.line("\(name.padding(to: 12))\(Table.printable(value))")
        }
    }

    private static func desktop(_ rdp: RDPConfig) -> String {
        (rdp.username.map { "\($0)@" } ?? "") + rdp.host + (rdp.port.map { ":\($0)" } ?? "")
    }

    /// What the film says of itself, as far as it does.
    private static func film(_ media: MediaFacts) -> String {
        var facts = [media.container]
        if let width = media.width, let height = media.height { facts.append("\(width)x\(height)") }
        if let rate = media.frameRate { facts.append("\((rate * 1000).rounded() / 1000) frames/s") }
        if let seconds = media.durationSeconds {
            facts.append(Quantity.clock(seconds: Int(saturating: seconds)))
        }
        facts.append(media.audio ? "with sound" : "without sound")
        return facts.joined(separator: ", ")
    }

    /// What the last verification came to, and the first of what it found.
    private static func verification(_ verification: VerificationView) -> String {
        let time = ShortTime.text(verification.at)
        let found = "\(verification.outcome.rawValue), \(time), by \(verification.by)"
        guard let first = verification.findings.first else { return found }
        return "\(found): \(Quantity.grouped(verification.findingCount)) found, the first: \(first)"
    }

    /// The read model may be behind the log, which knows.
    static func missing(_ id: String, _ system: RunningSystem) throws -> String {
        try system.log.open().version(of: id) > 0
            ? "session \(id) is in the log and not in the read model yet; try again in a moment"
            : "there is no session \(id)"
    }
}
