package import Base
internal import Console
package import Pipeline

/// What `reel status` says of verifications, by what the log says of each session.
package struct VerifiedReport {
    private let summary: VerificationSummary
    private let now: Timestamp

    package init(_ summary: VerificationSummary, at now: Timestamp) {
        self.summary = summary
        self.now = now
    }

    private var oldestMilliseconds: Int? {
        summary.oldest.map { max(0, Int(clamping: now.milliseconds(since: $0))) }
    }

    /// One line for people.
    package var text: String {
        guard summary.over > 0 else { return "no session is over yet" }
        let age = oldestMilliseconds.map { ", the longest ago \(Quantity.age(milliseconds: $0))" } ?? ""
        return "\(Quantity.grouped(summary.verified)) of \(Quantity.grouped(summary.over)) sessions that are "
            + "over\(age); \(Quantity.grouped(summary.faulty)) failed"
    }

    /// Writes the member `verified`.
    package func write(into json: inout JSONWriter) {
        json.member("verified") { json in
            json.member("sessions_over", summary.over)
            json.member("sessions", summary.verified)
            json.key("oldest")
            if let oldest = summary.oldest { json.value(oldest) } else { json.null() }
            json.key("oldest_seconds")
            if let age = oldestMilliseconds { json.value(age / 1000) } else { json.null() }
            json.member("failures", summary.faulty)
        }
    }
}
