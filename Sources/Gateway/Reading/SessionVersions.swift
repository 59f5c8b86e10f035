internal import EventSourcing
internal import Synchronization

/// Somebody who follows the whole log and so knows how far each session has come, without asking.
public protocol LatestVersions: Sendable {
    /// Sequence of the session's last event, 0 when there is none; nil when that is not known, or when the
    /// follower is not at the log's end now.
    func version(of session: String) -> UInt64?
}

/// How far sessions' histories have come, from whoever knows it.
final class SessionVersions: Sendable {
    private static let ownKept = 20_000

    private let store: StorePool
    private let follower: (any LatestVersions)?
    /// What this process has appended; a follower may see it a moment later.
    private let own = Shelf<String, UInt64>(limit: ownKept)

    init(_ store: StorePool, follower: (any LatestVersions)?) {
        self.store = store
        self.follower = follower
    }

    /// Notes what was appended here.
    func note(_ version: UInt64, of session: String) {
        guard follower != nil else { return }
        own[session] = max(version, own[session] ?? 0)
    }

    /// Sequence of the session's last event, 0 when there is none. Asks the log where nobody follows it.
    func version(of session: String) throws(LogFailure) -> UInt64 {
        guard let followed = follower?.version(of: session) else { return try store.version(of: session) }
        return max(followed, own[session] ?? 0)
    }

    /// The same where it costs nothing; nil otherwise.
    func versionAtHand(of session: String) -> UInt64? {
        follower?.version(of: session).map { max($0, own[session] ?? 0) }
    }
}
