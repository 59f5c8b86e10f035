internal import Base
internal import EventSourcing
package import ReadModels

// The documents of collection `sessions`; described for other tools in schemas/read-models/session.json.

extension BSONDocument {
    /// The document of one.
    package init(_ session: SessionView) {
        self.init { session.append(to: &$0) }
    }
}

extension SessionView {
    func append(to builder: inout BSONBuilder) {
        builder.append("session_id", sessionID)
        builder.append("name", name)
        builder.append("status", status.rawValue)
        builder.append("created_at", date_ms: createdAt.milliseconds)
        builder.append("started_at", date_ms: startedAt?.milliseconds)
        builder.append("stopped_at", date_ms: stoppedAt?.milliseconds)
        if let rdp { builder.append("rdp_config", rdp.append) } else { builder.appendNull("rdp_config") }
        builder.append("recording_config", recording.append)
        builder.append("storage_config", storage.append)
        builder.append("metadata", metadata.append)
        builder.append("statistics", statistics.append)
        builder.append("updated_at", date_ms: updatedAt.milliseconds)
        builder.append("version", int64: Int64(clamping: version))
        builder.append("log_position", logPosition.description)
        // What seed 000 does not know.
        builder.append("reel") { builder in
            builder.append("holds", array: holds) { builder, key, hold in builder.append(key, hold.append) }
            if let media { builder.append("media", media.append) } else { builder.appendNull("media") }
            if let verification {
                builder.append("verification", verification.append)
            } else {
                builder.appendNull("verification")
            }
        }
    }

    /// Reads a stored document.
    package init(_ fields: BSONFields) throws(BSONError) {
        self.init(
            sessionID: try fields.string("session_id"), name: try fields.string("name"),
            status: try fields.choice("status"), createdAt: try fields.time("created_at"),
            rdp: fields.isNull("rdp_config") ? nil : try RDPConfig(try fields.document("rdp_config")),
            recording: try RecordingConfig(try fields.document("recording_config")),
            storage: try StorageConfig(try fields.document("storage_config")),
            metadata: try SessionMetadata(try fields.document("metadata")),
            updatedAt: try fields.time("updated_at"), version: UInt64(try fields.count("version")),
            logPosition: try fields.position("log_position"))
        startedAt = try fields.optionalTime("started_at")
        stoppedAt = try fields.optionalTime("stopped_at")
        statistics = try SessionStatistics(try fields.document("statistics"))
        // Documents of earlier versions have no such member.
        guard !fields.isNull("reel") else { return }
        let beyond = try fields.document("reel")
        for item in try beyond.array("holds") {
            guard case .document(let hold) = item else { throw .field("reel.holds") }
            holds.append(try LegalHold(try hold.fields()))
        }
        if !beyond.isNull("media") { media = try MediaFacts(try beyond.document("media")) }
        if !beyond.isNull("verification") {
            verification = try VerificationView(try beyond.document("verification"))
        }
    }
}

extension RDPConfig {
    fileprivate init(_ fields: BSONFields) throws(BSONError) {
        self.init(host: "", username: "")
        try read(fields)
    }
}

extension RequestSection where Self: Described {
    fileprivate init(_ fields: BSONFields) throws(BSONError) {
        self.init()
        try read(fields)
    }
}

extension VerificationView {
    fileprivate func append(to builder: inout BSONBuilder) {
        builder.append("outcome", outcome.rawValue)
        builder.append("at", date_ms: at.milliseconds)
        builder.append("by", by)
        builder.append("findings", array: findings)
        builder.append("findings_count", int32: Int32(clamping: findingCount))
    }

    fileprivate init(_ fields: BSONFields) throws(BSONError) {
        self.init(
            outcome: try fields.choice("outcome"), at: try fields.time("at"), by: try fields.string("by"),
            findings: try fields.strings("findings"), findingCount: try fields.count("findings_count"))
    }
}

extension LegalHold {
    fileprivate func append(to builder: inout BSONBuilder) {
        builder.append("case", caseName)
        builder.append("reason", reason)
        builder.append("set_by", setBy)
        builder.append("set_at", date_ms: setAt.milliseconds)
    }

    fileprivate init(_ fields: BSONFields) throws(BSONError) {
        self.init(
            caseName: try fields.string("case"), reason: try fields.string("reason"),
            setBy: try fields.string("set_by"), setAt: try fields.time("set_at"))
    }
}

extension MediaFacts {
    fileprivate func append(to builder: inout BSONBuilder) {
        builder.append("container", container)
        builder.append("size_bytes", int64: Int64(sizeBytes))
        builder.append("duration_seconds", double: durationSeconds)
        builder.append("width", int32: width)
        builder.append("height", int32: height)
        builder.append("frame_rate", double: frameRate)
        builder.append("frame_count", int64: frameCount.map(Int64.init))
        builder.append("audio", audio)
    }

    fileprivate init(_ fields: BSONFields) throws(BSONError) {
        self.init(
            container: try fields.string("container"),
            sizeBytes: try fields.count("size_bytes", Bounds.bytes), audio: try fields.bool("audio"))
        durationSeconds = try fields.optionalAmount("duration_seconds", Bounds.seconds)
        width = try fields.optionalCount("width", Bounds.pixels)
        height = try fields.optionalCount("height", Bounds.pixels)
        frameRate = try fields.optionalAmount("frame_rate", Bounds.frameRate)
        frameCount = try fields.optionalCount("frame_count", NumberBounds.frames)
    }
}

extension SessionStatistics {
    fileprivate func append(to builder: inout BSONBuilder) {
        builder.append("duration_seconds", int64: Int64(durationSeconds))
        builder.append("chunks_count", int64: Int64(chunksCount))
        builder.append("size_bytes", int64: Int64(sizeBytes))
        builder.append("frame_count", int64: Int64(frameCount))
        builder.append("dropped_frames", int64: Int64(droppedFrames))
        builder.append("error_count", int64: Int64(errorCount))
        builder.append("average_fps", double: averageFPS)
        builder.append("compression_ratio", double: compressionRatio)
    }

    fileprivate init(_ fields: BSONFields) throws(BSONError) {
        self.init(
            durationSeconds: try fields.count("duration_seconds"),
            chunksCount: try fields.count("chunks_count"), sizeBytes: try fields.count("size_bytes"),
            frameCount: try fields.count("frame_count"), droppedFrames: try fields.count("dropped_frames"),
            errorCount: try fields.count("error_count"), averageFPS: try fields.amount("average_fps"),
            compressionRatio: try fields.amount("compression_ratio", NumberBounds.ratio))
    }
}
