package import EventSourcing

/// Hears of all that a feed reads, before any follower does.
package protocol FeedListener: Sendable {
    /// The feed begins here, for the first time or anew: whatever is known may not have happened.
    func begin(at places: [LogPosition])

    /// The feed has come to these entries.
    func take(_ entries: [LogEntry])
}
