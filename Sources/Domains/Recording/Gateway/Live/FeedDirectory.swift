package import Access
package import Engine
package import Pipeline
package import Recording

/// The facts of all sessions, as far as the process's one reader of the log goes.
package struct FeedDirectory: SessionFactsDirectory {
    private let directory: SessionDirectory
    private let feed: LiveFeed

    /// - Parameter feed: the one that the directory goes on with.
    package init(_ directory: SessionDirectory, _ feed: LiveFeed) {
        self.directory = directory
        self.feed = feed
    }

    /// Whether all is in memory, and the feed is with the log.
    package var isCurrent: Bool { directory.isLoaded && feed.isFollowing }

    /// See `SessionFactsDirectory`.
    package func facts(of session: String) -> SessionFacts? { directory.facts(of: session) }

    /// See `SessionFactsDirectory`.
    package func learn(_ facts: SessionFacts, of session: String) { directory.learn(facts, of: session) }

    /// See `SessionFactsDirectory`.
    package func count(where passes: (Ownership) -> Bool) -> Int { directory.count(where: passes) }
}
