import RedisLog
import Console
import EventSourcing
import Pipeline

/// `reel verify`: reads a session again, every byte of it.
enum VerifyCommand: Command {
    static let withoutKey = Flag(
        "without-key", help: "Check files and root without decrypting, as an outsider would")

    static let declaration = CommandDeclaration(
        "verify", summary: "Read and hash everything of a session again, and compare it with the log",
        details: "Checks the log's sequence, every sealed file (present, unchanged, in its place), that each "
            + "opens to the bytes that were recorded, that no file is there which the log does not know, and "
            + "the Merkle root over all of them.",
        positionals: [Common.session],
        options: [withoutKey.declaration, Common.json.declaration] + Common.places,
        examples: ["reel verify sess-01JD2Y0Q6W8R9T3V5X7Z1B4C6D --json"],
        statuses: [
            "1  something is wrong, and every finding was printed; or there is no such session",
            Common.usageStatus, Common.dependencyStatus,
        ])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let session = settings.positional(0) ?? ""
        let system = try RunningSystem(settings)
        let keys = settings[withoutKey] ? nil : try system.vault().openKeys()
        let auditor = SessionAuditor(store: try system.log.open(), chunks: try system.chunks(), keys: keys)
        var meter = StepMeter("verifying", unit: "chunks")
        guard let report = try auditor.audit(session, progress: { meter.show($0, of: $1) }) else {
            meter.clear()
            throw CommandFailure(.no, "there is no session \(session)")
        }
        meter.clear()
        if settings[Common.json] { try Output.line(json(report)) } else { try text(report) }
        return report.isSound ? .success : .no
    }

    private static func text(_ report: AuditReport) throws {
        for finding in report.findings { try Output.line(Table.printable("FAIL  \(finding)")) }
        let chunks = "\(Quantity.grouped(report.chunks)) \(report.chunks == 1 ? "chunk" : "chunks")"
        let sealed = "\(chunks), \(Quantity.grouped(report.sealedBytes)) sealed bytes"
        guard report.isSound else {
            let count = report.findings.count
            try Output.line(
                "session \(report.sessionID): NOT sound: \(count) \(count == 1 ? "finding" : "findings") in \(sealed)"
            )
            return
        }
        let content =
            report.contentChecked
            ? "\(Quantity.grouped(report.originalBytes)) recorded bytes" : "content not opened (no key)"
        try Output.line("session \(report.sessionID): sound: \(sealed), \(content)")
        if let root = report.merkleRoot { try Output.line("merkle root \(root)") }
    }

    private static func json(_ report: AuditReport) -> JSONWriter {
        var writer = JSONWriter()
        writer.object { json in
            json.member("session_id", report.sessionID)
            json.member("verified", report.isSound)
            json.member("chunks_count", report.chunks)
            json.member("sealed_bytes", report.sealedBytes)
            json.member("original_bytes", report.originalBytes)
            json.member("content_checked", report.contentChecked)
            json.key("merkle_root")
            if let root = report.merkleRoot { json.value(root) } else { json.null() }
            json.key("computed_root")
            if let root = report.computedRoot { json.value(root) } else { json.null() }
            json.key("findings")
            json.array { list in
                for finding in report.findings {
                    list.object { item in
                        item.member("kind", finding.kind.rawValue)
                        item.member("subject", finding.subject)
                        item.member("text", finding.text)
                    }
                }
            }
        }
        return writer
    }
}
