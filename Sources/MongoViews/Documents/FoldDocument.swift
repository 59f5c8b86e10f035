internal import EventSourcing
internal import Recording

// The documents of collection `folds`: from where the projector goes on with a session. Not for others to
// read: `sessions` and `pipeline` show the same rounded for the eye, here it is kept without loss.

extension BSONDocument {
    init(_ fold: SessionFold) {
        self.init { builder in
            builder.append("session_id", fold.sessionID)
            builder.append("version", int64: Int64(clamping: fold.version))
            builder.append("session", fold.session.append)
            builder.append("tally", fold.tally.append)
            builder.append("pipeline") { builder in
                let pipeline = fold.pipeline
                builder.append("state", pipeline.state.rawValue)
                builder.append("chunk_count", int64: Int64(pipeline.chunkCount))
                builder.append("frame_count", int64: Int64(pipeline.frameCount))
                builder.append("is_closed", pipeline.isClosed)
                builder.append("view", pipeline.view.append)
            }
        }
    }
}

extension SessionFold {
    init(_ fields: BSONFields) throws(BSONError) {
        let pipeline = try fields.document("pipeline")
        let fold = SessionFold(
            session: try SessionView(try fields.document("session")),
            tally: try SessionTally(try fields.document("tally")),
            pipeline: PipelineFold(
                kept: try PipelineView(try pipeline.document("view")), state: try pipeline.choice("state"),
                chunkCount: try pipeline.count("chunk_count"), frameCount: try pipeline.count("frame_count"),
                isClosed: try pipeline.bool("is_closed")))
        guard let fold else { throw .field("pipeline") }
        self = fold
    }
}

extension SessionTally {
    fileprivate func append(to builder: inout BSONBuilder) {
        builder.append("finished_ms", int64: clock.finished_ms)
        builder.append("running_since", date_ms: clock.runningSince?.milliseconds)
        builder.append("seen_until", date_ms: clock.seenUntil?.milliseconds)
        builder.append("chunk_count", int64: Int64(chunkCount))
        builder.append("size_bytes", int64: Int64(sizeBytes))
        builder.append("frame_count", int64: Int64(frameCount))
        builder.append("error_count", int64: Int64(errorCount))
        builder.append("stored_count", int64: Int64(storedCount))
        builder.append("stored_original_bytes", int64: Int64(storedOriginalBytes))
        builder.append("stored_payload_bytes", int64: Int64(storedPayloadBytes))
        builder.append("stored_file_bytes", int64: Int64(storedFileBytes))
    }

    fileprivate init(_ fields: BSONFields) throws(BSONError) {
        self.init()
        clock.finished_ms = try fields.int("finished_ms")
        clock.runningSince = try fields.optionalTime("running_since")
        clock.seenUntil = try fields.optionalTime("seen_until")
        chunkCount = try fields.count("chunk_count")
        sizeBytes = try fields.count("size_bytes")
        frameCount = try fields.count("frame_count")
        errorCount = try fields.count("error_count")
        storedCount = try fields.count("stored_count")
        storedOriginalBytes = try fields.count("stored_original_bytes")
        storedPayloadBytes = try fields.count("stored_payload_bytes")
        storedFileBytes = try fields.count("stored_file_bytes")
    }
}
