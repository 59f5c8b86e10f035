internal import CMongo
package import ReadModels

/// What to look for in a collection, and how much of it.
package struct MongoFind: Sendable {
    /// What documents have to be; all where it is empty.
    package var filter: BSONDocument = .empty
    /// Their order; nil for any.
    package var sort: BSONDocument?
    /// The fields that are sent; nil for all.
    package var projection: BSONDocument?
    /// Documents that are passed over first.
    package var skip: Int64 = 0
    /// The most documents to return; 0 means all.
    package var limit: Int64 = 0
    /// Documents the server sends in one reply; 0 leaves it to the server.
    package var batchSize: Int32 = 0
    /// Whether only what a majority has acknowledged may be seen.
    package var majority: Bool = false
    /// The index to use; nil leaves it to the server.
    package var hint: DocumentIndex?
    /// How long the server may work on it; 0 for as long as it takes.
    package var maximum_ms: Int64 = 0
    package init(
        filter: BSONDocument = .empty, skip: Int64 = 0, limit: Int64 = 0, hint: DocumentIndex? = nil
    ) {
        self.filter = filter
        self.skip = skip
        self.limit = limit
        self.hint = hint
    }
}

extension MongoClient {
    /// Finds documents and decodes each one as it arrives.
    /// - Parameter foreign: where those are noted that do not read, and left out; without it the first of
    ///   them is thrown.
    package func find<Found>(
        _ query: MongoFind, in name: MongoNamespace, passingOver foreign: ForeignDocuments? = nil,
        _ decode: (BSONFields) throws(BSONError) -> Found
    ) throws(MongoFailure) -> [Found] {
        let target = target("find", name)
        return try withCollection(name) { (collection) throws(MongoFailure) in
            let cursor = query.filter.withBSON { filter in
                Self.options(of: query).withBSON { options in
                    mongoc_collection_find_with_opts(collection, filter, options, nil)
                }
            }
            return try Self.drain(cursor, at: target, passingOver: foreign, decode)
        }
    }

    /// Finds the first document in the order of the query.
    package func findOne<Found>(
        _ query: MongoFind, in name: MongoNamespace, passingOver foreign: ForeignDocuments? = nil,
        _ decode: (BSONFields) throws(BSONError) -> Found
    ) throws(MongoFailure) -> Found? {
        var query = query
        query.limit = 1
        return try find(query, in: name, passingOver: foreign, decode).first
    }

    /// Takes everything out of a cursor and frees it.
    static func drain<Found>(
        _ cursor: OpaquePointer?, at target: MongoTarget, passingOver foreign: ForeignDocuments? = nil,
        _ decode: (BSONFields) throws(BSONError) -> Found
    ) throws(MongoFailure) -> [Found] {
        guard let cursor else { throw MongoFailure("no cursor", at: target) }
        defer { mongoc_cursor_destroy(cursor) }
        var found: [Found] = []
        var next: OpaquePointer?
        while mongoc_cursor_next(cursor, &next), let document = next {
            let document = BSONDocument(copying: document)
            do throws(BSONError) {
                found.append(try decode(try document.fields()))
            } catch {
                guard let foreign else { throw MongoFailure(error, at: target) }
                foreign.note(document, in: target.collection, error)
            }
        }
        var error = bson_error_t()
        if mongoc_cursor_error(cursor, &error) { throw MongoFailure(error, at: target) }
        return found
    }

    static func options(of query: MongoFind) -> BSONDocument {
        BSONDocument { builder in
            if let sort = query.sort { builder.append("sort", document: sort) }
            if let projection = query.projection { builder.append("projection", document: projection) }
            if query.skip > 0 { builder.append("skip", int64: query.skip) }
            if query.limit > 0 { builder.append("limit", int64: query.limit) }
            if query.batchSize > 0 { builder.append("batchSize", int32: query.batchSize) }
            if let hint = query.hint { builder.append("hint", hint.name) }
            if query.maximum_ms > 0 { builder.append("maxTimeMS", int64: query.maximum_ms) }
            if query.majority {
                builder.append("readConcern") { $0.append("level", "majority") }
            }
        }
    }
}
