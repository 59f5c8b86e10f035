internal import CMongo
package import EventSourcing
package import ReadModels

/// What a projection is measured against: the same documents, made beforehand, written by bare bulks of
/// libmongoc with the same options, in the same order and grouping, to collections with the same indexes.
/// One thread; memory grows with the documents.
package final class ProjectionCeiling {
    private struct Part {
        let collection: String
        let key: String
        var inserts: [BSONDocument] = []
        var replacements: [(filter: BSONDocument, document: BSONDocument)] = []
    }

    private let pool: MongoPool
    private let views: ViewSet
    private let eventsPerWrite: Int
    private let folder: ProjectionFolder
    /// The last document of each key, as the server would have it.
    private var stored: [String: [String: BSONDocument]] = [:]
    private var waiting = 0
    private var groups: [[Part]] = []
    private var keepsDocuments = true

    /// Documents that were made.
    package private(set) var documents = 0
    /// Bytes of those documents.
    package private(set) var bytes = 0

    /// Documents are grouped as they are by a projection that holds `eventsPerWrite` events.
    package init(_ pool: MongoPool, _ views: ViewSet, eventsPerWrite: Int) {
        self.pool = pool
        self.views = views
        self.eventsPerWrite = eventsPerWrite
        folder = ProjectionFolder(views)
    }

    /// Folds events, all from the beginning of the log, and makes their documents. With `keeping` false
    /// nothing is kept: for measuring the fold alone.
    package func take(_ events: [RecordedEvent], keeping: Bool = true) throws {
        keepsDocuments = keeping
        _ = try folder.take(events) { (requests) throws(any Error) in
            for request in requests {
                for key in request.keys {
                    guard let document = stored[request.collection.name]?[key] else { continue }
                    try request.take(try document.fields())
                }
            }
        } history: { (gap, _, _) throws(any Error) in
            throw gap
        } failure: {
            $0
        }
        waiting += events.count
        if waiting >= eventsPerWrite { finish() }
    }

    /// Makes the documents of what was folded last.
    package func finish() {
        waiting = 0
        var parts: [Part] = []
        for view in folder.writes() {
            for (place, collection) in view.collections.enumerated() {
                var part = Part(collection: collection.name, key: collection.key)
                let isState = place == view.collections.count - 1
                for item in view.documents(in: place) { add(item, isState, to: &part) }
                parts.append(part)
            }
        }
        if keepsDocuments { groups.append(parts) }
        folder.finish()
    }

    private func add(_ item: DocumentWrite, _ isState: Bool, to part: inout Part) {
        documents += 1
        bytes += item.document.bytes.count
        // What is gone on with.
        if isState { stored[part.collection, default: [:]][item.key] = item.document }
        guard keepsDocuments else { return }
        if item.isNew {
            part.inserts.append(item.document)
        } else {
            let key = part.key
            part.replacements.append((BSONDocument { $0.append(key, item.key) }, item.document))
        }
    }

    /// Makes the collections and indexes of an empty database.
    package func prepare(database: String) throws(MongoFailure) {
        try pool.withClient { (client) throws(MongoFailure) in
            for (name, indexes) in Collections(views, database: database).indexes {
                try client.createIndexes(indexes, on: name)
            }
        }
    }

    /// Writes all documents. What is to be timed.
    package func write(database: String) throws(MongoFailure) {
        let collections = Collections(views, database: database)
        try pool.withClient { (client) throws(MongoFailure) in
            let options = BSONDocument { builder in
                builder.append("ordered", false)
                client.appendDurability(to: &builder)
            }
            for group in groups {
                for part in group where !part.inserts.isEmpty || !part.replacements.isEmpty {
                    try Self.write(part, to: collections[part.collection], options, client)
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
