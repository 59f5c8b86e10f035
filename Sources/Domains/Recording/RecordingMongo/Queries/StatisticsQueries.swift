internal import Base
internal import EventSourcing
internal import MongoViews
package import ReadModels
package import Recording

// Statistics come from `folds`, where the sums behind what is shown are kept exactly.

extension MongoQueries {
    /// A session's statistics; nil when there is no such session.
    package func statistics(
        ofSession sessionID: String
    ) throws(QueryFailure) -> SessionStatisticsResponse? {
        let query = MongoFind(filter: BSONDocument { $0.append("session_id", sessionID) }, limit: 1)
        return try find(query, in: RecordingViews.folds, SessionFold.init).first
            .map(SessionStatisticsResponse.init)
    }

    /// Sums over all sessions that are not deleted, and the work that all took. They stand in the
    /// projector's checkpoints; where one has none, all sessions are gone through.
    package func totals() throws(QueryFailure) -> RecordingTotals {
        if let kept = try keptTotals() { return kept }
        let groups = try documents.aggregate(
            Self.totalsPipeline, in: RecordingViews.folds, RecordingTotals.init)
        return groups.reduce(into: RecordingTotals()) { sum, group in
            sum.work.add(group.work)
            guard group.sessions[.deleted] == nil else { return }
            sum.sessions.merge(group.sessions) { $0 +| $1 }
            sum.chunks +|= group.chunks
            sum.sizeBytes +|= group.sizeBytes
            sum.durationSeconds +|= group.durationSeconds
            sum.errors +|= group.errors
            sum.startedCount +|= group.startedCount
            sum.storedBytes +|= group.storedBytes
            sum.storedChunks +|= group.storedChunks
            sum.storedOriginalBytes +|= group.storedOriginalBytes
            sum.storedPayloadBytes +|= group.storedPayloadBytes
        }
    }

    /// Sessions whose pipelines are paused, with their recording or by themselves; those that were changed
    /// last first.
    package func pausedPipelines(limit: Int) throws(QueryFailure) -> [String] {
        var query = MongoFind(
            filter: BSONDocument { $0.append("pipeline_status", "paused") },
            limit: Int64(limit), hint: DocumentIndex([("pipeline_status", 1)]))
        query.sort = BSONDocument { $0.append("updated_at", int32: -1) }
        query.projection = BSONDocument { $0.append("session_id", int32: 1) }
        return try find(query, in: RecordingViews.pipeline) { (fields) throws(BSONError) in
            try fields.string("session_id")
        }
    }

    /// The sums that the projector keeps; nil when they are not whole.
    package func keptTotals() throws(QueryFailure) -> RecordingTotals? {
        try documents.keptTotals()?.known.values.reduce(into: RecordingTotals()) { $0.add($1) }
    }

    private static let totalsPipeline: [BSONDocument] = [
        // What is none of Reel's would spoil the sums of all others.
        BSONDocument { builder in
            builder.append("$match") { builder in
                builder.append("session.status") { builder in
                    builder.append("$in", array: SessionStatus.allCases.map(\.rawValue))
                }
                // Folds of an earlier version lack some; what is no number adds nothing.
                for (name, field) in Self.sums where name != "worked_ms" {
                    builder.append(field) { $0.append("$not") { $0.append("$type", "double") } }
                }
            }
        },
        BSONDocument { builder in
            builder.append("$group") { builder in
                builder.append("_id", "$session.status")
                builder.append("sessions") { $0.append("$sum", int64: Int64(1)) }
                builder.append("started") { builder in
                    builder.append("$sum") { builder in
                        // A date is true, null is not.
                        builder.append("$cond", array: [0, 1, 2]) { builder, key, place in
                            if place == 0 { return builder.append(key, "$session.started_at") }
                            builder.append(key, int64: Int64(place == 1 ? 1 : 0))
                        }
                    }
                }
                for (name, field) in Self.sums {
                    builder.append(name) { $0.append("$sum", "$" + field) }
                }
                builder.append("minimum_ms") { $0.append("$min", "$tally.work.minimum_ms") }
                builder.append("maximum_ms") { $0.append("$max", "$tally.work.maximum_ms") }
            }
        },
    ]

    private static let sums: [(name: String, field: String)] = [
        ("chunks", "tally.chunk_count"), ("size_bytes", "tally.size_bytes"),
        ("duration_seconds", "session.statistics.duration_seconds"),
        ("errors", "tally.error_count"), ("stored_bytes", "tally.stored_file_bytes"),
        ("stored_chunks", "tally.stored_count"), ("stored_original_bytes", "tally.stored_original_bytes"),
        ("stored_payload_bytes", "tally.stored_payload_bytes"),
        ("worked_chunks", "tally.work.chunks"), ("worked_ms", "tally.work.sum_ms"),
        ("steps", "tally.work.steps"), ("failures", "tally.work.failures"),
    ]
}

extension RecordingTotals {
    /// The sums over the sessions of one status.
    fileprivate init(_ fields: BSONFields) throws(BSONError) {
        self.init()
        sessions[try fields.choice("_id")] = try fields.sum("sessions")
        chunks = try fields.sum("chunks")
        sizeBytes = try fields.sum("size_bytes")
        durationSeconds = try fields.sum("duration_seconds")
        errors = try fields.sum("errors")
        startedCount = try fields.sum("started")
        storedBytes = try fields.sum("stored_bytes")
        storedChunks = try fields.sum("stored_chunks")
        storedOriginalBytes = try fields.sum("stored_original_bytes")
        storedPayloadBytes = try fields.sum("stored_payload_bytes")
        work.chunks = try fields.sum("worked_chunks")
        work.sum_ms = try fields.amount("worked_ms")
        work.steps = try fields.sum("steps")
        work.failures = try fields.sum("failures")
        work.minimum_ms = try fields.optionalAmount("minimum_ms")
        work.maximum_ms = try fields.optionalAmount("maximum_ms")
    }
}
