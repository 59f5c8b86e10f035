internal import CMongo

/// What reads of single sessions are measured against: `find_one` by libmongoc, nothing decoded. May be
/// shared by threads; calls block.
package struct ReadCeiling: Sendable {
    private let pool: MongoPool
    private let sessions: MongoNamespace

    /// Reads of the read models in a database.
    package init(_ pool: MongoPool, database: String = "reel") {
        self.pool = pool
        sessions = Collections(database: database).sessions
    }

    /// Whether there is a session of this id, by fetching its document.
    package func find(session: String) throws(MongoFailure) -> Bool {
        let filter = BSONDocument { $0.append("session_id", session) }
        let options = BSONDocument { $0.append("limit", int64: 1) }
        let name = sessions
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
