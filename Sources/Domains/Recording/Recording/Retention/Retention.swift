package import Base

/// How long a session is kept, by `retention_days` of its storage configuration: that many days of 24 hours
/// after its recording ended. Pure: time is a value.
package enum Retention {
    private static let millisecondsPerDay: Int64 = 86_400_000

    /// What becomes of a session.
    package enum Verdict: Sendable, Hashable, CustomStringConvertible {
        /// It is not over: it is recorded, or its chunks are still being processed, or it is deleted already.
        case unfinished(SessionStatus)
        /// Cases hold it.
        case held(cases: [String])
        /// It is kept up to and including this moment.
        case kept(until: Timestamp)
        /// It was kept up to this moment, and goes.
        case due(since: Timestamp)

        /// In words.
        package var description: String {
            switch self {
            case .unfinished(let status): "is \(status.rawValue)"
            case .held(let cases): "is under legal hold: \(cases.joined(separator: ", "))"
            case .kept(let until): "is kept until \(until.rfc3339)"
            case .due(let since): "was kept until \(since.rfc3339)"
            }
        }
    }

    /// The last moment at which a session is kept; nil as long as it is not over. One that never recorded
    /// counts from its last event that is no verification.
    package static func end(of session: SessionView) -> Timestamp? {
        guard session.status == .completed || session.status == .failed else { return nil }
        return (session.stoppedAt ?? session.updatedAt).advanced(
            byMilliseconds: Int64(session.storage.retentionDays) *| millisecondsPerDay)
    }

    /// Whether a session goes: it does when more time than its retention has passed and no case holds it.
    /// - Parameter tagCounts: whether its tag keeps it as a case does (`HoldTag`).
    package static func verdict(_ session: SessionView, now: Timestamp, tagCounts: Bool) -> Verdict {
        guard let end = end(of: session) else { return .unfinished(session.status) }
        let isTagged = tagCounts && session.metadata.tags.contains(HoldTag.name)
        let cases = session.holds.map(\.caseName)
        if isTagged || !cases.isEmpty { return .held(cases: cases.isEmpty ? [HoldTag.caseName] : cases) }
        return now > end ? .due(since: end) : .kept(until: end)
    }
}
