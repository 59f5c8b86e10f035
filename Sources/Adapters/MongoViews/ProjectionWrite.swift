internal import EventSourcing
internal import Recording

/// Everything that one or several batches changed, as values: what is to be written, and the positions that
/// may be saved once it is.
struct ProjectionWrite: Sendable {
    struct Item<Model: Sendable>: Sendable {
        let model: Model
        let isNew: Bool
        /// The first event in it that is not stored.
        let since: LogPosition
    }

    let folds: [Item<SessionFold>]
    let chunks: [Item<ChunkView>]
    let records: [AuditView]
    let ends: [LogPosition]
    /// The sums as they are at these positions.
    let totals: TotalsBook?
    let subscription: String
    let fences: [Int: Fence]
    let instance: String
    /// Which rebuild the read models came from when the first of the events was read.
    let generation: String
    let store: Checkpoints

    /// Writes the documents, the folds last, so that whatever a stored fold contains was stored in the
    /// other collections before; then the checkpoints.
    func perform(_ client: borrowing MongoClient) throws(ProjectionFailure) {
        let collections = store.collections
        try RebuildMarker(collections).require(generation, client)
        let chunks = chunks.map { item in
            VersionedDocument(
                keyName: "chunk_id", key: item.model.chunkID, version: item.model.version,
                document: BSONDocument(item.model), isNew: item.isNew)
        }
        let records = records.map { view in
            VersionedDocument(
                keyName: "audit_id", key: view.id, version: view.stamp.sequence, document: BSONDocument(view),
                isNew: true)
        }
        try put(records, in: collections.audit, client) {
            (self.records[$0].id, self.records[$0].stamp.position)
        }
        try put(chunks, in: collections.chunks, client) {
            (self.chunks[$0].model.sessionID, self.chunks[$0].since)
        }
        let sessions: [(MongoNamespace, (SessionFold) -> BSONDocument)] = [
            (collections.pipeline, { BSONDocument($0.pipeline.view) }),
            (collections.sessions, { BSONDocument($0.session) }), (collections.folds, { BSONDocument($0) }),
        ]
        for (name, document) in sessions {
            try put(documents(document), in: name, client) { (folds[$0].model.sessionID, folds[$0].since) }
        }
        try store.save(subscription, ends, with: totals, under: fences, instance: instance, client)
    }

    /// Stores documents. When one is not let in, whatever contains the same events must not be stored either,
    /// and no checkpoint may pass them.
    /// - Parameter origin: of whom the document at a place is, and the first event in it that is not stored.
    private func put(
        _ documents: [VersionedDocument], in name: MongoNamespace, _ client: borrowing MongoClient,
        _ origin: (Int) -> (key: String, since: LogPosition)
    ) throws(ProjectionFailure) {
        let refused = try wrap { () throws(MongoFailure) in try client.store(documents, in: name) }
        guard let first = refused.first else { return }
        let (key, since) = origin(first.place)
        throw .refused(first.failure, key: key, position: since)
    }

    private func documents(_ document: (SessionFold) -> BSONDocument) -> [VersionedDocument] {
        folds.map { item in
            VersionedDocument(
                keyName: "session_id", key: item.model.sessionID, version: item.model.version,
                document: document(item.model), isNew: item.isNew)
        }
    }
}

extension MongoPool {
    /// Lends a client to work that fails as a projection does.
    func withProjectionClient<Answer>(
        _ body: (borrowing MongoClient) throws(ProjectionFailure) -> Answer
    ) throws(ProjectionFailure) -> Answer {
        var answer: Result<Answer, ProjectionFailure>?
        try wrap { () throws(MongoFailure) in
            try withClient { (client) throws(MongoFailure) in
                do throws(ProjectionFailure) { answer = .success(try body(client)) } catch {
                    answer = .failure(error)
                }
            }
        }
        guard let answer else { preconditionFailure("withClient runs its body or throws") }
        return try answer.get()
    }
}
