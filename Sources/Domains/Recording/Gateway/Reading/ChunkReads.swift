internal import Base
internal import EventSourcing
internal import Recording
internal import Engine

/// Reads the chunks of sessions: from the read models where these are not behind and whoever asks may see
/// every session, else from the log.
final class ChunkReads: Sendable {
    private let queries: any RecordingQueries
    private let folds: ChunkFolds
    private let sessions: SessionReads
    private let versions: SessionVersions
    private let lists: SharedCache<String, KeptList>

    /// A list as it was answered.
    private struct KeptList: Sendable {
        /// Sequence of the session's last event that is sure to be in it.
        let version: UInt64
        let body: [UInt8]
        /// Bytes that it takes, its key included, and about what a dictionary needs for an entry.
        let weight: Int

        init(_ version: UInt64, _ body: [UInt8], key: String) {
            self.version = version
            self.body = body
            weight = body.count + key.utf8.count + 256
        }
    }

    init(
        _ queries: any RecordingQueries, _ store: StorePool, _ sessions: SessionReads,
        _ versions: SessionVersions, listBytesKept: Int
    ) {
        self.queries = queries
        folds = ChunkFolds(store)
        self.sessions = sessions
        self.versions = versions
        lists = SharedCache(limit: listBytesKept) { $0.weight }
    }

    /// The JSON text of a page of a session's chunks.
    /// - Parameter parameters: what `query` was read from.
    func listAnswer(
        of session: String, _ query: ChunkListQuery, _ parameters: [(name: String, value: String)],
        from source: ReadSource
    ) throws -> [UInt8] {
        let version = try versions.version(of: session)
        let list = try list(of: session, query, from: source)
        var writer = JSONWriter(reserving: 512 * (list.chunks.count + 1))
        list.encode(into: &writer)
        let key = Self.key(session, parameters, source)
        lists[key] = KeptList(version, writer.bytes, key: key)
        return writer.bytes
    }

    /// The same where nothing has happened to the session since somebody was answered; nil where that is
    /// not so, or not known. Never blocks.
    func keptList(
        of session: String, _ parameters: [(name: String, value: String)], from source: ReadSource
    ) -> [UInt8]? {
        guard let version = versions.known(of: session),
            let kept = lists[Self.key(session, parameters, source)], kept.version >= version
        else { return nil }
        return kept.body
    }

    /// No name or value in a query holds a NUL.
    private static func key(
        _ session: String, _ parameters: [(name: String, value: String)], _ source: ReadSource
    ) -> String {
        let start = source == .log ? "\0\(session)" : session
        return parameters.reduce(into: start) { key, item in key += "\0\(item.name)\0\(item.value)" }
    }

    /// One chunk of a session; nil when it has none of this id.
    func chunk(_ chunkID: String, of session: String, from source: ReadSource) throws -> ChunkView? {
        guard source == .models, try sessions.areModelsCurrent(for: session) else {
            return try folds.chunks(of: session).first { $0.chunkID == chunkID }
        }
        let chunk = try queries.chunk(chunkID)
        return chunk?.sessionID == session ? chunk : nil
    }

    /// A page of a session's chunks.
    func list(
        of session: String, _ query: ChunkListQuery, from source: ReadSource
    ) throws -> ChunkListResponse {
        if source == .models, try sessions.areModelsCurrent(for: session) {
            return try queries.chunkList(
                ofSession: session, query.filter, limit: query.limit, from: query.start)
        }
        let all = try folds.chunks(of: session).filter { chunk in
            (query.filter.status.map { chunk.status == $0 } ?? true)
                && (query.filter.from.map { chunk.timestamp >= $0 } ?? true)
                && (query.filter.to.map { chunk.timestamp <= $0 } ?? true)
        }
        return page(all, session, query)
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
        let shown = query.start.offset +| chunks.count
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
}
