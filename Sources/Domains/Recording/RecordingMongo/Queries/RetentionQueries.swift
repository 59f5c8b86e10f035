package import Base
internal import EventSourcing
package import MongoViews
package import ReadModels
internal import Recording

extension MongoReadModels {
    /// Sessions that are over and were kept until before `now`, by that moment and then by id, from behind
    /// one on. By an index of their own; sessions that somebody has said to keep are not among them.
    package func expired(
        before now: Timestamp, behind last: (keptUntil: Timestamp, sessionID: String)?, limit: Int
    ) throws(QueryFailure) -> [(sessionID: String, keptUntil: Timestamp)] {
        var query = MongoFind(limit: Int64(limit), hint: RecordingViews.foldsByEnd)
        query.filter = BSONDocument { builder in
            builder.append("kept_until") { builder in
                if let last { builder.append("$gte", date_ms: last.keptUntil.milliseconds) }
                builder.append("$lt", date_ms: now.milliseconds)
            }
            guard let last else { return }
            builder.append("$or", array: [true, false]) { builder, key, isLater in
                builder.append(key) { builder in
                    if isLater {
                        builder.append("kept_until") {
                            $0.append("$gt", date_ms: last.keptUntil.milliseconds)
                        }
                    } else {
                        builder.append("session_id") { $0.append("$gt", last.sessionID) }
                    }
                }
            }
        }
        query.sort = BSONDocument { builder in
            builder.append("kept_until", int32: 1)
            builder.append("session_id", int32: 1)
        }
        query.projection = BSONDocument { builder in
            builder.append("session_id", int32: 1)
            builder.append("kept_until", int32: 1)
        }
        return try documents.find(query, in: RecordingViews.folds) { (fields) throws(BSONError) in
            (sessionID: try fields.string("session_id"), keptUntil: try fields.time("kept_until"))
        }
    }
}
