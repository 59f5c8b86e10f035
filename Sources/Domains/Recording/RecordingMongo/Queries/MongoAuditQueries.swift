internal import Base
internal import EventSourcing
internal import MongoViews
package import ReadModels
package import Recording

extension MongoQueries: AuditQueries {
    /// The most records of a page.
    private static let pageLimit = 1_000

    /// Records behind a place, the newest first.
    package func records(
        _ filter: AuditFilter, after cursor: AuditCursor?, limit: Int
    ) throws(QueryFailure) -> AuditPage {
        let limit = min(max(1, limit), Self.pageLimit)
        let query = Self.query(filter, after: cursor, limit: limit)
        var found = try rows(query, in: RecordingViews.audit) { (fields) throws(BSONError) in
            AuditCursor(time: try fields.time("time"), id: try fields.string("audit_id"))
        } _: { (fields) throws(BSONError) in
            try AuditView(fields)
        }
        // One more than asked for says whether there is another page.
        let isLast = found.count <= limit
        if !isLast { found.removeLast(found.count - limit) }
        return AuditPage(records: found.compactMap(\.model), next: isLast ? nil : found.last?.place)
    }

    /// The query of a page; its order is that of the index that the filter's first criterion has.
    static func query(_ filter: AuditFilter, after cursor: AuditCursor?, limit: Int) -> MongoFind {
        var query = MongoFind(filter: filter.document(after: cursor), limit: Int64(limit + 1))
        query.sort = BSONDocument { builder in
            builder.append("time", int32: -1)
            builder.append("audit_id", int32: -1)
        }
        return query
    }
}

extension AuditFilter {
    fileprivate func document(after cursor: AuditCursor?) -> BSONDocument {
        BSONDocument { builder in
            if let session { builder.append("session_id", session) }
            if let actor { builder.append("actor.subject", actor) }
            if let action { builder.append("action", action.rawValue) }
            if let outcome { builder.append("outcome", outcome.rawValue) }
            let last = [until?.milliseconds, cursor?.time.milliseconds].compactMap { $0 }.min()
            builder.append("time") { builder in
                // What has no time is none of Reel's, and has no place in the trail's order.
                builder.append("$gte", date_ms: since?.milliseconds ?? .min)
                if let last { builder.append("$lte", date_ms: last) }
            }
            builder.append("audit_id") { $0.append("$type", "string") }
            guard let cursor else { return }
            // Of the same time, what comes behind; the bound on the time above leads the index there.
            builder.append("$or", array: [true, false]) { builder, key, isEarlier in
                builder.append(key) { builder in
                    if isEarlier {
                        builder.append("time") { $0.append("$lt", date_ms: cursor.time.milliseconds) }
                    } else {
                        builder.append("audit_id") { $0.append("$lt", cursor.id) }
                    }
                }
            }
        }
    }
}
