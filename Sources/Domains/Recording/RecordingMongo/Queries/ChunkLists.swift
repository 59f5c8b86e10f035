internal import Base
internal import EventSourcing
internal import MongoViews
package import ReadModels
package import Recording

// Lists of a session's chunks, in the order of their numbers.

extension MongoQueries {
    private static let byNumber = DocumentIndex([("session_id", 1), ("sequence_number", 1)])
    private static let byTime = DocumentIndex([("session_id", 1), ("timestamp", 1)])

    /// Chunks of a session, in the order of their sequence numbers.
    package func chunks(
        ofSession sessionID: String, _ filter: ChunkFilter, _ page: Page
    ) throws(QueryFailure) -> [ChunkView] {
        try rows(sessionID, filter, .offset(page.offset), most: page.limit).compactMap(\.model)
    }

    /// A page of a session's chunks, in the order of their sequence numbers, and where it lies.
    package func chunkList(
        ofSession sessionID: String, _ filter: ChunkFilter, limit: Int, from start: ListStart
    ) throws(QueryFailure) -> ChunkListResponse {
        var found = try rows(sessionID, filter, start, most: limit + 1)
        let hasNext = found.count > limit
        if hasNext { found.removeLast(found.count - limit) }
        let total: Int
        if case .after(let cursor) = start {
            total = cursor.total
        } else {
            total = try chunkCount(ofSession: sessionID, filter)
        }
        var next: String?
        if hasNext, let last = found.last {
            let cursor = ListCursor(
                .chunk(sequenceNumber: last.place), shown: start.offset +| found.count, total: total)
            next = cursor.text(of: filter.listName(ofSession: sessionID))
        }
        return ChunkListResponse(
            chunks: found.compactMap(\.model),
            pagination: PaginationInfo(
                total: total, limit: limit, offset: start.offset, hasNext: hasNext, nextCursor: next))
    }

    /// How many chunks of a session the filter matches; all of them stand in the session itself.
    package func chunkCount(
        ofSession sessionID: String, _ filter: ChunkFilter
    ) throws(QueryFailure) -> Int {
        if filter == ChunkFilter(), let known = try? session(sessionID) {
            return known.statistics.chunksCount
        }
        return try count(
            filter.document(ofSession: sessionID), in: RecordingViews.chunks,
            hint: filter.isTimed ? Self.byTime : Self.byNumber)
    }

    private func rows(
        _ sessionID: String, _ filter: ChunkFilter, _ start: ListStart, most: Int
    ) throws(QueryFailure) -> [ListRow<Int, ChunkView>] {
        if most <= 0 { return [] }
        var query = MongoFind(limit: Int64(most), hint: filter.isTimed ? Self.byTime : Self.byNumber)
        var last = 0
        switch start {
        case .after(let cursor):
            guard case .chunk(let number) = cursor.place else { return [] }
            last = number
        // Chunks are numbered without gaps, so that behind so many is behind that number.
        case .offset(let offset) where filter == ChunkFilter(): last = offset
        case .offset(let offset): query.skip = Int64(offset)
        }
        query.filter = BSONDocument(extending: filter.document(ofSession: sessionID)) { builder in
            // What has no number is none of Reel's, and has no place in the list's order.
            builder.append("sequence_number") { builder in
                builder.append("$gt", int64: Int64(last))
                builder.append("$type", array: ["int", "long"])
            }
        }
        query.sort = BSONDocument { $0.append("sequence_number", int32: 1) }
        return try rows(query, in: RecordingViews.chunks) { (fields) throws(BSONError) in
            try fields.count("sequence_number")
        } _: { (fields) throws(BSONError) in
            try ChunkView(fields)
        }
    }
}

extension ChunkFilter {
    fileprivate var isTimed: Bool { from != nil || to != nil }

    fileprivate func document(ofSession sessionID: String) -> BSONDocument {
        BSONDocument { builder in
            builder.append("session_id", sessionID)
            if let status { builder.append("status", status.rawValue) }
            if !isTimed { return }
            builder.append("timestamp") { builder in
                if let from { builder.append("$gte", date_ms: from.milliseconds) }
                if let to { builder.append("$lte", date_ms: to.milliseconds) }
            }
        }
    }
}
