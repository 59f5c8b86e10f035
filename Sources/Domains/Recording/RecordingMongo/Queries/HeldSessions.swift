internal import EventSourcing
package import MongoViews
internal import ReadModels
internal import Recording

extension MongoReadModels {
    /// The sessions of a partition that are shown as held, each with the cases that hold it.
    package func heldSessions(ofPartition partition: Int) throws -> [String: [String]] {
        var query = MongoFind(hint: RecordingViews.foldsByHold)
        query.filter = BSONDocument { builder in
            builder.append("is_held", true)
            builder.append("session.log_position") {
                $0.append("$regex", "^\(LogPosition.partitionName(partition))/")
            }
        }
        let sessions = try documents.find(query, in: RecordingViews.folds) { (fields) throws(BSONError) in
            try SessionView(try fields.document("session"))
        }
        return Dictionary(
            sessions.map { ($0.sessionID, $0.holds.map(\.caseName)) }, uniquingKeysWith: { $1 })
    }
}
