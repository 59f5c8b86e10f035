package import Access
package import Base
package import ReadModels

/// Which sessions are asked for; absent criteria match all. Deleted ones are found by their status only.
package struct SessionFilter: Sendable, Hashable {
    /// Where they are in their life.
    package var status: SessionStatus?
    /// Exact project.
    package var project: String?
    /// Exact environment.
    package var environment: String?
    /// One of their tags.
    package var tag: String?
    /// Exact owner.
    package var owner: String?
    /// Whether a case holds them.
    package var isHeld: Bool?
    /// A case that holds them.
    package var caseName: String?
    /// Whose sessions are shown; nil for everybody's.
    package var audience: Audience?

    /// All sessions but deleted ones.
    package init() {}
}

/// Which chunks of a session are asked for; absent criteria match all.
package struct ChunkFilter: Sendable, Hashable {
    /// How far they have come.
    package var status: ChunkStatus?
    /// Captured at this time or later.
    package var from: Timestamp?
    /// Captured at this time or earlier.
    package var to: Timestamp?

    /// All chunks.
    package init() {}
}

/// What dashboards and the API ask the read models. Calls block and may come from several threads; what
/// they answer can lag behind the log.
package protocol RecordingQueries: Sendable {
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
    package func sessions(_ filter: SessionFilter, _ page: Page) throws(QueryFailure) -> [SessionView] {
        try sessions(filter, from: .offset(page.offset), limit: page.limit)
    }
}

extension SessionView {
    /// Its place in lists.
    package var listPlace: ListCursor.Place { .session(created_ms: createdAt.milliseconds, id: sessionID) }
}

extension SessionFilter {
    /// Whether a session's ownership is one that is asked for and may be shown.
    package func admits(_ ownership: Ownership) -> Bool {
        (owner == nil || ownership.owner == owner) && (project == nil || ownership.project == project)
            && (audience?.sees(ownership) ?? true)
    }

    /// Whether a session is one of those that are asked for.
    package func matches(_ session: SessionView) -> Bool {
        (status == nil ? session.status != .deleted : session.status == status)
            && (environment == nil || session.metadata.environment == environment)
            && (tag.map(session.metadata.tags.contains) ?? true)
            && (isHeld == nil || isHeld == !session.holds.isEmpty)
            && (caseName == nil || session.holds.contains { $0.caseName == caseName })
            && admits(Ownership(session.metadata))
    }

    /// Whether nothing but ownership is asked about.
    package var isOfOwnershipAlone: Bool {
        status == nil && environment == nil && tag == nil && isHeld == nil && caseName == nil
    }
}
