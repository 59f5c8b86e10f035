internal import CMongo
internal import ReadModels

/// What reads of single documents are measured against: `find_one` by libmongoc, nothing decoded. May be
/// shared by threads; calls block.
package struct ReadCeiling: Sendable {
    private let pool: MongoPool
    private let collection: MongoNamespace
    private let key: String

    /// Reads of a collection of the read models in a database, by a field with an index.
    package init(_ pool: MongoPool, _ collection: String, by key: String, database: String = "reel") {
        self.pool = pool
        self.collection = MongoNamespace(database: database, collection: collection)
        self.key = key
    }

    /// Whether there is a document of this key, by fetching it.
    package func find(_ value: String) throws(MongoFailure) -> Bool {
        let filter = BSONDocument { $0.append(key, value) }
        let options = BSONDocument { $0.append("limit", int64: 1) }
        let name = collection
        return try pool.withClient { (client) throws(MongoFailure) in
            try client.withCollection(name) { (collection) throws(MongoFailure) in
                let cursor = filter.withBSON { filter in
                    options.withBSON { mongoc_collection_find_with_opts(collection, filter, $0, nil) }
                }
                defer { mongoc_cursor_destroy(cursor) }
                var document: OpaquePointer?
                if mongoc_cursor_next(cursor, &document) { return true }
                var error = bson_error_t()
                if mongoc_cursor_error(cursor, &error) {
                    throw MongoFailure(error, at: client.target("find", name))
                }
                return false
            }
        }
    }
}
