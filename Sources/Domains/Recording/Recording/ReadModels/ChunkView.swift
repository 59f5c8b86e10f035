package import Base
package import EventSourcing
package import ReadModels

/// A chunk as dashboards see it: the read model of collection `chunks` (seed 000). A pure fold of the
/// chunk's own events.
package struct ChunkView: Sendable, Hashable {
    /// Its id.
    package var chunkID: String
    /// The session that it belongs to.
    package var sessionID: String
    /// Its number in the session, from 1.
    package var sequenceNumber: Int
    /// When its first byte was captured.
    package var timestamp: Timestamp
    /// How far it has come.
    package var status: ChunkStatus
    /// Recorded bytes.
    package var sizeBytes: Int
    /// Seconds from its first to its last byte.
    package var durationSeconds: Double
    /// Frames in it; 0 when they are not known.
    package var frameCount: Int
    /// Leaf hash of the sealed file, 64 hexadecimal digits; nil until it is sealed.
    package var merkleHash: String?
    /// Where it is in the chunk store; nil until it is stored, and again when it is removed.
    package var storagePath: String?
    /// Codec output against original, 0...1; nil until it is compressed.
    package var compressionRatio: Double?
    /// Quality 0...100; nil as long as no source measures one.
    package var qualityScore: Double?
    /// The data key that seals it; nil until it is sealed, and for a chunk without cipher.
    package var encryptionKeyID: String?
    /// When it was recorded.
    package var createdAt: Timestamp
    /// When it was stored, or given up.
    package var processedAt: Timestamp?
    /// When the last event that it contains happened.
    package var updatedAt: Timestamp
    /// Sequence of that event in the session's history.
    package var version: UInt64
    /// Place of that event in the log.
    package var logPosition: LogPosition

    /// The chunk after its first event; nil when that does not record a chunk.
    package init?(_ first: ChunkEvent, _ stamp: EventStamp) {
        guard case .recorded(let payload) = first else { return nil }
        self.init(
            payload.chunk, timestamp: payload.capturedAt, status: .recorded,
            sizeBytes: payload.content.sizeBytes, durationSeconds: payload.durationSeconds,
            frameCount: payload.frameCount, createdAt: stamp.time, last: stamp)
        qualityScore = payload.qualityScore
    }

    /// A chunk from the parts that it has from the beginning.
    package init(
        _ chunk: ChunkReference, timestamp: Timestamp, status: ChunkStatus, sizeBytes: Int,
        durationSeconds: Double, frameCount: Int, createdAt: Timestamp, last stamp: EventStamp
    ) {
        self.chunkID = chunk.chunkID
        self.sessionID = chunk.sessionID
        self.sequenceNumber = chunk.sequenceNumber
        self.timestamp = timestamp
        self.status = status
        self.sizeBytes = sizeBytes
        self.durationSeconds = durationSeconds
        self.frameCount = frameCount
        self.createdAt = createdAt
        self.updatedAt = stamp.time
        self.version = stamp.sequence
        self.logPosition = stamp.position
    }

    /// Takes in the next event of the chunk.
    package mutating func evolve(_ event: ChunkEvent, _ stamp: EventStamp) {
        switch event {
        case .recorded: break
        case .compressed(let payload):
            status = .compressed
            compressionRatio = payload.compressionRatio
        case .sealed(let payload), .validated(let payload):
            status = .encrypted
            seal(payload)
        case .stored(let payload):
            status = .stored
            seal(payload)
            storagePath = payload.path
            processedAt = stamp.time
        case .failed:
            status = .failed
            processedAt = stamp.time
        case .deleted:
            status = .deleted
            storagePath = nil
        }
        updatedAt = stamp.time
        version = stamp.sequence
        logPosition = stamp.position
    }

    private mutating func seal(_ payload: ChunkEvent.Sealed) {
        merkleHash = payload.merkleHash
        encryptionKeyID = payload.content.cipher == "none" ? nil : payload.content.keyID
        compressionRatio = payload.compressionRatio
    }
}
