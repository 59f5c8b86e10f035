public import EventSourcing
public import Recording

/// What the log says of one session, read from its beginning.
public struct SessionHistory {
    /// The folded state.
    public private(set) var state = SessionState()
    /// The stored chunks in sequence order, as their `ChunkStored` describes them.
    public private(set) var stored: [ChunkEvent.Sealed] = []
    /// Where the log contradicts itself.
    public private(set) var contradictions: [Finding] = []

    /// Reads a session's history; nil when there is none.
    public init?(of session: String, in store: any EventStore) throws {
        var expected: UInt64 = 1
        var chunkFiles: [Int: ChunkEvent.Sealed] = [:]
        var seen: Set<String> = []
        var found: [Finding] = []
        var folded = SessionState()
        try store.forEach(of: session) { event in
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
    }
}
