import Base
import EventSourcing
import Recording
import Testing

/// Histories as Reel writes them, event by event, and what a forger makes of them.
struct LawfulHistory {
    static let sessionID = History.sessionID
    var facts: [RecordingEvent] = []
    private var state = SessionDecider.initial
    private let creation: SessionEvent.Created

    init(encrypted: Bool = true) throws {
        var storage = StorageConfig()
        storage.encryptionEnabled = encrypted
        creation = SessionEvent.Created(
            sessionID: Self.sessionID, name: "desk", rdp: RDPConfig(host: "10.0.0.7", username: "m"),
            recording: RecordingConfig(), storage: storage, metadata: SessionMetadata(),
            capture: CaptureConfig(source: .stream, chunkSizeBytes: 1024))
        try command(.create(creation))
    }

    /// A session with three chunks that is paused once, looked into and completed.
    static func completed(encrypted: Bool = true) throws -> LawfulHistory {
        var history = try LawfulHistory(encrypted: encrypted)
        try history.command(.start, .begin)
        try history.record(1)
        try history.command(.pause)
        try history.command(.update(SessionEvent.Updated(sessionID: sessionID)))
        try history.command(.resume)
        try history.record(2)
        history.chained(1)
        try history.record(3)
        try history.command(.stop(.endOfSource, incomplete: false))
        history.failed(2)
        history.handedOver(2)
        try history.command(.process)
        history.chained(3)
        try history.command(.complete(merkleRoot: History.hash(7)))
        try history.command(.exportKey(keyID: "key-1"))
        return history
    }

    static func deleted() throws -> LawfulHistory {
        var history = try completed()
        let verified = SessionEvent.Verified(
            sessionID: sessionID, outcome: .sound, trigger: .background, version: history.facts.count - 1,
            chunkCount: 3,
            bytesRead: 900, contentsOpened: true, merkleRoot: History.hash(7), durationMilliseconds: 5,
            findings: [], findingCount: 0)
        try history.command(
            .recordVerification(verified), .hold(caseName: "2026-17", reason: "asked for"),
            .liftHold(caseName: nil, reason: "over"),
            .delete(tagCounts: false))
        try history.command(.deleteChunks(through: 3))
        return history
    }

    mutating func add(_ fact: RecordingEvent) {
        SessionDecider.evolve(&state, fact)
        facts.append(fact)
    }

    mutating func command(_ commands: SessionCommand...) throws {
        for command in commands { for fact in try SessionDecider.decide(command, state) { add(fact) } }
    }

    mutating func record(_ number: Int) throws { try command(.recordChunk(recorded(number))) }

    func recorded(_ number: Int) -> ChunkEvent.Recorded {
        var recorded = History.recorded(number, bytes: 100 + number)
        if !creation.storage.encryptionEnabled { recorded.content.cipher = "none" }
        return recorded
    }

    func sealed(_ number: Int, hash: Int? = nil, path: String? = nil) -> ChunkEvent.Sealed {
        ChunkEvent.Sealed(
            chunk: recorded(number).chunk, content: recorded(number).content, codec: "zstd",
            compressedBytes: 50, sealedBytes: 300 + number, merkleHash: History.hash(hash ?? number),
            processingMilliseconds: 1, path: path)
    }

    func compressed(_ number: Int, spoolPath: String?) -> ChunkEvent.Compressed {
        ChunkEvent.Compressed(
            chunk: recorded(number).chunk, content: recorded(number).content, codec: "zstd",
            compressedBytes: 50, processingMilliseconds: 1, spoolPath: spoolPath)
    }

    static func storagePath(_ number: Int) -> String { "\(sessionID)/0000000\(number).reel" }

    /// A chunk that one worker has taken through all stages.
    mutating func chained(_ number: Int) {
        add(.chunk(.compressed(compressed(number, spoolPath: nil))))
        add(.chunk(.sealed(sealed(number))))
        add(.chunk(.validated(sealed(number))))
        add(.chunk(.stored(sealed(number, path: Self.storagePath(number)))))
    }

    /// A chunk that went from worker to worker.
    mutating func handedOver(_ number: Int, storedHash: Int? = nil) {
        add(.chunk(.compressed(compressed(number, spoolPath: "c"))))
        add(.chunk(.sealed(sealed(number, path: "s"))))
        add(.chunk(.validated(sealed(number, path: "s"))))
        add(.chunk(.stored(sealed(number, hash: storedHash, path: Self.storagePath(number)))))
    }

    mutating func failed(_ number: Int) {
        add(.chunk(.failed(recorded(number).chunk, stage: "encrypt", attempts: 3, causes: ["key: away"])))
    }

    /// The events as they stand in the log.
    var events: [RecordedEvent] { get throws { try Self.events(facts) } }

    static func events(_ facts: [RecordingEvent]) throws -> [RecordedEvent] {
        var first = 0
        return try facts.enumerated().map { index, fact in
            // The pipeline's steps are appended with what they follow from.
            if case .pipeline = fact {} else { first = index }
            var id = fact.eventID(command: "command-\(first)", index: index - first)
            if case .chunk(.failed) = fact { id += "/\(index)-0/abcd" }
            return RecordedEvent(
                event: try ProposedEvent(
                    fact, id: id, time: Timestamp(milliseconds: 1000),
                    context: EventContext(source: "/reel/test", actor: .system("test")), at: .newest),
                partitionKey: sessionID, sequence: UInt64(index + 1),
                position: LogPosition(partition: 3, milliseconds: 1000 + UInt64(index), counter: 0))
        }
    }
}

extension HistoryAudit {
    /// The audit of a whole history.
    static func of(_ events: [RecordedEvent]) -> HistoryAudit { of(entries: events.map(LogEntry.event)) }

    static func of(entries: [LogEntry]) -> HistoryAudit {
        var audit = HistoryAudit(of: LawfulHistory.sessionID)
        for entry in entries { audit.take(entry) }
        return audit.concluded()
    }
}

/// Sequences and positions as if nothing was taken out or put in.
func renumbered(_ events: [RecordedEvent]) -> [RecordedEvent] {
    events.enumerated().map { index, event in
        var event = event
        event.sequence = UInt64(index + 1)
        event.position = LogPosition(partition: 3, milliseconds: 1000 + UInt64(index), counter: 0)
        return event
    }
}
