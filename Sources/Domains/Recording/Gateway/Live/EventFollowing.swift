package import EventSourcing

/// Somebody who follows the whole log with one reader and hands its events to any number of followers.
/// Calls come from several threads.
package protocol EventFollowing: Sendable {
    /// Begins to follow. Never blocks.
    /// - Parameters:
    ///   - scope: what is followed.
    ///   - start: from where on.
    ///   - onReady: called when there is something to take after nothing was, and at the end; on a thread of
    ///     the reader, where it does not block.
    func follow(
        _ scope: FollowScope, from start: FollowStart, onReady: @escaping @Sendable () -> Void
    ) throws(FollowRefusal) -> any FollowedEvents

    /// A page of all events of the log, behind a place that was given out; nil when `place` is none of this
    /// log. Blocks.
    /// - Parameter place: nil for the beginning of the log.
    func page(
        after place: String?, limit: Int, includesAudit: Bool, from store: any EventStore
    ) throws(LogFailure) -> FollowedPage?
}

/// What is followed.
package enum FollowScope: Sendable, Hashable {
    /// One session's history; places are sequence numbers.
    case session(String)
    /// The whole log; a place is a word.
    case everything(includesAudit: Bool)
}

/// Where a follower begins.
package enum FollowStart: Sendable, Hashable {
    /// At the beginning.
    case beginning
    /// With what comes from now on.
    case now
    /// Behind the event that had this id.
    case after(String)
}

/// Why nobody can follow.
package enum FollowRefusal: Error, Sendable, Hashable {
    /// The place is none that was given out.
    case unknownPlace
    /// As many follow as may.
    case tooMany
    /// The log is not followed now.
    case unavailable
}

/// A follower's queue. Calls come from several threads, never two at once.
package protocol FollowedEvents: Sendable {
    /// The next events, at most `limit`. Never blocks.
    func take(limit: Int) -> FollowedBatch
    /// Ends it.
    func cancel()
}

/// What a follower gets at one look.
package enum FollowedBatch: Sendable {
    /// Events in order; none when nothing has come.
    case events([FollowedEvent])
    /// No more will come.
    case ended(StreamEnd)
}

/// An event on its way to followers.
package struct FollowedEvent: Sendable {
    /// Type of what stands for an entry of the log that cannot be read.
    package static let unreadableType = "unreadable"

    /// CloudEvents type, or `unreadableType`.
    package var type: String
    /// Its sequence in its session.
    package var sequence: UInt64
    /// Where to go on after it.
    package var id: String
    /// The event in CloudEvents 1.0 JSON form, on one line.
    package var json: [UInt8]
    /// What is sent of it: `EventStream.frame` of JSON, id and type. The same array for all who can share it.
    package var frame: [UInt8]
    package init(type: String, sequence: UInt64, id: String, json: [UInt8], frame: [UInt8]) {
        self.type = type
        self.sequence = sequence
        self.id = id
        self.json = json
        self.frame = frame
    }
}

/// Events of the whole log.
package struct FollowedPage: Sendable {
    /// In order within each session.
    package var events: [RecordedEvent]
    /// Entries among them that cannot be read, in the same order.
    package var unreadable: [UnreadableHole]
    /// The place behind them.
    package var place: String
    /// Whether there are more.
    package var hasMore: Bool
    package init(events: [RecordedEvent], unreadable: [UnreadableHole], place: String, hasMore: Bool) {
        self.events = events
        self.unreadable = unreadable
        self.place = place
        self.hasMore = hasMore
    }
}

/// Why a stream of events ends; its last event, of type `end`, says so.
package enum StreamEnd: String, Sendable, Hashable, CaseIterable {
    /// The session was deleted.
    case sessionDeleted = "session_deleted"
    /// The token does not hold any longer.
    case tokenExpired = "token_expired"
    /// The session was given to an owner or a project that the follower has no part in.
    case accessLost = "access_lost"
    /// The log ends before the follower's place.
    case unknownPlace = "unknown_place"
    /// The log cannot be read there.
    case failed
    /// The server stops: go on at another, or later.
    case stopping
}
