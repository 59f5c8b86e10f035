internal import EventSourcing
internal import Recording

/// Everything that one or several batches changed, as values: what is to be written, and the positions that
/// may be saved once it is.
struct ProjectionWrite: Sendable {
    struct Item<Model: Sendable>: Sendable {
        let model: Model
        let isNew: Bool
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
        try wrap { () throws(MongoFailure) in
            try client.store(records, in: collections.audit)
            try client.store(chunks, in: collections.chunks)
            try client.store(documents { BSONDocument($0.pipeline.view) }, in: collections.pipeline)
            try client.store(documents { BSONDocument($0.session) }, in: collections.sessions)
            try client.store(documents { BSONDocument($0) }, in: collections.folds)
        }
        try store.save(subscription, ends, with: totals, under: fences, instance: instance, client)
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
