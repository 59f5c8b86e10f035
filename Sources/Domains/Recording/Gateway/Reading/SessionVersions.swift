internal import EventSourcing
internal import Engine

/// Somebody who follows the whole log and so knows how far each session has come, without asking.
package protocol LatestVersions: Sendable {
    /// Sequence of the session's last event; nil when it is not known, or when the follower does not go with
    /// the log now.
    func version(of session: String) -> UInt64?
    /// Says how far a session has come, as whoever says it has found out or brought about.
    func note(_ version: UInt64, of session: String)
}

/// How far sessions' histories have come, from whoever knows it.
final class SessionVersions: Sendable {
    private let store: StorePool
    private let follower: (any LatestVersions)?

    init(_ store: StorePool, follower: (any LatestVersions)?) {
        self.store = store
        self.follower = follower
    }

    /// Notes what was appended here, which a follower may see a moment later.
    func note(_ version: UInt64, of session: String) {
        if version > 0 { follower?.note(version, of: session) }
    }

    /// Sequence of the session's last event where somebody knows it without asking; never blocks.
    func known(of session: String) -> UInt64? { follower?.version(of: session) }

    /// Sequence of the session's last event, 0 when there is none. Asks the log where nobody knows.
    func version(of session: String) throws(LogFailure) -> UInt64 {
        if let known = follower?.version(of: session) { return known }
        let version = try store.version(of: session)
        note(version, of: session)
        return version
    }
}
