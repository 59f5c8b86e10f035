internal import CMongo
internal import ReadModels

/// The documents that a query finds, one by one. The client that made it must outlive it.
struct MongoCursor: ~Copyable {
    private let handle: OpaquePointer
    private let target: MongoTarget

    fileprivate init(_ handle: OpaquePointer, _ target: MongoTarget) {
        self.handle = handle
        self.target = target
    }

    deinit {
        mongoc_cursor_destroy(handle)
    }

    /// The next document; nil after the last one.
    func next() throws(MongoFailure) -> BSONDocument? {
        var document: OpaquePointer?
        if mongoc_cursor_next(handle, &document), let document { return BSONDocument(copying: document) }
        var error = bson_error_t()
        if mongoc_cursor_error(handle, &error) { throw MongoFailure(error, at: target) }
        return nil
    }
}

extension MongoClient {
    /// Runs a query whose result may be of any size.
    func stream(_ query: MongoFind, in name: MongoNamespace) throws(MongoFailure) -> MongoCursor {
        let target = target("find", name)
        let cursor = try withCollection(name) { (collection) throws(MongoFailure) in
            query.filter.withBSON { filter in
                Self.options(of: query).withBSON { options in
                    mongoc_collection_find_with_opts(collection, filter, options, nil)
                }
            }
        }
        guard let cursor else { throw MongoFailure("no cursor", at: target) }
        return MongoCursor(cursor, target)
    }
}
