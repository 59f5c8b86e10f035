internal import CMongo
internal import ReadModels

extension MongoClient {
    /// Runs an aggregation pipeline and decodes what comes out of it.
    func aggregate<Found>(
        _ stages: [BSONDocument], in name: MongoNamespace, passingOver foreign: ForeignDocuments? = nil,
        _ decode: (BSONFields) throws(BSONError) -> Found
    ) throws(MongoFailure) -> [Found] {
        let target = target("aggregate", name)
        let pipeline = BSONDocument { builder in
            builder.append("pipeline", array: stages) { $0.append($1, document: $2) }
        }
        return try withCollection(name) { (collection) throws(MongoFailure) in
            let cursor = pipeline.withBSON { pipeline in
                mongoc_collection_aggregate(collection, MONGOC_QUERY_NONE, pipeline, nil, nil)
            }
            return try Self.drain(cursor, at: target, passingOver: foreign, decode)
        }
    }
}
