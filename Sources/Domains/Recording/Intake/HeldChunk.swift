internal import Base
internal import Recording

/// A chunk that came before one that precedes it: its bytes lie in the spool, and this beside them, until its
/// turn has come.
struct HeldChunk: Sendable, Hashable {
    /// The kind of such files in the spool.
    static let kind = "held"

    var recorded: ChunkEvent.Recorded

    var bytes: [UInt8] {
        var writer = JSONWriter()
        recorded.encodeHeld(into: &writer)
        return writer.bytes
    }

    init(_ recorded: ChunkEvent.Recorded) { self.recorded = recorded }

    /// Reads what `bytes` wrote; nil for anything else.
    init?(_ bytes: [UInt8], session: String) {
        guard let json = try? JSONValue(parsing: bytes), let id = json["chunk_id"]?.string,
            let number = json["sequence_number"]?.integer.flatMap({ Int(exactly: $0) }),
            let size = json["size_bytes"]?.integer.flatMap({ Int(exactly: $0) }),
            let digest = json["content_digest"]?.string, let keyID = json["key_id"]?.string,
            let cipher = json["cipher"]?.string, let codec = json["codec"]?.string,
            let captured = json["captured_ms"]?.integer.flatMap(Timestamp.init(exactly:)),
            let duration = json["duration_seconds"]?.number,
            let frames = json["frame_count"]?.integer.flatMap({ Int(exactly: $0) }),
            let dropped = json["dropped_frames"]?.integer.flatMap({ Int(exactly: $0) }),
            let path = json["spool_path"]?.string
        else { return nil }
        recorded = ChunkEvent.Recorded(
            chunk: ChunkReference(sessionID: session, sequenceNumber: number, chunkID: id),
            content: ChunkContent(sizeBytes: size, digest: digest, keyID: keyID, cipher: cipher),
            codec: codec, capturedAt: captured, durationSeconds: duration,
            frameCount: frames, droppedFrames: dropped, qualityScore: json["quality_score"]?.number,
            spoolPath: path)
        guard recorded.chunk.violations.isEmpty, recorded.violations.isEmpty else { return nil }
    }
}

extension ChunkEvent.Recorded {
    fileprivate func encodeHeld(into writer: inout JSONWriter) {
        writer.object { json in
            json.member("chunk_id", chunk.chunkID)
            json.member("sequence_number", chunk.sequenceNumber)
            json.member("size_bytes", content.sizeBytes)
            json.member("content_digest", content.digest)
            json.member("key_id", content.keyID)
            json.member("cipher", content.cipher)
            json.member("codec", codec)
            json.member("captured_ms", capturedAt.milliseconds)
            json.member("duration_seconds", durationSeconds)
            json.member("frame_count", frameCount)
            json.member("dropped_frames", droppedFrames)
            json.member("quality_score", qualityScore)
            json.member("spool_path", spoolPath)
        }
    }
}
