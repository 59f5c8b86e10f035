/// What a history says of one chunk, event by event.
package struct ChunkTrail: Sendable, Hashable {
    /// Which chunk.
    package let chunk: ChunkReference
    /// What was recorded.
    package let content: ChunkContent
    /// The codec that was asked for.
    package let codec: String
    /// Which events were told of it.
    var told: Told = []
    /// What `ChunkCompressed` says, until it is sealed.
    var compressed: Compressed?
    /// What the last of `ChunkSealed`, `ChunkValidated` and `ChunkStored` says, in the order of the stages.
    var latest: ChunkEvent.Sealed?
    /// Why a stage gave it up, the last time.
    package internal(set) var failure: String?

    /// What `ChunkStored` says; nil while it is not stored.
    package var stored: ChunkEvent.Sealed? { told.contains(.stored) ? latest : nil }
    /// Length of what was recorded; nil where what the log says is no length of anything.
    package var sizeBytes: Int? {
        (0...HistoryAudit.maximumNumber).contains(content.sizeBytes) ? content.sizeBytes : nil
    }
    /// Whether its file was removed.
    package var isDeleted: Bool { told.contains(.deleted) }

    struct Compressed: Sendable, Hashable {
        var codec: String
        var bytes: Int
        var isHandedOver: Bool
    }

    /// Events in the order of the stages.
    struct Told: OptionSet, Sendable, Hashable {
        let rawValue: UInt8
        static let compressed = Told(rawValue: 1)
        static let sealed = Told(rawValue: 2)
        static let validated = Told(rawValue: 4)
        static let stored = Told(rawValue: 8)
        static let deleted = Told(rawValue: 16)

        /// The stage before this one.
        var previous: Told { Told(rawValue: rawValue >> 1) }
    }

    init(_ recorded: ChunkEvent.Recorded) {
        chunk = recorded.chunk
        content = recorded.content
        codec = recorded.codec
    }

    /// The trail of a chunk whose `ChunkRecorded` may be what cannot be read; nil for an event that says too
    /// little of it.
    init?(withoutRecorded event: ChunkEvent) {
        switch event {
        case .compressed(let payload): (content, codec) = (payload.content, payload.codec)
        case .sealed(let payload), .validated(let payload), .stored(let payload):
            (content, codec) = (payload.content, payload.codec)
        case .recorded, .failed, .deleted: return nil
        }
        chunk = event.chunk
    }
}

extension ChunkEvent.Sealed {
    /// The facts about the sealed file that are not the same as another event's: nil where all are.
    ///
    /// A stage that finds the chunk's file there already adopts it, whoever sealed it, and its events are
    /// about that file. So what stands behind a chunk that was handed on through the spool may be about
    /// another sealing of the same content; what was passed on in memory is the same.
    func difference(from earlier: ChunkEvent.Sealed) -> String? {
        if merkleHash != earlier.merkleHash {
            return "merkle_hash is \(merkleHash), not \(earlier.merkleHash)"
        }
        if sealedBytes != earlier.sealedBytes {
            return "sealed_bytes is \(sealedBytes), not \(earlier.sealedBytes)"
        }
        if codec != earlier.codec { return "codec is \(codec), not \(earlier.codec)" }
        if compressedBytes != earlier.compressedBytes {
            return "compressed_bytes is \(compressedBytes), not \(earlier.compressedBytes)"
        }
        return nil
    }
}

extension ChunkContent {
    /// The first fact that is not the same as another event's; nil when all are.
    func difference(from recorded: ChunkContent) -> String? {
        if sizeBytes != recorded.sizeBytes { return "size_bytes is \(sizeBytes), not \(recorded.sizeBytes)" }
        if digest != recorded.digest { return "content_digest is \(digest), not \(recorded.digest)" }
        if keyID != recorded.keyID { return "key_id is \(keyID), not \(recorded.keyID)" }
        if cipher != recorded.cipher { return "cipher is \(cipher), not \(recorded.cipher)" }
        return nil
    }
}
