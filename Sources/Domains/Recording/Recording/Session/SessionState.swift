/// What is known of one session: the fold of its history.
package struct SessionState: Sendable, Hashable {
    /// Its id; empty before it exists.
    package internal(set) var sessionID = ""
    /// Its state; nil before it exists.
    package internal(set) var status: SessionStatus?
    /// State of its pipeline.
    package internal(set) var pipeline: PipelineState = .created
    /// Whether its pipeline was paused by itself, which holds back the processing of its chunks.
    package internal(set) var isHeld = false
    /// What may be changed of it; nil before it exists.
    package internal(set) var description: SessionDescription?
    /// Recorded chunks; they are numbered 1...chunkCount.
    package internal(set) var chunkCount = 0
    /// Sum of their recorded bytes.
    package internal(set) var sizeBytes = 0
    /// Whether something of the source is missing.
    package internal(set) var incomplete = false
    /// Leaf hash of each stored chunk, by sequence number.
    package internal(set) var merkleHashes: [Int: String] = [:]
    /// Sum of the sealed files' bytes.
    package internal(set) var sealedBytes = 0
    /// Chunks that a stage gave up, with its error.
    package internal(set) var failures: [Int: String] = [:]
    /// The Merkle root, once computed.
    package internal(set) var merkleRoot: String?

    /// The cases that hold it, in the order in which they were set.
    package internal(set) var legalHolds: [String] = []
    /// Whether what it was held for by its tag has become a case.
    var isTagTakenOver = false

    /// Chunks of the deleted session whose files are gone: 1...deletedThrough.
    package internal(set) var deletedThrough = 0
    /// A fingerprint of each recorded chunk's content, in the order of their numbers.
    var fingerprints: [UInt64] = []
    /// A fingerprint of the spool's file that each recorded chunk was described with, in the same order.
    var spooled: [UInt64] = []
    /// The ids of chunks that do not have the usual one.
    var ownChunkIDs: [Int: String] = [:]

    /// Where the recording goes on.
    package var nextPlace: StreamPlace { StreamPlace(sequenceNumber: chunkCount + 1, offset: sizeBytes) }

    /// Whether nothing more will be recorded and every chunk is stored.
    package var isEverythingStored: Bool {
        (status == .stopped || status == .processing) && merkleHashes.count == chunkCount
    }

    /// The leaf hashes in order; nil while one is missing.
    package var orderedMerkleHashes: [String]? {
        guard merkleHashes.count == chunkCount else { return nil }
        var hashes: [String] = []
        hashes.reserveCapacity(chunkCount)
        for number in stride(from: 1, through: chunkCount, by: 1) {
            guard let hash = merkleHashes[number] else { return nil }
            hashes.append(hash)
        }
        return hashes
    }

    /// The cases that keep it from being deleted.
    /// - Parameter tagCounts: whether the tag still keeps a session (`HoldTag`).
    package func holdingCases(tagCounts: Bool) -> [String] {
        let isTagged = description?.metadata.tags.contains(HoldTag.name) ?? false
        return legalHolds + (tagCounts && isTagged && !isTagTakenOver ? [HoldTag.caseName] : [])
    }

    /// A session that does not exist yet.
    package init() {}
}
