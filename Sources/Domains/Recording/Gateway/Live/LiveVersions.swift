package import Engine
internal import Pipeline

/// How far each session has come, as far as the process's one reader of the log knows.
package struct LiveVersions: LatestVersions {
    private let feed: LiveFeed

    /// What this feed knows.
    package init(_ feed: LiveFeed) { self.feed = feed }

    /// The last sequence of a session; nil where it is not known, or the feed is not with the log.
    package func version(of session: String) -> UInt64? { feed.isFollowing ? feed.lastSeen(session) : nil }

    /// Notes what this process has appended itself.
    package func note(_ version: UInt64, of session: String) {
        feed.noteAppended(session, sequence: version)
    }
}
