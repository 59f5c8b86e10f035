import Operations
import Base
import Console
import EventSourcing
import Pipeline
import Recording
import RedisLog
import SessionContent
import Supervision

/// `reel verify`: reads a session again, every byte of it.
enum VerifyCommand: Command {
    static let withoutKey = Flag(
        "without-key", help: "Check files and root without decrypting, as an outsider would")

    static let declaration = CommandDeclaration(
        "verify", summary: "Read and hash everything of a session again, and compare it with the log",
        details:
            "Reads the session's events from the first to the last and checks that they can have come "
            + "about lawfully: sequences without gaps, legal transitions, one event of each stage for each "
            + "chunk, counts and sums, digests that are well formed, the Merkle root. Reads every archived "
            + "segment of its partition along the chain of hashes. Reads every sealed file and compares "
            + "its length, hash, header, key and content with what the log says, and names files that the "
            + "log does not know. What is found is compared with the log as it is at the end, so that a "
            + "session that goes on, or is deleted, meanwhile is no damage.\nIt proves that log and files "
            + "agree and that nothing is missing from what the log tells of. It does not prove anything "
            + "against somebody who can write both the log and the chunk store: they can leave out whole "
            + "sessions and the end of any, and exchange the chunks of one without encryption, without a "
            + "trace here. Keep roots and numbers of chunks elsewhere. ops/docs/trust.md says it all.\nThe "
            + "result becomes an event of the session where that is over, or damaged, and a record of the "
            + "audit trail; a log that takes neither is said, and does not change the status.",
        positionals: [Common.session],
        options: [withoutKey.declaration, Common.json.declaration] + Common.places,
        examples: ["reel verify sess-01JD2Y0Q6W8R9T3V5X7Z1B4C6D --json"],
        statuses: [
            "0  the session is completed, and everything holds",
            "1  something is wrong, and every finding was printed; or the session is not completed (yet), "
                + "has failed, or was deleted, which is said; or there is no such session",
            Common.usageStatus, Common.dependencyStatus,
        ])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let session = settings.positional(0) ?? ""
        let system = try RunningSystem(settings)
        let keys = settings[withoutKey] ? nil : try system.vault().openKeys()
        let verifier = SessionVerifier(
            store: try system.log.open(), chunks: try system.chunks(), keys: { keys }, clock: SystemClock())
        let context = EventContext(source: "/reel/cli", actor: CurrentUser.actor)
        var meter = StepMeter("verifying", unit: "chunks")
        let found = try verifier.verify(
            session, .command, context: context, stop: StopSignal(), progress: { meter.show($0, of: $1) })
        meter.clear()
        guard let verified = found else { throw CommandFailure(.no, "there is no session \(session)") }
        keep(verified, system)
        if settings[Common.json] {
            var writer = JSONWriter()
            verified.encode(into: &writer)
            try Output.line(writer)
        } else {
            try text(verified.report)
        }
        return verified.report.isSound ? .success : .no
    }

    /// Whatever keeps it from being kept, it was found, and is told.
    private static func keep(_ verified: VerifiedSession, _ system: RunningSystem) {
        func complain(_ text: String) {
            Output.error("reel verify: \(Table.printable("the result was not kept: \(text)"))")
        }
        if let refusal = verified.refusal { return complain(refusal) }
        do { try CommandTrail(system.log).keep(verified, .command) } catch { complain("\(error)") }
    }

    private static func text(_ report: AuditReport) throws {
        for finding in report.findings {
            let word = finding.kind.isNote ? "NOTE" : "FAIL"
            try Output.line(Table.printable("\(word)  \(finding)"))
        }
        if report.findingCount > report.findings.count {
            let more = report.findingCount - report.findings.count
            try Output.line("FAIL  and \(Quantity.grouped(more)) more findings")
        }
        try Output.line("session \(report.sessionID): \(summary(report))")
        if report.isSound, let root = report.merkleRoot { try Output.line("merkle root \(root)") }
    }

    private static func summary(_ report: AuditReport) -> String {
        let chunks = "\(Quantity.grouped(report.chunks)) \(report.chunks == 1 ? "chunk" : "chunks")"
        let looked = "\(chunks), \(Quantity.grouped(report.sealedBytes)) sealed bytes"
        let content =
            report.contentChecked
            ? "\(Quantity.grouped(report.originalBytes)) recorded bytes" : "content not opened (no key)"
        switch report.outcome {
        case .sound, .unopened:
            guard report.isSound else {
                return "NOT completed: it has failed; no damage in \(looked), \(content)"
            }
            let early = report.isIncomplete ? " (the recording ended early)" : ""
            return "sound: \(looked), \(content)\(early)"
        case .damaged, .keyMissing, .unreadable:
            let count = report.findingCount - report.noteCount
            return "NOT sound: \(count) \(count == 1 ? "finding" : "findings") in \(looked)"
        case .unfinished:
            return "NOT completed, so that nothing binds its chunks yet; no damage in \(looked), \(content)"
        case .partial: return "NOT completed: it has failed; no damage in \(looked), \(content)"
        case .deleted: return "deleted, and nothing of it is left but its history"
        case .deletedMeanwhile: return "deleted meanwhile: what was found says nothing"
        }
    }
}
