internal import CMongo
package import EventSourcing
internal import Recording

/// What a projection is measured against: the same documents, made beforehand, written by bare bulks of
/// libmongoc with the same options, in the same order and grouping, to collections with the same indexes.
/// One thread; memory grows with the documents.
package final class ProjectionCeiling {
    private struct Part {
        let place: Int
        var inserts: [BSONDocument] = []
        var replacements: [(filter: BSONDocument, document: BSONDocument)] = []
    }

    private let pool: MongoPool
    private let eventsPerWrite: Int
    private var folder = ProjectionFolder(sessionLimit: 4_000, chunkLimit: 20_000)
    private var folds: [String: SessionFold] = [:]
    private var chunks: [String: ChunkView] = [:]
    private var waiting = 0
    private var groups: [[Part]] = []
    private var keepsDocuments = true

    /// Documents that were made.
    package private(set) var documents = 0
    /// Bytes of those documents.
    package private(set) var bytes = 0

    /// Documents are grouped as they are by a projection that holds `eventsPerWrite` events.
    package init(_ pool: MongoPool, eventsPerWrite: Int) {
        self.pool = pool
        self.eventsPerWrite = eventsPerWrite
    }

    /// Folds events, all from the beginning of the log, and makes their documents. With `keeping` false
    /// nothing is kept: for measuring the fold alone.
    package func take(_ events: [RecordedEvent], keeping: Bool = true) throws {
        keepsDocuments = keeping
        let missing = folder.begin(events)
        for key in missing.sessions { if let fold = folds[key] { folder.adopt(fold) } }
        for key in missing.chunks { if let chunk = chunks[key] { folder.adopt(chunk) } }
        for event in events { try folder.fold(event) }
        waiting += events.count
        if waiting >= eventsPerWrite { finish() }
    }

    /// Makes the documents of what was folded last.
    package func finish() {
        waiting = 0
        for state in folder.touchedFolds { folds[state.model.sessionID] = state.model }
        for state in folder.touchedChunks { chunks[state.model.chunkID] = state.model }
        var parts = (0..<4).map { Part(place: $0) }
        for state in folder.touchedChunks {
            add(BSONDocument(state.model), "chunk_id", state.model.chunkID, state.isNew, to: &parts[0])
        }
        for state in folder.touchedFolds {
            let (fold, key, isNew) = (state.model, state.model.sessionID, state.isNew)
            add(BSONDocument(fold.pipeline.view), "session_id", key, isNew, to: &parts[1])
            add(BSONDocument(fold.session), "session_id", key, isNew, to: &parts[2])
            add(BSONDocument(fold), "session_id", key, isNew, to: &parts[3])
        }
        if keepsDocuments { groups.append(parts) }
        folder.finish()
    }

    private func add(
        _ document: BSONDocument, _ keyName: String, _ key: String, _ isNew: Bool, to part: inout Part
    ) {
        documents += 1
        bytes += document.bytes.count
        guard keepsDocuments else { return }
        if isNew {
            part.inserts.append(document)
        } else {
            part.replacements.append((BSONDocument { $0.append(keyName, key) }, document))
        }
    }

    /// Makes the collections and indexes of an empty database.
    package func prepare(database: String) throws(MongoFailure) {
        try pool.withClient { (client) throws(MongoFailure) in
            for (name, indexes) in Collections(database: database).indexes {
                try client.createIndexes(indexes, on: name)
            }
        }
    }

    /// Writes all documents. What is to be timed.
    package func write(database: String) throws(MongoFailure) {
        let collections = Collections(database: database).documents
        try pool.withClient { (client) throws(MongoFailure) in
            let options = BSONDocument { builder in
                builder.append("ordered", false)
                client.appendDurability(to: &builder)
            }
            for group in groups {
                for part in group where !part.inserts.isEmpty || !part.replacements.isEmpty {
                    try Self.write(part, to: collections[part.place], options, client)
                }
            }
        }
    }

    private static func write(
        _ part: Part, to name: MongoNamespace, _ options: BSONDocument, _ client: borrowing MongoClient
    ) throws(MongoFailure) {
        let target = client.target("bare bulk write", name)
        try client.withCollection(name) { (collection) throws(MongoFailure) in
            let bulk = options.withBSON {
                mongoc_collection_create_bulk_operation_with_opts(collection, $0)
            }
            guard let bulk else { throw MongoFailure("no bulk handle", at: target) }
            defer { mongoc_bulk_operation_destroy(bulk) }
            var error = bson_error_t()
            for document in part.inserts {
                let isAdded = document.withBSON {
                    mongoc_bulk_operation_insert_with_opts(bulk, $0, nil, &error)
                }
                guard isAdded else { throw MongoFailure(error, at: target) }
            }
            for (filter, document) in part.replacements {
                let isAdded = filter.withBSON { filter in
                    document.withBSON {
                        mongoc_bulk_operation_replace_one_with_opts(bulk, filter, $0, nil, &error)
                    }
                }
                guard isAdded else { throw MongoFailure(error, at: target) }
            }
            let (serverID, _) = BSONDocument.reply { mongoc_bulk_operation_execute(bulk, $0, &error) }
            guard serverID != 0 else { throw MongoFailure(error, at: target) }
        }
    }
}
