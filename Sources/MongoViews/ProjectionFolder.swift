internal import EventSourcing
internal import Recording

/// A document's state in memory, and what the next write has to know about it.
final class Projected<Model> {
    var model: Model
    /// Whether it was folded from its first event in this batch, and is thus most likely not stored yet.
    var isNew: Bool
    var isTouched = false

    init(_ model: Model, isNew: Bool) {
        self.model = model
        self.isNew = isNew
    }
}

/// Folds batches of events into document states. No I/O: says what it needs to have loaded, and what has
/// to be written.
///
/// Why it is exact under redelivery: a state is always the fold of the whole history up to its version, so
/// there is one content per version, and taking in an event again is noticed by its sequence. A first event
/// starts afresh without looking at what is stored; hence going through the log from its beginning repairs
/// everything, whatever the database contains.
struct ProjectionFolder {
    private var folds: GenerationCache<Projected<SessionFold>>
    private var chunks: GenerationCache<Projected<ChunkView>>
    private(set) var touchedFolds: [Projected<SessionFold>] = []
    private(set) var touchedChunks: [Projected<ChunkView>] = []
    /// Records of the audit trail. Each is a document by itself and never changes, so that nothing of them
    /// is loaded, kept or checked for gaps.
    private(set) var records: [AuditView] = []
    // What is used between two writes is held here, however small the caches are.
    private var batchFolds: [String: Projected<SessionFold>] = [:]
    private var batchChunks: [String: Projected<ChunkView>] = [:]

    init(sessionLimit: Int, chunkLimit: Int) {
        folds = GenerationCache(limit: sessionLimit)
        chunks = GenerationCache(limit: chunkLimit)
    }

    /// Takes a look at the next events; answers which states have to be loaded and adopted before they
    /// are folded. What was touched before stays so until `finish`.
    mutating func begin(_ events: [RecordedEvent]) -> (sessions: [String], chunks: [String]) {
        var missingSessions: Set<String> = []
        var missingChunks: Set<String> = []
        var newSessions: Set<String> = []
        var newChunks: Set<String> = []
        for event in events where !AuditRecord.isHistory(event.partitionKey) {
            let session = event.partitionKey
            if event.sequence == 1 {
                newSessions.insert(session)
            } else if batchFolds[session] == nil, !newSessions.contains(session) {
                if let cached = folds.value(session) {
                    batchFolds[session] = cached
                } else {
                    missingSessions.insert(session)
                }
            }
            guard ChunkEvent.typeNames.contains(event.type) else { continue }
            let chunk = event.subject
            if event.type == "ChunkRecorded" {
                newChunks.insert(chunk)
            } else if batchChunks[chunk] == nil, !newChunks.contains(chunk) {
                if let cached = chunks.value(chunk) {
                    batchChunks[chunk] = cached
                } else {
                    missingChunks.insert(chunk)
                }
            }
        }
        return (missingSessions.sorted(), missingChunks.sorted())
    }

    /// Takes over a stored fold. It is written again with its batch: when the database was dropped between
    /// two writes the fold may be there without the documents that it belongs to.
    mutating func adopt(_ fold: SessionFold) {
        let state = Projected(fold, isNew: false)
        keep(state)
        touch(state)
    }

    /// Takes over a stored chunk.
    mutating func adopt(_ chunk: ChunkView) {
        keep(Projected(chunk, isNew: false))
    }

    /// Takes in the next event of a batch.
    mutating func fold(_ event: RecordedEvent) throws(ProjectionFailure) {
        if AuditRecord.isHistory(event.partitionKey) {
            do { records.append(try AuditView(event)) } catch { throw malformed(error, event) }
            return
        }
        let isChunkEvent = ChunkEvent.typeNames.contains(event.type)
        let session = event.sequence == 1 ? nil : batchFolds[event.partitionKey]
        let isKnown = session.map { event.sequence <= $0.model.version } ?? false
        if isKnown, !isChunkEvent { return }
        if let session, !isKnown, event.sequence != session.model.version + 1 {
            throw gap(event, after: session.model.version)
        }
        if session == nil, event.sequence != 1 { throw gap(event, after: 0) }
        let fact: RecordingEvent
        do { fact = try RecordingEvent(event) } catch { throw malformed(error, event) }
        let stamp = EventStamp(event)
        if case .chunk(let chunkEvent) = fact { try fold(chunkEvent, stamp, event) }
        if isKnown { return }
        if let session {
            session.model.evolve(fact, stamp)
            touch(session)
        } else {
            guard let first = SessionFold(fact, stamp) else {
                let text = "a history begins with SessionCreated"
                throw malformed(MalformedEvent(type: event.type, text: text), event)
            }
            let state = Projected(first, isNew: true)
            // A start from the first event replaces what the batch or the cache had of the session.
            if let earlier = batchFolds[first.sessionID], earlier.isTouched {
                touchedFolds.removeAll { $0 === earlier }
            }
            keep(state)
            touch(state)
        }
    }

    private mutating func fold(
        _ fact: ChunkEvent, _ stamp: EventStamp, _ event: RecordedEvent
    ) throws(ProjectionFailure) {
        if let first = ChunkView(fact, stamp) {
            if let earlier = batchChunks[first.chunkID], earlier.isTouched {
                touchedChunks.removeAll { $0 === earlier }
            }
            let state = Projected(first, isNew: true)
            keep(state)
            touch(state)
            return
        }
        guard let state = batchChunks[fact.chunk.chunkID] else {
            throw .unknownChunk(chunkID: fact.chunk.chunkID, position: event.position)
        }
        if stamp.sequence <= state.model.version { return }
        state.model.evolve(fact, stamp)
        touch(state)
    }

    /// What was touched has been taken away to be written.
    mutating func finish() {
        for state in touchedFolds {
            state.isTouched = false
            state.isNew = false
        }
        for state in touchedChunks {
            state.isTouched = false
            state.isNew = false
        }
        touchedFolds = []
        touchedChunks = []
        records = []
        batchFolds = [:]
        batchChunks = [:]
    }

    /// Forgets everything, after a batch that may have been written in part.
    mutating func forget() {
        finish()
        folds.removeAll()
        chunks.removeAll()
    }

    private mutating func keep(_ state: Projected<SessionFold>) {
        batchFolds[state.model.sessionID] = state
        folds.insert(state, for: state.model.sessionID)
    }

    private mutating func keep(_ state: Projected<ChunkView>) {
        batchChunks[state.model.chunkID] = state
        chunks.insert(state, for: state.model.chunkID)
    }

    private mutating func touch(_ state: Projected<SessionFold>) {
        if state.isTouched { return }
        state.isTouched = true
        touchedFolds.append(state)
    }

    private mutating func touch(_ state: Projected<ChunkView>) {
        if state.isTouched { return }
        state.isTouched = true
        touchedChunks.append(state)
    }

    private func gap(_ event: RecordedEvent, after version: UInt64) -> ProjectionFailure {
        .gap(
            sessionID: event.partitionKey, contained: version, given: event.sequence,
            position: event.position)
    }

    private func malformed(_ error: MalformedEvent, _ event: RecordedEvent) -> ProjectionFailure {
        .malformed(error, sessionID: event.partitionKey, position: event.position)
    }
}
