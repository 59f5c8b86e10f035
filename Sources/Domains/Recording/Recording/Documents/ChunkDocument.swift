internal import Base
internal import EventSourcing
package import ReadModels

// The documents of collection `chunks`; described for other tools in schemas/read-models/chunk.json.

extension BSONDocument {
    /// The document of one.
    package init(_ chunk: ChunkView) {
        self.init { builder in
            builder.append("chunk_id", chunk.chunkID)
            builder.append("session_id", chunk.sessionID)
            builder.append("sequence_number", int64: Int64(chunk.sequenceNumber))
            builder.append("timestamp", date_ms: chunk.timestamp.milliseconds)
            builder.append("status", chunk.status.rawValue)
            builder.append("size_bytes", int64: Int64(chunk.sizeBytes))
            builder.append("duration_seconds", double: chunk.durationSeconds)
            builder.append("frame_count", int64: Int64(chunk.frameCount))
            builder.append("merkle_hash", chunk.merkleHash)
            builder.append("storage_path", chunk.storagePath)
            builder.append("compression_ratio", double: chunk.compressionRatio)
            builder.append("quality_score", double: chunk.qualityScore)
            builder.append("encryption_key_id", chunk.encryptionKeyID)
            builder.append("created_at", date_ms: chunk.createdAt.milliseconds)
            builder.append("processed_at", date_ms: chunk.processedAt?.milliseconds)
            builder.append("updated_at", date_ms: chunk.updatedAt.milliseconds)
            builder.append("version", int64: Int64(clamping: chunk.version))
            builder.append("log_position", chunk.logPosition.description)
        }
    }
}

extension ChunkView {
    /// Reads a stored document.
    package init(_ fields: BSONFields) throws(BSONError) {
        let chunk = ChunkReference(
            sessionID: try fields.string("session_id"),
            sequenceNumber: try fields.count("sequence_number", NumberBounds.sequenceNumber),
            chunkID: try fields.string("chunk_id"))
        let last = EventStamp(
            time: try fields.time("updated_at"), sequence: UInt64(try fields.count("version")),
            position: try fields.position("log_position"))
        self.init(
            chunk, timestamp: try fields.time("timestamp"), status: try fields.choice("status"),
            sizeBytes: try fields.count("size_bytes", NumberBounds.chunkBytes),
            durationSeconds: try fields.amount("duration_seconds"),
            frameCount: try fields.count("frame_count", NumberBounds.frames),
            createdAt: try fields.time("created_at"), last: last)
        merkleHash = try fields.optionalString("merkle_hash")
        storagePath = try fields.optionalString("storage_path")
        compressionRatio = try fields.optionalAmount("compression_ratio", NumberBounds.ratio)
        qualityScore = try fields.optionalAmount("quality_score", NumberBounds.quality)
        encryptionKeyID = try fields.optionalString("encryption_key_id")
        processedAt = try fields.optionalTime("processed_at")
    }
}
