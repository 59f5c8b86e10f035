internal import EventSourcing
package import MongoViews
package import ReadModels
package import Recording

extension MongoReadModels {
    /// Sessions that are not deleted and have chunks, in the order of their ids, behind one; each with the
    /// key that its first chunk names.
    package func keyDemands(behind last: String, limit: Int) throws(QueryFailure) -> [KeyDemand] {
        var query = MongoFind(limit: Int64(limit), hint: DocumentIndex([("session_id", 1)], unique: true))
        query.filter = BSONDocument { builder in
            builder.append("session_id") { $0.append("$gt", last) }
            builder.append("session.status") { $0.append("$ne", SessionStatus.deleted.rawValue) }
            builder.append("tally.chunk_count") { $0.append("$gt", int64: 0) }
        }
        query.sort = BSONDocument { $0.append("session_id", int32: 1) }
        query.projection = BSONDocument { $0.append("session_id", int32: 1) }
        let sessions = try documents.find(query, in: RecordingViews.folds) { (fields) throws(BSONError) in
            try fields.string("session_id")
        }
        if sessions.isEmpty { return [] }
        var first = MongoFind(hint: DocumentIndex([("session_id", 1), ("sequence_number", 1)]))
        first.filter = BSONDocument { builder in
            builder.append("session_id") { $0.append("$in", array: sessions) }
            builder.append("sequence_number", int64: 1)
        }
        first.projection = BSONDocument { builder in
            builder.append("session_id", int32: 1)
            builder.append("encryption_key_id", int32: 1)
        }
        let keys = try documents.find(first, in: RecordingViews.chunks) { (fields) throws(BSONError) in
            (try fields.string("session_id"), try fields.optionalString("encryption_key_id"))
        }
        let known = Dictionary(keys, uniquingKeysWith: { first, _ in first })
        return sessions.map { KeyDemand(sessionID: $0, keyID: known[$0] ?? nil) }
    }
}
