internal import EventSourcing
internal import Recording

/// Reads the chunks of sessions: from the read models where these are not behind, else from the log.
final class ChunkReads: Sendable {
    private let queries: any RecordingQueries
    private let store: StorePool
    private let sessions: SessionReads

    init(_ queries: any RecordingQueries, _ store: StorePool, _ sessions: SessionReads) {
        self.queries = queries
        self.store = store
        self.sessions = sessions
    }

    /// One chunk of a session; nil when it has none of this id.
    func chunk(_ chunkID: String, of session: String) throws -> ChunkView? {
        guard try sessions.areModelsCurrent(for: session) else {
            return try logged(session).first { $0.chunkID == chunkID }
        }
        let chunk = try queries.chunk(chunkID)
        return chunk?.sessionID == session ? chunk : nil
    }

    /// A page of a session's chunks.
    func list(of session: String, _ query: ChunkListQuery) throws -> ChunkListResponse {
        if try sessions.areModelsCurrent(for: session) {
            return try queries.chunkList(
                ofSession: session, query.filter, limit: query.limit, from: query.start)
        }
        let all = try logged(session).filter { chunk in
            (query.filter.status.map { chunk.status == $0 } ?? true)
                && (query.filter.from.map { chunk.timestamp >= $0 } ?? true)
                && (query.filter.to.map { chunk.timestamp <= $0 } ?? true)
        }
        return page(all, session, query)
    }

    /// Every chunk of a session, in the order of their numbers.
    func all(of session: String) throws -> [ChunkView] {
        guard try sessions.areModelsCurrent(for: session) else { return try logged(session) }
        var chunks: [ChunkView] = []
        var start = ListStart.offset(0)
        while true {
            let page = try queries.chunkList(ofSession: session, ChunkFilter(), limit: 1000, from: start)
            chunks += page.chunks
            guard page.pagination.hasNext, let last = page.chunks.last else { return chunks }
            start = .after(
                ListCursor(
                    .chunk(sequenceNumber: last.sequenceNumber), shown: chunks.count,
                    total: page.pagination.total))
        }
    }

    private func page(_ all: [ChunkView], _ session: String, _ query: ChunkListQuery) -> ChunkListResponse {
        var rest = all[...]
        var total = all.count
        switch query.start {
        case .offset(let count): rest = rest.dropFirst(count)
        case .after(let cursor):
            if case .chunk(let number) = cursor.place { rest = rest.drop { $0.sequenceNumber <= number } }
            total = cursor.total
        }
        let chunks = Array(rest.prefix(query.limit))
        let hasNext = rest.count > chunks.count
        let shown = query.start.offset + chunks.count
        var next: String?
        if hasNext, let last = chunks.last {
            next = ListCursor(.chunk(sequenceNumber: last.sequenceNumber), shown: shown, total: total)
                .text(of: query.filter.listName(ofSession: session))
        }
        return ChunkListResponse(
            chunks: chunks,
            pagination: PaginationInfo(
                total: total, limit: query.limit, offset: query.start.offset, hasNext: hasNext,
                nextCursor: next))
    }

    private func logged(_ session: String) throws -> [ChunkView] {
        var chunks: [Int: ChunkView] = [:]
        try store.forEach(of: session) { event in
            guard case .chunk(let fact) = try RecordingEvent(event) else { return }
            let number = fact.chunk.sequenceNumber
            if chunks[number] == nil {
                chunks[number] = ChunkView(fact, EventStamp(event))
            } else {
                chunks[number]?.evolve(fact, EventStamp(event))
            }
        }
        return chunks.values.sorted { $0.sequenceNumber < $1.sequenceNumber }
    }
}
