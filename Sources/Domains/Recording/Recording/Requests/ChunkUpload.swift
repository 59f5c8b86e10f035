package import Base

/// What an uploader says of the chunk that it sends as the body of `POST /sessions/{id}/chunks`.
///
/// - `sequence_number` is required, `timestamp` too: both are what cannot be found out from the bytes.
/// - `sha256` is the digest of the body, hexadecimal; the upload is refused when the bytes differ, and given
///   again with the same digest it changes nothing.
package struct ChunkUpload: Sendable, Hashable {
    /// How far ahead of the next chunk one may be uploaded.
    package static let window = 64
    /// The longest chunk, in seconds: a year.
    package static let seconds = 0.0...31_536_000

    /// Which chunk: its number, and the caller's id or the usual one.
    package var chunk: ChunkReference
    /// When its first byte was captured.
    package var capturedAt: Timestamp
    /// Seconds from its first to its last byte.
    package var durationSeconds: Double
    /// Frames in it; 0 when they are not known.
    package var frameCount: Int
    /// Frames that the source lost before it.
    package var droppedFrames: Int
    /// How good the source says that it is, 0...100.
    package var qualityScore: Double?
    /// SHA-256 of the body, 64 lower-case hexadecimal digits; nil when the uploader gives none.
    package var digest: String?

    /// A chunk of which nothing else is said.
    package init(chunk: ChunkReference, capturedAt: Timestamp) {
        self.chunk = chunk
        self.capturedAt = capturedAt
        (durationSeconds, frameCount, droppedFrames) = (0, 0, 0)
    }

    /// The parameters `sequence_number`, `chunk_id`, `timestamp`, `duration_seconds`, `frame_count`,
    /// `dropped_frames`, `quality_score` and `sha256`.
    package init(
        _ parameters: [(name: String, value: String)], ofSession sessionID: String
    ) throws(RequestFailure) {
        var reader = RequestParameters(parameters)
        for name in ["sequence_number", "timestamp"] where !parameters.contains(where: { $0.name == name }) {
            reader.refuse(name, "is required")
        }
        let number = reader.integer("sequence_number", NumberBounds.sequenceNumber)
        let id = reader.text("chunk_id")
        if let id {
            let named = ChunkReference(sessionID: sessionID, sequenceNumber: number ?? 1, chunkID: id)
            // Without a number nobody can say what the usual id is.
            for violation in named.violations where number != nil && violation.field == "chunk_id" {
                reader.refuse(violation.field, violation.rule)
            }
        }
        let time = reader.time("timestamp")
        durationSeconds = reader.number("duration_seconds", Self.seconds) ?? 0
        frameCount = reader.integer("frame_count", NumberBounds.frames, otherwise: 0)
        droppedFrames = reader.integer("dropped_frames", NumberBounds.frames, otherwise: 0)
        qualityScore = reader.number("quality_score", NumberBounds.quality)
        digest = reader.text("sha256")?.lowercased()
        if let digest, Hexadecimal.bytes(digest)?.count != 32 {
            reader.refuse("sha256", "must be 64 hexadecimal digits")
        }
        try reader.finish()
        guard let number, let time else { throw .invalid(reader.violations) }
        capturedAt = time
        chunk =
            id.map { ChunkReference(sessionID: sessionID, sequenceNumber: number, chunkID: $0) }
            ?? ChunkReference(sessionID: sessionID, sequenceNumber: number)
    }
}
