public import EventSourcing

/// Somebody who follows the whole log with one reader and hands its events to any number of followers.
/// Calls come from several threads.
public protocol EventFollowing: Sendable {
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
public enum FollowScope: Sendable, Hashable {
    /// One session's history; places are sequence numbers.
    case session(String)
    /// The whole log; a place is a word.
    case everything(includesAudit: Bool)
}

/// Where a follower begins.
public enum FollowStart: Sendable, Hashable {
    /// At the beginning.
    case beginning
    /// With what comes from now on.
    case now
    /// Behind the event that had this id.
    case after(String)
}

/// Why nobody can follow.
public enum FollowRefusal: Error, Sendable, Hashable {
    /// The place is none that was given out.
    case unknownPlace
    /// As many follow as may.
    case tooMany
    /// The log is not followed now.
    case unavailable
}

/// A follower's queue. Calls come from several threads, never two at once.
public protocol FollowedEvents: Sendable {
    /// The next events, at most `limit`. Never blocks.
    func take(limit: Int) -> FollowedBatch
    /// Ends it.
    func cancel()
}

/// What a follower gets at one look.
public enum FollowedBatch: Sendable {
    /// Events in order; none when nothing has come.
    case events([FollowedEvent])
    /// No more will come.
    case ended(StreamEnd)
}

/// An event on its way to followers.
public struct FollowedEvent: Sendable {
    /// Type of what stands for an entry of the log that cannot be read.
    public static let unreadableType = "unreadable"

    /// CloudEvents type, or `unreadableType`.
    public var type: String
    /// Its sequence in its session.
    public var sequence: UInt64
    /// Where to go on after it.
    public var id: String
    /// The event in CloudEvents 1.0 JSON form, on one line.
    public var json: [UInt8]
    /// What is sent of it: `EventStream.frame` of JSON, id and type. The same array for all who can share it.
    public var frame: [UInt8]

    /// An event from its parts.
    public init(type: String, sequence: UInt64, id: String, json: [UInt8], frame: [UInt8]) {
        self.type = type
        self.sequence = sequence
        self.id = id
        self.json = json
        self.frame = frame
    }
}

/// Events of the whole log.
public struct FollowedPage: Sendable {
    /// In order within each session.
    public var events: [RecordedEvent]
    /// Entries among them that cannot be read, in the same order.
    public var unreadable: [UnreadableHole]
    /// The place behind them.
    public var place: String
    /// Whether there are more.
    public var hasMore: Bool

    /// A page from its parts.
    public init(events: [RecordedEvent], unreadable: [UnreadableHole], place: String, hasMore: Bool) {
        self.events = events
        self.unreadable = unreadable
        self.place = place
        self.hasMore = hasMore
    }
}

/// Why a stream of events ends; its last event, of type `end`, says so.
public enum StreamEnd: String, Sendable, Hashable, CaseIterable {
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
