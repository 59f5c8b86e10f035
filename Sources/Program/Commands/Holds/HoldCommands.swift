import Operations
import Base
import Console
import EventSourcing
import Pipeline
import Recording
import RedisLog

/// `reel hold set`: a case holds a session from now on.
enum HoldSetCommand: Command {
    static let caseName = Setting(
        "case", "CASE", HoldOptions.caseRule, isRequired: true, help: "The case that holds the session")
    static let reason = Setting(
        "reason", "TEXT", HoldOptions.reasonRule, isRequired: true,
        help: "Why, for the log and the audit trail")

    static let declaration = CommandDeclaration(
        "hold", "set", summary: "Hold a session for a case, so that nobody deletes it",
        details: "As long as any case holds a session, nobody deletes it or anything of its content: no "
            + "administrator, no retention, nobody who cleans up. It may be in any state, also while it "
            + "records. Several cases may hold one session; it is free when the last is lifted. A case that "
            + "holds it already goes on doing so.",
        positionals: [Common.session],
        options: [caseName.declaration, reason.declaration, Common.json.declaration] + Common.places,
        examples: [
            "reel hold set sess-01JD2Y0Q6W8R9T3V5X7Z1B4C6D --case 2026-117 --reason 'subpoena of 3 March'"
        ],
        statuses: [
            "1  there is no such session, it was deleted, or 100 cases hold it", Common.usageStatus,
            HoldChange.dependencyStatus,
        ])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let name = try settings.require(caseName)
        let reason = try settings.require(reason)
        return try HoldChange(settings).carryOut(
            .hold(caseName: name, reason: reason), .holdSet, for: Purpose(caseName: name, reason: reason))
    }
}

/// `reel hold lift`: a case holds a session no longer.
enum HoldLiftCommand: Command {
    static let caseName = Setting(
        "case", "CASE", HoldOptions.caseRule, defaultNote: "the one that holds it, where it is one",
        help: "The case that holds the session no longer")

    static let declaration = CommandDeclaration(
        "hold", "lift", summary: "Let a case hold a session no longer",
        details: "The session can be deleted again when no case holds it. If its retention has passed by "
            + "then, it goes with the next look of the role 'storage'.",
        positionals: [Common.session],
        options: [caseName.declaration, HoldSetCommand.reason.declaration, Common.json.declaration]
            + Common.places,
        examples: [
            "reel hold lift sess-01JD2Y0Q6W8R9T3V5X7Z1B4C6D --case 2026-117 --reason 'case closed'"
        ],
        statuses: [
            "1  there is no such session, no such case holds it, or several do and none was named",
            Common.usageStatus, HoldChange.dependencyStatus,
        ])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let reason = try settings.require(HoldSetCommand.reason)
        return try HoldChange(settings).carryOut(
            .liftHold(caseName: settings[caseName], reason: reason), .holdLift,
            for: Purpose(caseName: settings[caseName], reason: reason))
    }
}

/// Carries out one change of the cases that hold a session, in the name of whoever runs the command.
private struct HoldChange {
    static let dependencyStatus =
        "3  no system is found, a server cannot be used, or a process of an earlier version still runs"

    let session: String
    let system: RunningSystem
    let asJSON: Bool

    init(_ settings: Settings) throws {
        session = settings.positional(0) ?? ""
        system = try RunningSystem(settings)
        asJSON = settings[Common.json]
    }

    func carryOut(
        _ command: SessionCommand, _ action: AuditAction, for purpose: Purpose
    ) throws -> ExitStatus {
        let trail = CommandTrail(system.log)
        let resource = AuditResource(.session, id: session)
        let view = try trail.recordingFailure(of: action, on: resource, session: session, for: purpose) {
            try changed(command)
        }
        try trail.keep(
            action, on: resource, session: session, reason: purpose.reason, sessionSequence: view.version,
            caseName: purpose.caseName)
        guard asJSON else {
            let cases = view.holds.map { Table.printable($0.caseName) }
            try Output.line(
                cases.isEmpty
                    ? "no case holds session \(session)"
                    : "session \(session) is held by: \(cases.joined(separator: ", "))")
            return .success
        }
        var writer = JSONWriter()
        HoldsResponse(view).encode(into: &writer)
        try Output.line(writer)
        return .success
    }

    /// The session after the change, as the log has it.
    private func changed(_ command: SessionCommand) throws -> SessionView {
        let store = try system.log.open()
        let handler = CommandHandler(session: session, store: store, clock: SystemClock())
        do throws(CommandError<SessionRejection>) {
            try handler.catchUp()
            try handler.handle(
                command, id: "\(session)/hold/\(ULID.make(at: SystemClock().now()))",
                context: EventContext(source: "/reel/cli", actor: CurrentUser.actor))
        } catch { throw SessionErrors.plain(error, session) }
        guard let fold = try SessionAsOf(session, at: .sequence(.max), in: store)?.fold else {
            throw CommandFailure(.no, "there is no session \(session)")
        }
        return fold.session
    }
}
