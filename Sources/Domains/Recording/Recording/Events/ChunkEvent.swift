package import Base
package import EventSourcing

/// Which chunk an event is about.
package struct ChunkReference: Sendable, Hashable {
    /// The session that it belongs to.
    package var sessionID: String
    /// Its number in the session, from 1.
    package var sequenceNumber: Int
    /// Its id: `<session_id>-chunk-<sequence, six digits>` unless the caller gave one.
    package var chunkID: String

    /// A reference with the usual chunk id.
    package init(sessionID: String, sequenceNumber: Int) {
        let digits = String(sequenceNumber)
        let padding = String(repeating: "0", count: max(0, 6 - digits.count))
        // A chunk's id has at most 100 characters too; a long session id stands in it by its hash.
        let owner = sessionID.utf8.count <= 85 ? sessionID : Self.shortened(sessionID)
        self.init(
            sessionID: sessionID, sequenceNumber: sequenceNumber,
            chunkID: "\(owner)-chunk-\(padding)\(digits)")
    }

    private static func shortened(_ sessionID: String) -> String {
        Hexadecimal.text(SHA256.digest(of: sessionID.utf8).prefix(16))
    }

    /// A reference with a chunk id of the caller's.
    package init(sessionID: String, sequenceNumber: Int, chunkID: String) {
        self.sessionID = sessionID
        self.sequenceNumber = sequenceNumber
        self.chunkID = chunkID
    }
}

/// What every stage must know of a chunk; it goes along from event to event.
package struct ChunkContent: Sendable, Hashable {
    /// Recorded bytes.
    package var sizeBytes: Int
    /// HMAC-SHA256 of the recorded bytes under the session's digest key, 64 hexadecimal digits.
    package var digest: String
    /// Id of the session's data key.
    package var keyID: String
    /// `xchacha20poly1305` or `none`.
    package var cipher: String
    package init(sizeBytes: Int, digest: String, keyID: String, cipher: String) {
        self.sizeBytes = sizeBytes
        self.digest = digest
        self.keyID = keyID
        self.cipher = cipher
    }
}

/// What happens to a chunk. Schemas: `schemas/events/Chunk*.v<N>.json`.
///
/// A `spoolPath` says where the next stage finds the chunk; it is absent when the next stage got it in
/// memory, and then the next stage's event stands in the same append.
package enum ChunkEvent: Event, Hashable {
    /// A chunk is durable in the spool.
    package struct Recorded: Sendable, Hashable {
        /// Which chunk.
        package var chunk: ChunkReference
        /// What it holds.
        package var content: ChunkContent
        /// The codec that was asked for: none, zstd, lz4 or gzip.
        package var codec: String
        /// When its first byte was captured.
        package var capturedAt: Timestamp
        /// Seconds from its first to its last byte.
        package var durationSeconds: Double
        /// Frames in it; 0 when they are not known.
        package var frameCount: Int
        /// Frames that the source lost before it.
        package var droppedFrames: Int
        /// How good the source says that it is, 0...100; nil when the source measures nothing.
        package var qualityScore: Double?
        /// Where it is, relative to the spool.
        package var spoolPath: String
        package init(
            chunk: ChunkReference, content: ChunkContent, codec: String, capturedAt: Timestamp,
            durationSeconds: Double, frameCount: Int, droppedFrames: Int = 0, qualityScore: Double? = nil,
            spoolPath: String
        ) {
            self.chunk = chunk
            self.content = content
            self.codec = codec
            self.capturedAt = capturedAt
            self.durationSeconds = durationSeconds
            self.frameCount = frameCount
            self.droppedFrames = droppedFrames
            self.qualityScore = qualityScore
            self.spoolPath = spoolPath
        }
    }

    /// A chunk is compressed.
    package struct Compressed: Sendable, Hashable {
        /// Which chunk.
        package var chunk: ChunkReference
        /// What it holds.
        package var content: ChunkContent
        /// The codec of the payload: none when compression did not shrink it.
        package var codec: String
        /// Bytes of the codec's output.
        package var compressedBytes: Int
        /// Milliseconds of work.
        package var processingMilliseconds: Double
        /// Where the payload is, relative to the spool.
        package var spoolPath: String?
        package init(
            chunk: ChunkReference, content: ChunkContent, codec: String, compressedBytes: Int,
            processingMilliseconds: Double, spoolPath: String?
        ) {
            self.chunk = chunk
            self.content = content
            self.codec = codec
            self.compressedBytes = compressedBytes
            self.processingMilliseconds = processingMilliseconds
            self.spoolPath = spoolPath
        }
    }

    /// A chunk is sealed, validated or stored.
    package struct Sealed: Sendable, Hashable {
        /// Which chunk.
        package var chunk: ChunkReference
        /// What it holds.
        package var content: ChunkContent
        /// The codec of the payload.
        package var codec: String
        /// Bytes of the codec's output.
        package var compressedBytes: Int
        /// Bytes of the sealed file.
        package var sealedBytes: Int
        /// Leaf hash of the sealed file (RFC 9162), 64 hexadecimal digits.
        package var merkleHash: String
        /// Milliseconds of work.
        package var processingMilliseconds: Double
        /// Where the sealed file is: relative to the spool, or to the chunk store once stored.
        package var path: String?
        package init(
            chunk: ChunkReference, content: ChunkContent, codec: String, compressedBytes: Int,
            sealedBytes: Int, merkleHash: String, processingMilliseconds: Double, path: String?
        ) {
            self.chunk = chunk
            self.content = content
            self.codec = codec
            self.compressedBytes = compressedBytes
            self.sealedBytes = sealedBytes
            self.merkleHash = merkleHash
            self.processingMilliseconds = processingMilliseconds
            self.path = path
        }
    }

    /// A chunk is durable in the spool.
    case recorded(Recorded)
    /// Compress has done its work.
    case compressed(Compressed)
    /// Encrypt has done its work.
    case sealed(Sealed)
    /// Validate has done its work.
    case validated(Sealed)
    /// Store has done its work: the file is durable in the chunk store.
    case stored(Sealed)
    /// A stage gave it up after the last try; why, outermost cause first.
    case failed(ChunkReference, stage: String, attempts: Int, causes: [String])
    /// It was removed.
    case deleted(ChunkReference)

    /// Which chunk it concerns.
    package var chunk: ChunkReference {
        switch self {
        case .recorded(let payload): payload.chunk
        case .compressed(let payload): payload.chunk
        case .sealed(let payload), .validated(let payload), .stored(let payload): payload.chunk
        case .failed(let chunk, _, _, _), .deleted(let chunk): chunk
        }
    }

    /// The chunk's id.
    package var subject: String { chunk.chunkID }

    /// The newest version of its type: none depends on the level yet.
    package func version(at level: FormatLevel) -> Int? { Self.newestVersion(of: typeName) }

    /// The id of the one event of this type for this chunk: a redone step has no further effect.
    package var derivedID: String { "\(chunk.chunkID)/\(typeName)" }

    /// The CloudEvents type.
    package var typeName: String {
        switch self {
        case .recorded: "ChunkRecorded"
        case .compressed: "ChunkCompressed"
        case .sealed: "ChunkSealed"
        case .validated: "ChunkValidated"
        case .stored: "ChunkStored"
        case .failed: "ChunkFailed"
        case .deleted: "ChunkDeleted"
        }
    }

    /// The types there are.
    package static let typeNames: Set<String> = [
        "ChunkRecorded", "ChunkCompressed", "ChunkSealed", "ChunkValidated", "ChunkStored", "ChunkFailed",
        "ChunkDeleted",
    ]
}
