internal import CMongo

extension MongoClient {
    /// Counts the documents that a filter finds; exact, also while others write.
    func count(_ filter: BSONDocument, in name: MongoNamespace) throws(MongoFailure) -> Int64 {
        try withCollection(name) { (collection) throws(MongoFailure) in
            var error = bson_error_t()
            let (count, reply) = filter.withBSON { filter in
                BSONDocument.reply { reply in
                    mongoc_collection_count_documents(collection, filter, nil, nil, reply, &error)
                }
            }
            guard count >= 0 else { throw MongoFailure(error, reply: reply, at: target("count", name)) }
            return count
        }
    }
}
