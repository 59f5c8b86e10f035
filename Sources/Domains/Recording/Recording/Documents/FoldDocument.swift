internal import Base
internal import EventSourcing
package import ReadModels

// The documents of collection `folds`: from where the projector goes on with a session. Not for others to
// read: `sessions` and `pipeline` show the same rounded for the eye, here it is kept without loss.

extension BSONDocument {
    /// The document of one.
    package init(_ fold: SessionFold) {
        self.init { builder in
            builder.append("session_id", fold.sessionID)
            builder.append("version", int64: Int64(clamping: fold.version))
            // Null as long as it is not over, and while a case holds it.
            let isHeld = !fold.session.holds.isEmpty
            let end = isHeld ? nil : Retention.end(of: fold.session)
            builder.append("kept_until", date_ms: end?.milliseconds)
            builder.append("is_held", isHeld)
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
    /// Reads a stored document.
    package init(_ fields: BSONFields) throws(BSONError) {
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
        builder.append("is_file", isFile)
        builder.append("covered_ms", int64: clock.covered_ms)
        builder.append("media_begin", date_ms: clock.begin?.milliseconds)
        builder.append("media_end", date_ms: clock.end?.milliseconds)
        builder.append("open_since", date_ms: clock.openSince?.milliseconds)
        builder.append("chunk_count", int64: Int64(chunkCount))
        builder.append("size_bytes", int64: Int64(sizeBytes))
        builder.append("frame_count", int64: Int64(frameCount))
        builder.append("error_count", int64: Int64(errorCount))
        builder.append("stored_count", int64: Int64(storedCount))
        builder.append("stored_original_bytes", int64: Int64(storedOriginalBytes))
        builder.append("stored_payload_bytes", int64: Int64(storedPayloadBytes))
        builder.append("stored_file_bytes", int64: Int64(storedFileBytes))
        builder.append("dropped_frames", int64: Int64(droppedFrames))
        builder.append("quality", quality.append)
        builder.append("work", work.append)
    }

    fileprivate init(_ fields: BSONFields) throws(BSONError) {
        self.init()
        chunkCount = try fields.count("chunk_count")
        sizeBytes = try fields.count("size_bytes")
        frameCount = try fields.count("frame_count")
        errorCount = try fields.count("error_count")
        storedCount = try fields.count("stored_count")
        storedOriginalBytes = try fields.count("stored_original_bytes")
        storedPayloadBytes = try fields.count("stored_payload_bytes")
        storedFileBytes = try fields.count("stored_file_bytes")
        // Folds that were kept before these were known go on without; a replay makes them whole.
        if !fields.isNull("covered_ms") {
            isFile = try fields.bool("is_file")
            clock.covered_ms = Int64(try fields.count("covered_ms"))
            clock.begin = try fields.optionalTime("media_begin")
            clock.end = try fields.optionalTime("media_end")
            clock.openSince = try fields.optionalTime("open_since")
        }
        guard !fields.isNull("work") else { return }
        droppedFrames = try fields.count("dropped_frames")
        quality = try QualityTally(try fields.document("quality"))
        work = try WorkTally(try fields.document("work"))
    }
}

extension QualityTally {
    fileprivate func append(to builder: inout BSONBuilder) {
        builder.append("count", int64: Int64(count))
        builder.append("sum", double: sum)
        builder.append("minimum", double: minimum)
        builder.append("maximum", double: maximum)
        builder.append("excellent", int64: Int64(excellent))
        builder.append("good", int64: Int64(good))
        builder.append("fair", int64: Int64(fair))
    }

    fileprivate init(_ fields: BSONFields) throws(BSONError) {
        self.init()
        count = try fields.count("count")
        sum = try fields.amount("sum")
        minimum = try fields.optionalAmount("minimum", NumberBounds.quality)
        maximum = try fields.optionalAmount("maximum", NumberBounds.quality)
        excellent = try fields.count("excellent")
        good = try fields.count("good")
        fair = try fields.count("fair")
    }
}

extension WorkTally {
    fileprivate func append(to builder: inout BSONBuilder) {
        builder.append("chunks", int64: Int64(chunks))
        builder.append("sum_ms", double: sum_ms)
        builder.append("minimum_ms", double: minimum_ms)
        builder.append("maximum_ms", double: maximum_ms)
        builder.append("steps", int64: Int64(steps))
        builder.append("failures", int64: Int64(failures))
        // In order, so that one state has one document.
        builder.append("begun", array: begun.sorted { $0.key < $1.key }) { builder, key, item in
            builder.append(key) { builder in
                builder.append("number", int64: Int64(item.key))
                builder.append("ms", double: item.value)
            }
        }
    }

    fileprivate init(_ fields: BSONFields) throws(BSONError) {
        self.init()
        chunks = try fields.count("chunks")
        sum_ms = try fields.amount("sum_ms")
        minimum_ms = try fields.optionalAmount("minimum_ms")
        maximum_ms = try fields.optionalAmount("maximum_ms")
        steps = try fields.count("steps")
        failures = try fields.count("failures")
        for item in try fields.array("begun") {
            guard case .document(let document) = item else { throw .field("begun") }
            let chunk = try document.fields()
            begun[try chunk.count("number", NumberBounds.sequenceNumber)] = try chunk.amount("ms")
        }
    }
}
