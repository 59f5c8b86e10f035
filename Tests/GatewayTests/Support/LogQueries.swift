import Base
import EventSourcing
import Recording
import ReadModels

/// Read models that are folded from the log when they are asked: never behind, unless they are told to be.
final class LogQueries: RecordingQueries {
    enum Mode { case current, behind, unreachable }

    private let log: any EventLog
    private let mode = Lock(Mode.current)
    private let asked = Lock(0)

    init(_ log: any EventLog) { self.log = log }

    /// `behind`: they know nothing yet; `unreachable`: they can't be asked.
    func set(_ mode: Mode) { self.mode.withLock { $0 = mode } }
    /// How often single sessions were asked for.
    var sessionQuestions: Int { asked.withLock { $0 } }

    private func folds() throws(QueryFailure) -> [(fold: SessionFold, chunks: [ChunkView])] {
        switch mode.withLock({ $0 }) {
        case .behind: return []
        case .unreachable:
            throw QueryFailure("nobody answers", isUnreachable: true, remedy: .time)
        case .current: break
        }
        var folds: [String: (fold: SessionFold, chunks: [ChunkView])] = [:]
        do {
            let store = try log.open()
            for partition in 0..<store.partitioning.count {
                for event in try store.read(after: .start(of: partition), limit: 100_000) {
                    let fact = try RecordingEvent(event)
                    let stamp = EventStamp(event)
                    let key = event.partitionKey
                    if folds[key] == nil, let fold = SessionFold(fact, stamp) {
                        folds[key] = (fold, [])
                    } else {
                        folds[key]?.fold.evolve(fact, stamp)
                    }
                    guard case .chunk(let event) = fact else { continue }
                    if let chunk = ChunkView(event, stamp) {
                        folds[key]?.chunks.append(chunk)
                    } else if let place = folds[key]?.chunks.firstIndex(where: {
                        $0.chunkID == event.chunk.chunkID
                    }) {
                        folds[key]?.chunks[place].evolve(event, stamp)
                    }
                }
            }
        } catch {
            throw QueryFailure("\(error)", isUnreachable: false, remedy: .none)
        }
        return folds.values.sorted { $0.fold.sessionID > $1.fold.sessionID }
    }

    private func matching(_ filter: SessionFilter) throws(QueryFailure) -> [SessionView] {
        try folds().map(\.fold.session).filter(filter.matches).sorted {
            ($0.createdAt, $0.sessionID) > ($1.createdAt, $1.sessionID)
        }
    }

    func sessions(
        _ filter: SessionFilter, from start: ListStart, limit: Int
    ) throws(QueryFailure) -> [SessionView] {
        switch start {
        case .offset(let offset): Array(try matching(filter).dropFirst(offset).prefix(limit))
        case .after(let cursor):
            Array(try matching(filter).filter { isBehind($0, cursor.place) }.prefix(limit))
        }
    }

    func sessionPlaces(
        _ filter: SessionFilter, behind place: ListCursor.Place?, limit: Int
    ) throws(QueryFailure) -> [ListCursor.Place] {
        let all = try matching(filter)
        return (place.map { place in all.filter { isBehind($0, place) } } ?? all).prefix(limit).map(
            \.listPlace)
    }

    private func isBehind(_ session: SessionView, _ place: ListCursor.Place) -> Bool {
        guard case .session(let time, let id) = place else { return false }
        return (session.createdAt.milliseconds, session.sessionID) < (time, id)
    }

    func sessionList(
        _ filter: SessionFilter, limit: Int, from start: ListStart
    ) throws(QueryFailure) -> SessionListResponse {
        let page = Page(limit: limit, offset: start.offset)
        let all = try matching(filter)
        return SessionListResponse(
            sessions: Array(all.dropFirst(page.offset).prefix(page.limit)),
            pagination: PaginationInfo(page, total: all.count))
    }

    func chunkList(
        ofSession sessionID: String, _ filter: ChunkFilter, limit: Int, from start: ListStart
    ) throws(QueryFailure) -> ChunkListResponse {
        let page = Page(limit: limit, offset: start.offset)
        let all = try matching(sessionID, filter)
        return ChunkListResponse(
            chunks: Array(all.dropFirst(page.offset).prefix(page.limit)),
            pagination: PaginationInfo(page, total: all.count))
    }

    func sessionCount(_ filter: SessionFilter) throws(QueryFailure) -> Int { try matching(filter).count }

    func session(_ sessionID: String) throws(QueryFailure) -> SessionView? {
        asked.withLock { $0 += 1 }
        return try folds().first { $0.fold.sessionID == sessionID }?.fold.session
    }

    private func matching(_ session: String, _ filter: ChunkFilter) throws(QueryFailure) -> [ChunkView] {
        let chunks = try folds().first { $0.fold.sessionID == session }?.chunks ?? []
        return chunks.filter { chunk in
            (filter.status == nil || chunk.status == filter.status)
                && (filter.from.map { chunk.timestamp >= $0 } ?? true)
                && (filter.to.map { chunk.timestamp <= $0 } ?? true)
        }.sorted { $0.sequenceNumber < $1.sequenceNumber }
    }

    func chunks(
        ofSession sessionID: String, _ filter: ChunkFilter, _ page: Page
    ) throws(QueryFailure) -> [ChunkView] {
        Array(try matching(sessionID, filter).dropFirst(page.offset).prefix(page.limit))
    }

    func chunkCount(ofSession sessionID: String, _ filter: ChunkFilter) throws(QueryFailure) -> Int {
        try matching(sessionID, filter).count
    }

    func chunk(_ chunkID: String) throws(QueryFailure) -> ChunkView? {
        for (_, chunks) in try folds() {
            if let chunk = chunks.first(where: { $0.chunkID == chunkID }) { return chunk }
        }
        return nil
    }

    func pipeline(ofSession sessionID: String) throws(QueryFailure) -> PipelineView? {
        try folds().first { $0.fold.sessionID == sessionID }?.fold.pipeline.view
    }

    func statistics(
        ofSession sessionID: String
    ) throws(QueryFailure) -> SessionStatisticsResponse? {
        try folds().first { $0.fold.sessionID == sessionID }.map { SessionStatisticsResponse($0.fold) }
    }

    func totals() throws(QueryFailure) -> RecordingTotals {
        var totals = RecordingTotals()
        for fold in try folds().map(\.fold) {
            let session = fold.session
            totals.work.add(fold.tally.work)
            if session.status == .deleted { continue }
            if session.startedAt != nil { totals.startedCount += 1 }
            totals.storedBytes += fold.tally.storedFileBytes
            totals.storedChunks += fold.tally.storedCount
            totals.storedOriginalBytes += fold.tally.storedOriginalBytes
            totals.storedPayloadBytes += fold.tally.storedPayloadBytes
            totals.sessions[session.status, default: 0] += 1
            totals.chunks += session.statistics.chunksCount
            totals.sizeBytes += session.statistics.sizeBytes
            totals.durationSeconds += session.statistics.durationSeconds
            totals.errors += session.statistics.errorCount
        }
        return totals
    }

    func ping() throws(QueryFailure) { _ = try folds() }
}
