internal import EventSourcing
internal import Recording
internal import ReadModels

/// What has to hold of ordered subscriptions: everything in order, and sessions that wait wait alone.
extension World {
    /// The first event of a session that a subscription holds back, or passes over, and those behind it.
    private func end(of session: String, in subscription: String) -> UInt64? {
        log.parked(subscription: subscription).keys
            .compactMap { log.event(at: $0) }
            .filter { $0.partitionKey == session }.map(\.sequence).min()
    }

    /// Whether a stage or a subscription does not go on with a session, which then need not come to its end.
    func isHeldBack(_ session: String) -> Bool {
        human.left.contains { log.event(at: $0.position)?.partitionKey == session }
            || Operator.subscriptions.contains { log.givenUp(subscription: $0).contains(session) }
    }

    /// Every session's events are in the ledger, in order, up to the one that it waits for.
    func checkLedger() {
        let name = LedgerHandler.subscription
        for violation in ledger.violations { violated(violation) }
        let givenUp = log.givenUp(subscription: name)
        for id in sessions.map(\.sessionID) {
            let all = UInt64(log.allEvents().count { $0.partitionKey == id })
            let written = ledger.lines[id] ?? 0
            if givenUp.contains(id) {
                if written >= all { violated("ledger: \(id) was given up, and all of it was written") }
                continue
            }
            let expected = end(of: id, in: name).map { $0 - 1 } ?? all
            if written != expected { violated("ledger: \(id) ends at \(written), not at \(expected)") }
        }
    }

    /// The read models are the fold of the log, as far as the projection went on with the session.
    func checkReadModels(_ store: any EventStore) throws {
        let name = InMemoryProjection.subscription
        let givenUp = log.givenUp(subscription: name)
        let records = Set(log.allEvents().filter { AuditRecord.isHistory($0.partitionKey) }.map(\.id))
        if Set(database.records.keys) != records {
            violated("the records of the audit trail are not the log's")
        }
        let (folds, shown) = (database.folds, database.sessions)
        let (pipelines, chunks) = (database.pipelines, database.chunks)
        for id in sessions.map(\.sessionID) {
            let stored = chunks.filter { $0.value.sessionID == id }
            if givenUp.contains(id) {
                try checkGivenUp(id, stored, store)
                continue
            }
            let limit = end(of: id, in: name).map { $0 - 1 } ?? .max
            let fold = try replay(id, upTo: limit, store)
            if folds[id] != fold.session { violated("fold \(id) is not the fold of the log") }
            if shown[id] != fold.session?.session {
                violated("session \(id) is not the fold of the log")
            }
            if pipelines[id] != fold.session?.pipeline.view {
                violated("pipeline \(id) is not the fold of the log")
            }
            if stored != fold.chunks {
                let differing = Set(stored.keys).union(fold.chunks.keys)
                    .filter { stored[$0] != fold.chunks[$0] }.sorted()
                violated("chunks of \(id) are not the fold of the log: \(differing)")
            }
        }
    }

    /// What was given up stays as it was, each document as of its own version.
    private func checkGivenUp(
        _ id: String, _ chunks: [String: ChunkView], _ store: any EventStore
    ) throws {
        if let session = database.sessions[id],
            try replay(id, upTo: session.version, store).session?.session != session
        {
            violated("session \(id), given up, is not the fold of the log")
        }
        if let fold = database.folds[id], try replay(id, upTo: fold.version, store).session != fold {
            violated("fold \(id), given up, is not the fold of the log")
        }
        for (chunkID, chunk) in chunks.sorted(by: { $0.key < $1.key })
        where try replay(id, upTo: chunk.version, store).chunks[chunkID] != chunk {
            violated("chunk \(chunkID), given up, is not the fold of the log")
        }
    }

    private func replay(
        _ id: String, upTo limit: UInt64, _ store: any EventStore
    ) throws -> (session: SessionFold?, chunks: [String: ChunkView]) {
        var fold: SessionFold?
        var chunks: [String: ChunkView] = [:]
        try store.forEach(of: id) { event in
            guard event.sequence <= limit else { return }
            let fact = try RecordingEvent(event)
            let stamp = EventStamp(event)
            if fold == nil { fold = SessionFold(fact, stamp) } else { fold?.evolve(fact, stamp) }
            guard case .chunk(let chunk) = fact else { return }
            let chunkID = chunk.chunk.chunkID
            if let first = ChunkView(chunk, stamp) {
                chunks[chunkID] = first
            } else {
                chunks[chunkID]?.evolve(chunk, stamp)
            }
        }
        return (fold, chunks)
    }

    /// Every chunk is stored, or lies aside for as long as somebody wants it to.
    func checkChunks(of id: String, _ state: SessionState, _ store: any EventStore) throws {
        var waiting: Set<String> = []
        for item in human.items() where !item.isOrdered {
            if let event = log.event(at: item.position) { waiting.insert(event.subject) }
        }
        for number in stride(from: 1, through: state.chunkCount, by: 1)
        where state.merkleHashes[number] == nil {
            let digits = String(number)
            let name = "\(id)-chunk-" + String(repeating: "0", count: 6 - digits.count) + digits
            if waiting.contains(name) || human.discarded.contains(id) { continue }
            violated("\(id): chunk \(number) is neither stored nor set aside")
        }
    }
}
