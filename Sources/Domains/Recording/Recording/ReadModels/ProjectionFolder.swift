package import EventSourcing

/// A document's state in memory, and what the next write has to know about it.
package final class Projected<Model> {
    /// What it says.
    package fileprivate(set) var model: Model
    /// Whether it was folded from its first event in this batch, and is thus most likely not stored yet.
    package fileprivate(set) var isNew: Bool
    /// Where the first event stands that was taken into it since it was written last; nil when there is none.
    package fileprivate(set) var since: LogPosition?
    fileprivate var isTouched = false

    fileprivate init(_ model: Model, isNew: Bool) {
        self.model = model
        self.isNew = isNew
    }

    /// It is being written.
    fileprivate func settle() {
        isTouched = false
        isNew = false
        since = nil
    }
}

/// Folds batches of events into document states. No I/O: says what it needs to have loaded, and what has
/// to be written.
///
/// Why it is exact under redelivery: a state is always the fold of the whole history up to its version, so
/// there is one content per version, and taking in an event again is noticed by its sequence. A first event
/// starts afresh without looking at what is stored; hence going through the log from its beginning repairs
/// everything, whatever the database contains.
package struct ProjectionFolder {
    private var folds: GenerationCache<Projected<SessionFold>>
    private var chunks: GenerationCache<Projected<ChunkView>>
    /// Sessions that the events since the last `finish` concern.
    package private(set) var touchedFolds: [Projected<SessionFold>] = []
    /// Chunks that they concern.
    package private(set) var touchedChunks: [Projected<ChunkView>] = []
    /// Records of the audit trail. Each is a document by itself and never changes, so that nothing of them
    /// is loaded, kept or checked for gaps.
    package private(set) var records: [AuditView] = []
    /// The sums that are kept along, by partition; nil where nobody keeps them.
    package var totals: TotalsBook?
    /// Whether the events are those of a session that was held back: what stands up to the counted position
    /// is counted now, and what stands behind it when it comes by itself.
    package var isResuming = false
    // What is used between two writes is held here, however small the caches are.
    private var batchFolds: [String: Projected<SessionFold>] = [:]
    private var batchChunks: [String: Projected<ChunkView>] = [:]

    private let readsHistories: Bool

    /// A folder that keeps so many states in memory; up to twice as many at times.
    /// - Parameter readsHistories: whether a session can be read again from the log.
    package init(sessionLimit: Int, chunkLimit: Int, readsHistories: Bool = true) {
        self.readsHistories = readsHistories
        folds = GenerationCache(limit: sessionLimit)
        chunks = GenerationCache(limit: chunkLimit)
    }

    /// Takes a look at the next events; answers which states have to be loaded and adopted before they
    /// are folded. What was touched before stays so until `finish`.
    package mutating func begin(_ events: [RecordedEvent]) -> (sessions: [String], chunks: [String]) {
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
    package mutating func adopt(_ fold: SessionFold) {
        let state = Projected(fold, isNew: false)
        keep(state)
        touch(state)
    }

    /// Takes over a stored chunk.
    package mutating func adopt(_ chunk: ChunkView) {
        keep(Projected(chunk, isNew: false))
    }

    /// Takes in the next event of a batch.
    package mutating func fold(_ event: RecordedEvent) throws(FoldFailure) {
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
            let before = isCounted(event) ? PartitionTotals.Share(session.model) : nil
            session.model.evolve(fact, stamp)
            if let before { count(event, from: before, to: session.model) }
            touch(session, by: event)
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
            touch(state, by: event)
            if isCounted(event) { count(event, from: nil, to: first) }
        }
    }

    // MARK: - Counting

    private func isCounted(_ event: RecordedEvent) -> Bool {
        guard let totals = totals?[event.position.partition] else { return false }
        guard isResuming else { return event.position > totals.position }
        return event.position <= totals.position
            && event.sequence > totals.behind[event.partitionKey] ?? 0
    }

    private mutating func count(
        _ event: RecordedEvent, from before: PartitionTotals.Share?, to after: SessionFold
    ) {
        let partition = event.position.partition
        guard var book = totals, var counted = book[partition] else { return }
        // Moved out while it changes, so that nothing is copied.
        totals = nil
        counted.count(from: before, to: PartitionTotals.Share(after))
        if isResuming {
            counted.behind[event.partitionKey] = event.sequence
        } else if !counted.behind.isEmpty {
            counted.behind[event.partitionKey] = nil
        }
        book.known[partition] = counted
        totals = book
    }

    /// The state that a session has to begin with for what comes behind it to be counted once: its last event
    /// among those that are taken in, and up to where the stored state may go; nil when that is sound.
    private func beginning(
        of fold: SessionFold, among events: [RecordedEvent]
    ) -> (event: RecordedEvent, end: UInt64)? {
        guard let counted = totals?[fold.session.logPosition.partition] else { return nil }
        let known = counted.behind[fold.sessionID]
        // So it is but after a crash, and with two owners at once.
        guard known != nil || fold.session.logPosition > counted.position,
            let last = events.last(where: { $0.partitionKey == fold.sessionID })
        else { return nil }
        var end = last.sequence
        if let known {
            end = min(end, known)
        } else {
            let next = events.first {
                $0.partitionKey == fold.sessionID && $0.position > counted.position
            }
            if let next { end = next.sequence - 1 }
        }
        return end < fold.version ? (last, end) : nil
    }

    private mutating func fold(
        _ fact: ChunkEvent, _ stamp: EventStamp, _ event: RecordedEvent
    ) throws(FoldFailure) {
        if let first = ChunkView(fact, stamp) {
            if let earlier = batchChunks[first.chunkID], earlier.isTouched {
                touchedChunks.removeAll { $0 === earlier }
            }
            let state = Projected(first, isNew: true)
            keep(state)
            touch(state, by: event)
            return
        }
        guard let state = batchChunks[fact.chunk.chunkID] else {
            throw .unknownChunk(chunkID: fact.chunk.chunkID, position: event.position)
        }
        if stamp.sequence <= state.model.version { return }
        state.model.evolve(fact, stamp)
        touch(state, by: event)
    }

    /// Takes in a batch: loads what it needs, folds the events one after the other, and reads a session
    /// again from its first event where a part of its history is missing.
    /// - Parameters:
    ///   - load: answers the stored states of these sessions and chunks, as far as there are any.
    ///   - history: the next events of the session that has the gap, after a sequence; none at its end.
    ///     May throw instead: the gap itself, where nothing can be read.
    ///   - failure: what a failure of the fold is to the caller.
    /// - Returns: how many sessions were read again.
    package mutating func take<Failure: Error>(
        _ events: [RecordedEvent],
        load: (_ sessions: [String], _ chunks: [String]) throws(Failure) -> ([SessionFold], [ChunkView]),
        history: (_ gap: FoldFailure, _ event: RecordedEvent, _ sequence: UInt64) throws(Failure) ->
            [RecordedEvent],
        failure: (FoldFailure) -> Failure
    ) throws(Failure) -> Int {
        let missing = begin(events)
        let (folds, chunks) = try load(missing.sessions, missing.chunks)
        for fold in folds {
            guard let (event, end) = beginning(of: fold, among: events) else {
                adopt(fold)
                continue
            }
            guard readsHistories else {
                totals?.lose(event.position.partition)
                adopt(fold)
                continue
            }
            if let earlier = try earlier(fold, event, end, history, failure) { adopt(earlier) }
        }
        for chunk in chunks { adopt(chunk) }
        var repairs = 0
        for event in events {
            do throws(FoldFailure) {
                try fold(event)
            } catch {
                guard error.isRepairable else { throw failure(error) }
                var last: UInt64 = 0
                while last < event.sequence {
                    let page = try history(error, event, last)
                    // What comes behind is not due yet, and may be what nobody can take in.
                    for earlier in page where earlier.sequence <= event.sequence {
                        do throws(FoldFailure) { try fold(earlier) } catch {
                            throw failure(error.inWholeHistory(of: earlier))
                        }
                    }
                    guard let end = page.last else {
                        throw failure(gap(event, after: last))
                    }
                    last = end.sequence
                }
                // What was counted of it is not known, unless it was held back.
                if !isResuming { totals?.lose(event.position.partition) }
                repairs += 1
            }
        }
        if !isResuming, totals != nil {
            let ends = Dictionary(
                events.map { ($0.position.partition, $0.position) }, uniquingKeysWith: { $1 })
            for end in ends.values { totals?.pass(end) }
        }
        return repairs
    }

    /// What is stored of a session is ahead of the sums, as after a crash between two writes: its state as
    /// it was counted last, from its history; nil before its first event.
    private func earlier<Failure: Error>(
        _ fold: SessionFold, _ event: RecordedEvent, _ end: UInt64,
        _ history: (_ gap: FoldFailure, _ event: RecordedEvent, _ sequence: UInt64) throws(Failure) ->
            [RecordedEvent],
        _ failure: (FoldFailure) -> Failure
    ) throws(Failure) -> SessionFold? {
        var state: SessionFold?
        while (state?.version ?? 0) < end {
            let last = state?.version ?? 0
            let page = try history(gap(event, after: last), event, last)
            for earlier in page where earlier.sequence > state?.version ?? 0 && earlier.sequence <= end {
                let fact: RecordingEvent
                do { fact = try RecordingEvent(earlier) } catch { throw failure(malformed(error, earlier)) }
                if state == nil {
                    state = SessionFold(fact, EventStamp(earlier))
                } else {
                    state?.evolve(fact, EventStamp(earlier))
                }
            }
            guard state?.version ?? 0 > last else { throw failure(gap(event, after: last)) }
        }
        return state
    }

    /// What was touched has been taken away to be written.
    package mutating func finish() {
        for state in touchedFolds { state.settle() }
        for state in touchedChunks { state.settle() }
        touchedFolds = []
        touchedChunks = []
        records = []
        batchFolds = [:]
        batchChunks = [:]
    }

    /// Forgets everything, after a batch that may have been written in part.
    package mutating func forget() {
        forgetStates()
        totals = nil
    }

    /// Forgets the states, and keeps the sums.
    package mutating func forgetStates() {
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

    private mutating func touch(_ state: Projected<SessionFold>, by event: RecordedEvent) {
        if state.since == nil { state.since = event.position }
        touch(state)
    }

    private mutating func touch(_ state: Projected<SessionFold>) {
        if state.isTouched { return }
        state.isTouched = true
        touchedFolds.append(state)
    }

    private mutating func touch(_ state: Projected<ChunkView>, by event: RecordedEvent) {
        if state.since == nil { state.since = event.position }
        if state.isTouched { return }
        state.isTouched = true
        touchedChunks.append(state)
    }

    private func gap(_ event: RecordedEvent, after version: UInt64) -> FoldFailure {
        .gap(
            sessionID: event.partitionKey, contained: version, given: event.sequence,
            position: event.position)
    }

    private func malformed(_ error: MalformedEvent, _ event: RecordedEvent) -> FoldFailure {
        .malformed(error, sessionID: event.partitionKey, position: event.position)
    }
}
