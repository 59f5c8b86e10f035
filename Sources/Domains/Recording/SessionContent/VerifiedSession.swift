package import Base
internal import EventSourcing
package import Recording

/// What a verification has come to, and whether the session's history holds it.
package struct VerifiedSession: Sendable {
    /// What was found.
    package var report: AuditReport
    /// How long the look took in milliseconds, rests included.
    package var durationMilliseconds: Int
    /// Whether it is an event in the session's history.
    package var isRecorded = false
    /// Why it is none although it ought to be.
    package var refusal: String?

    /// A result that no history holds.
    package init(report: AuditReport, durationMilliseconds: Int) {
        self.report = report
        self.durationMilliseconds = durationMilliseconds
    }

    /// The result as a document: the report, and whether the session's history holds it.
    package func encode(into writer: inout JSONWriter) {
        writer.object { json in
            report.encodeMembers(into: &json)
            json.member("duration_ms", durationMilliseconds)
            json.member("recorded", isRecorded)
        }
    }
}

/// What the audit trail says of a verification.
package struct VerificationRecord: Sendable {
    /// Whether it ended, and found nothing wrong.
    package var outcome: AuditOutcome
    /// What is wrong; nil where nothing is.
    package var reason: String?
    /// Outcome, numbers and what asked for it, by name.
    package var details: [String: String]

    /// The record of one that came to its end.
    package init(_ report: AuditReport, _ trigger: VerificationTrigger) {
        let count = report.findingCount - report.noteCount
        let first = report.findings.first { !$0.kind.isNote }
        outcome = report.outcome.isFault ? .failed : .allowed
        if report.outcome.isFault, let first {
            reason = "\(report.outcome.rawValue): \(count) findings, the first: \(first)"
        }
        details = [
            "outcome": report.outcome.rawValue, "findings": "\(count)", "chunks": "\(report.chunks)",
            "bytes_read": "\(report.sealedBytes)", "contents": report.contentChecked ? "opened" : "hashed",
            "trigger": trigger.rawValue,
        ]
    }
}
