internal import EventSourcing
public import Recording

/// The queries of dashboards and the API on the read models. Calls block; any thread may call.
public struct MongoQueries: RecordingQueries {
    let pool: MongoPool
    let collections: Collections

    /// Sessions, the newest first.
    public func sessions(_ filter: SessionFilter, _ page: Page) throws(QueryFailure) -> [SessionView] {
        if page.limit == 0 { return [] }
        var query = MongoFind(filter: filter.document, skip: Int64(page.offset), limit: Int64(page.limit))
        query.sort = BSONDocument { builder in
            builder.append("created_at", int32: -1)
            // Ids are told apart when times are not, so that pages neither repeat nor skip a session.
            builder.append("session_id", int32: -1)
        }
        return try find(query, in: collections.sessions, SessionView.init)
    }

    /// How many sessions the filter matches.
    public func sessionCount(_ filter: SessionFilter) throws(QueryFailure) -> Int {
        try count(filter.document, in: collections.sessions)
    }

    /// One session, also a deleted one; nil when there is none.
    public func session(_ sessionID: String) throws(QueryFailure) -> SessionView? {
        try one("session_id", sessionID, in: collections.sessions, SessionView.init)
    }

    /// Chunks of a session, in the order of their sequence numbers.
    public func chunks(
        ofSession sessionID: String, _ filter: ChunkFilter, _ page: Page
    ) throws(QueryFailure) -> [ChunkView] {
        if page.limit == 0 { return [] }
        var query = MongoFind(
            filter: filter.document(ofSession: sessionID), skip: Int64(page.offset),
            limit: Int64(page.limit))
        query.sort = BSONDocument { $0.append("sequence_number", int32: 1) }
        return try find(query, in: collections.chunks, ChunkView.init)
    }

    /// How many chunks of a session the filter matches.
    public func chunkCount(
        ofSession sessionID: String, _ filter: ChunkFilter
    ) throws(QueryFailure) -> Int {
        try count(filter.document(ofSession: sessionID), in: collections.chunks)
    }

    /// One chunk; nil when there is none.
    public func chunk(_ chunkID: String) throws(QueryFailure) -> ChunkView? {
        try one("chunk_id", chunkID, in: collections.chunks, ChunkView.init)
    }

    /// A session's pipeline; nil when there is none.
    public func pipeline(ofSession sessionID: String) throws(QueryFailure) -> PipelineView? {
        try one("session_id", sessionID, in: collections.pipeline, PipelineView.init)
    }

    /// Sums over all sessions that are not deleted.
    public func totals() throws(QueryFailure) -> RecordingTotals {
        let groups = try ask { (client) throws(MongoFailure) in
            try client.aggregate(Self.totalsPipeline, in: collections.sessions) {
                (fields) throws(BSONError) -> (SessionStatus, RecordingTotals) in
                var totals = RecordingTotals()
                totals.chunks = try fields.count("chunks")
                totals.sizeBytes = try fields.count("size_bytes")
                totals.durationSeconds = try fields.count("duration_seconds")
                totals.errors = try fields.count("errors")
                let status: SessionStatus = try fields.choice("_id")
                totals.sessions[status] = try fields.count("sessions")
                return (status, totals)
            }
        }
        return groups.reduce(into: RecordingTotals()) { sum, group in
            sum.sessions.merge(group.1.sessions) { $0 + $1 }
            sum.chunks += group.1.chunks
            sum.sizeBytes += group.1.sizeBytes
            sum.durationSeconds += group.1.durationSeconds
            sum.errors += group.1.errors
        }
    }

    /// Whether the server answers; throws why not.
    public func ping() throws(QueryFailure) {
        _ = try ask { (client) throws(MongoFailure) in try client.hello() }
    }

    private static let totalsPipeline: [BSONDocument] = [
        BSONDocument { builder in
            builder.append("$match") { builder in
                builder.append("status") { $0.append("$ne", SessionStatus.deleted.rawValue) }
            }
        },
        BSONDocument { builder in
            builder.append("$group") { builder in
                builder.append("_id", "$status")
                builder.append("sessions") { $0.append("$sum", int64: Int64(1)) }
                builder.append("chunks") { $0.append("$sum", "$statistics.chunks_count") }
                builder.append("size_bytes") { $0.append("$sum", "$statistics.size_bytes") }
                builder.append("duration_seconds") { $0.append("$sum", "$statistics.duration_seconds") }
                builder.append("errors") { $0.append("$sum", "$statistics.error_count") }
            }
        },
    ]

    private func find<Model>(
        _ query: MongoFind, in name: MongoNamespace, _ decode: (BSONFields) throws(BSONError) -> Model
    ) throws(QueryFailure) -> [Model] {
        try ask { (client) throws(MongoFailure) in try client.find(query, in: name, decode) }
    }

    private func one<Model>(
        _ keyName: String, _ key: String, in name: MongoNamespace,
        _ decode: (BSONFields) throws(BSONError) -> Model
    ) throws(QueryFailure) -> Model? {
        let query = MongoFind(filter: BSONDocument { $0.append(keyName, key) })
        return try ask { (client) throws(MongoFailure) in try client.findOne(query, in: name, decode) }
    }

    private func count(_ filter: BSONDocument, in name: MongoNamespace) throws(QueryFailure) -> Int {
        Int(try ask { (client) throws(MongoFailure) in try client.count(filter, in: name) })
    }

    private func ask<Answer>(
        _ body: (borrowing MongoClient) throws(MongoFailure) -> Answer
    ) throws(QueryFailure) -> Answer {
        var tries = 1
        while true {
            do { return try pool.withClient(body) } catch {
                // A replay has put another collection in the place of the one that was being read.
                if error.code == MongoFailure.queryPlanKilled, tries < 10 {
                    tries += 1
                    continue
                }
                throw QueryFailure(
                    error.description, isUnreachable: error.isUnreachable, isTransient: error.isTransient)
            }
        }
    }
}

extension SessionFilter {
    fileprivate var document: BSONDocument {
        BSONDocument { builder in
            if let status {
                builder.append("status", status.rawValue)
            } else {
                builder.append("status") { $0.append("$ne", SessionStatus.deleted.rawValue) }
            }
            if let project { builder.append("metadata.project", project) }
            if let environment { builder.append("metadata.environment", environment) }
            if let tag { builder.append("metadata.tags", tag) }
            if let owner { builder.append("metadata.owner", owner) }
        }
    }
}

extension ChunkFilter {
    fileprivate func document(ofSession sessionID: String) -> BSONDocument {
        BSONDocument { builder in
            builder.append("session_id", sessionID)
            if let status { builder.append("status", status.rawValue) }
            if from == nil && to == nil { return }
            builder.append("timestamp") { builder in
                if let from { builder.append("$gte", date_ms: from.milliseconds) }
                if let to { builder.append("$lte", date_ms: to.milliseconds) }
            }
        }
    }
}
