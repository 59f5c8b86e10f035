internal import CMongo
internal import ReadModels

extension MongoClient {
    /// Counts the documents that a filter finds; exact, also while others write.
    /// - Parameters:
    ///   - hint: the index to use; nil leaves it to the server.
    ///   - limit: where counting ends; 0 counts them all.
    ///   - maximum_ms: how long the server may work on it; 0 for as long as it takes.
    func count(
        _ filter: BSONDocument, in name: MongoNamespace, hint: DocumentIndex? = nil, limit: Int64 = 0,
        maximum_ms: Int64 = 0
    ) throws(MongoFailure) -> Int64 {
        let options = BSONDocument { builder in
            if let hint { builder.append("hint", hint.name) }
            if limit > 0 { builder.append("limit", int64: limit) }
            if maximum_ms > 0 { builder.append("maxTimeMS", int64: maximum_ms) }
        }
        return try withCollection(name) { (collection) throws(MongoFailure) in
            var error = bson_error_t()
            let (count, reply) = filter.withBSON { filter in
                options.withBSON { options in
                    BSONDocument.reply { reply in
                        mongoc_collection_count_documents(collection, filter, options, nil, reply, &error)
                    }
                }
            }
            guard count >= 0 else { throw MongoFailure(error, reply: reply, at: target("count", name)) }
            return count
        }
    }

    /// How many documents a collection has by its own books, without looking at one. Exact, but after the
    /// server itself has crashed.
    package func estimatedCount(of name: MongoNamespace) throws(MongoFailure) -> Int64 {
        try withCollection(name) { (collection) throws(MongoFailure) in
            var error = bson_error_t()
            let (count, reply) = BSONDocument.reply { reply in
                mongoc_collection_estimated_document_count(collection, nil, nil, reply, &error)
            }
            guard count >= 0 else { throw MongoFailure(error, reply: reply, at: target("count", name)) }
            return count
        }
    }
}
