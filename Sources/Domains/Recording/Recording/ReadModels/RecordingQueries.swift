public import Base
public import EventSourcing

/// Which sessions are asked for; absent criteria match all. Deleted ones are found by their status only.
public struct SessionFilter: Sendable, Hashable {
    /// Where they are in their life.
    public var status: SessionStatus?
    /// Exact project.
    public var project: String?
    /// Exact environment.
    public var environment: String?
    /// One of their tags.
    public var tag: String?
    /// Exact owner.
    public var owner: String?
    /// Whether a case holds them.
    public var isHeld: Bool?
    /// A case that holds them.
    public var caseName: String?
    /// Whose sessions are shown; nil for everybody's.
    public var audience: Audience?

    /// All sessions but deleted ones.
    public init() {}
}

/// Which chunks of a session are asked for; absent criteria match all.
public struct ChunkFilter: Sendable, Hashable {
    /// How far they have come.
    public var status: ChunkStatus?
    /// Captured at this time or later.
    public var from: Timestamp?
    /// Captured at this time or earlier.
    public var to: Timestamp?

    /// All chunks.
    public init() {}
}

/// A part of an ordered list.
public struct Page: Sendable, Hashable {
    /// The most items in it.
    public var limit: Int
    /// Items before it.
    public var offset: Int

    /// A part from its bounds; negative ones count as 0.
    public init(limit: Int, offset: Int = 0) {
        self.limit = max(0, limit)
        self.offset = max(0, offset)
    }
}

/// Sums over all sessions that are not deleted.
public struct RecordingTotals: Sendable, Hashable {
    /// Sessions by status; absent where there is none.
    public var sessions: [SessionStatus: Int] = [:]
    /// Recorded chunks.
    public var chunks = 0
    /// Recorded bytes.
    public var sizeBytes = 0
    /// Seconds recorded.
    public var durationSeconds = 0
    /// Errors.
    public var errors = 0
    /// Sessions whose recording began.
    public var startedCount = 0
    /// Bytes of sealed files.
    public var storedBytes = 0
    /// Stored chunks.
    public var storedChunks = 0
    /// Recorded bytes of the stored chunks.
    public var storedOriginalBytes = 0
    /// The codec's output of the stored chunks, in bytes.
    public var storedPayloadBytes = 0
    /// What the stages did for all sessions, also for deleted ones; without what they have begun.
    public var work = WorkTally()

    /// Sums of nothing.
    public init() {}
}

/// Why a query has no answer. Never that something does not exist: that is an answer.
public struct QueryFailure: TransientFailure, Sendable, Hashable, CustomStringConvertible {
    /// What happened, to what, and where; free of credentials.
    public var description: String
    /// Whether no server was reached.
    public var isUnreachable: Bool
    /// What has to happen before it has one.
    public var remedy: Remedy
    /// Whether a document is not what Reel wrote, and not the server away: the description names it.
    public var isOfRecord: Bool

    /// A failure from its parts.
    public init(_ description: String, isUnreachable: Bool, remedy: Remedy, isOfRecord: Bool = false) {
        self.description = description
        self.isUnreachable = isUnreachable
        self.remedy = remedy
        self.isOfRecord = isOfRecord
    }
}

/// What dashboards and the API ask the read models. Calls block and may come from several threads; what
/// they answer can lag behind the log.
public protocol RecordingQueries: Sendable {
    /// Sessions from a place on, the newest first.
    func sessions(
        _ filter: SessionFilter, from start: ListStart, limit: Int
    ) throws(QueryFailure) -> [SessionView]
    /// The places of the sessions that `sessions` answers, for whoever only counts or goes past them.
    /// - Parameter place: of a session, behind which they begin; nil for the first.
    func sessionPlaces(
        _ filter: SessionFilter, behind place: ListCursor.Place?, limit: Int
    ) throws(QueryFailure) -> [ListCursor.Place]
    /// A page of sessions, the newest first, and where it lies.
    func sessionList(
        _ filter: SessionFilter, limit: Int, from start: ListStart
    ) throws(QueryFailure) -> SessionListResponse
    /// How many sessions the filter matches.
    func sessionCount(_ filter: SessionFilter) throws(QueryFailure) -> Int
    /// One session, also a deleted one; nil when there is none.
    func session(_ sessionID: String) throws(QueryFailure) -> SessionView?
    /// Chunks of a session, in the order of their sequence numbers.
    func chunks(
        ofSession sessionID: String, _ filter: ChunkFilter, _ page: Page
    ) throws(QueryFailure) -> [ChunkView]
    /// A page of a session's chunks, in the order of their sequence numbers, and where it lies.
    func chunkList(
        ofSession sessionID: String, _ filter: ChunkFilter, limit: Int, from start: ListStart
    ) throws(QueryFailure) -> ChunkListResponse
    /// How many chunks of a session the filter matches.
    func chunkCount(ofSession sessionID: String, _ filter: ChunkFilter) throws(QueryFailure) -> Int
    /// One chunk; nil when there is none.
    func chunk(_ chunkID: String) throws(QueryFailure) -> ChunkView?
    /// A session's pipeline; nil when there is none.
    func pipeline(ofSession sessionID: String) throws(QueryFailure) -> PipelineView?
    /// A session's statistics; nil when there is no such session.
    func statistics(ofSession sessionID: String) throws(QueryFailure) -> SessionStatisticsResponse?
    /// Sums over all sessions.
    func totals() throws(QueryFailure) -> RecordingTotals
    /// Whether the server answers; throws why not.
    func ping() throws(QueryFailure)
}

extension RecordingQueries {
    /// Sessions, the newest first.
    public func sessions(_ filter: SessionFilter, _ page: Page) throws(QueryFailure) -> [SessionView] {
        try sessions(filter, from: .offset(page.offset), limit: page.limit)
    }
}

extension SessionView {
    /// Its place in lists.
    public var listPlace: ListCursor.Place { .session(created_ms: createdAt.milliseconds, id: sessionID) }
}

extension SessionFilter {
    /// Whether a session's ownership is one that is asked for and may be shown.
    public func admits(_ ownership: Ownership) -> Bool {
        (owner == nil || ownership.owner == owner) && (project == nil || ownership.project == project)
            && (audience?.sees(ownership) ?? true)
    }

    /// Whether a session is one of those that are asked for.
    public func matches(_ session: SessionView) -> Bool {
        (status == nil ? session.status != .deleted : session.status == status)
            && (environment == nil || session.metadata.environment == environment)
            && (tag.map(session.metadata.tags.contains) ?? true)
            && (isHeld == nil || isHeld == !session.holds.isEmpty)
            && (caseName == nil || session.holds.contains { $0.caseName == caseName })
            && admits(Ownership(session.metadata))
    }

    /// Whether nothing but ownership is asked about.
    public var isOfOwnershipAlone: Bool {
        status == nil && environment == nil && tag == nil && isHeld == nil && caseName == nil
    }
}
