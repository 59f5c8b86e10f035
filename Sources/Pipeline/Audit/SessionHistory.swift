public import EventSourcing
public import Recording
internal import Vault

/// What the log says of one session, read from its beginning.
public struct SessionHistory {
    /// The folded state.
    public private(set) var state = SessionState()
    /// The stored chunks in sequence order, as their `ChunkStored` describes them.
    public private(set) var stored: [ChunkEvent.Sealed] = []
    /// Where the log contradicts itself, or cannot be read.
    public private(set) var contradictions: [Finding] = []
    /// The first entry of it that cannot be read.
    public private(set) var hole: UnreadableHole?

    /// Reads a session's history; nil when there is none.
    public init?(of session: String, in store: any EventStore) throws {
        var expected: UInt64 = 1
        var chunkFiles: [Int: ChunkEvent.Sealed] = [:]
        var seen: Set<String> = []
        var found: [Finding] = []
        var folded = SessionState()
        var firstHole: UnreadableHole?
        try store.forEachEntry(of: session) { entry in
            let event: RecordedEvent
            switch entry {
            case .event(let read): event = read
            case .unreadable(let hole):
                firstHole = firstHole ?? hole
                found.append(Finding(kind: .log, subject: session, text: "\(hole)"))
                expected = hole.sequence + 1
                return
            }
            if event.sequence != expected {
                found.append(
                    Finding(
                        kind: .log, subject: session,
                        text: "sequence \(event.sequence) stands where \(expected) belongs"))
            }
            expected = event.sequence + 1
            if !seen.insert(event.id).inserted {
                found.append(Finding(kind: .log, subject: session, text: "event \(event.id) stands twice"))
            }
            let fact = try RecordingEvent(event)
            if case .chunk(.stored(let sealed)) = fact { chunkFiles[sealed.chunk.sequenceNumber] = sealed }
            SessionDecider.evolve(&folded, fact)
        }
        guard expected > 1 else { return nil }
        stored = chunkFiles.values.sorted { $0.chunk.sequenceNumber < $1.chunk.sequenceNumber }
        contradictions = found
        state = folded
        hole = firstHole
    }

    /// Whether the chunks that are known are all there are. Where something cannot be read, it may have been
    /// of another chunk: then the root alone tells, which was made of all of them.
    var isWhole: Bool {
        guard hole != nil else { return true }
        let leaves = stored.compactMap { Digest(hex: $0.merkleHash) }
        return leaves.count == stored.count && state.merkleRoot == MerkleTree(leafHashes: leaves).root.hex
    }
}
