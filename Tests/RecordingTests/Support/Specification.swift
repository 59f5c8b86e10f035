import Base
import Recording
import Testing

/// Given these facts, when this command comes, then these facts follow, or this rejection.
struct Specification {
    private let history: [RecordingEvent]
    private let outcome: Result<[RecordingEvent], SessionRejection>

    /// The state that the facts lead to.
    static func state(after facts: [RecordingEvent]) -> SessionState {
        var state = SessionDecider.initial
        for fact in facts { SessionDecider.evolve(&state, fact) }
        return state
    }

    private init(_ history: [RecordingEvent], _ command: SessionCommand) {
        self.history = history
        let state = Self.state(after: history)
        do { outcome = .success(try SessionDecider.decide(command, state)) } catch {
            outcome = .failure(error)
        }
    }

    /// What came before; `when` says what is asked.
    struct Given {
        fileprivate let history: [RecordingEvent]

        /// Gives the command to the decider.
        func when(_ command: SessionCommand) -> Specification { Specification(history, command) }
    }

    /// The state that everything leads to, the outcome included.
    var state: SessionState { Self.state(after: history + ((try? outcome.get()) ?? [])) }

    /// Exactly these facts follow.
    @discardableResult
    func then(_ facts: RecordingEvent..., at location: SourceLocation = #_sourceLocation) -> Specification {
        #expect(outcome == .success(facts), sourceLocation: location)
        return self
    }

    /// It is refused for exactly this reason.
    @discardableResult
    func thenRejected(
        _ rejection: SessionRejection, at location: SourceLocation = #_sourceLocation
    ) -> Specification {
        #expect(outcome == .failure(rejection), sourceLocation: location)
        return self
    }
}

/// The facts that came before.
func given(_ history: [RecordingEvent]) -> Specification.Given { Specification.Given(history: history) }

/// Histories that lead to each state, told with facts alone, without the decider.
enum History {
    static let sessionID = "sess-01JD3XQ4N8V7Z2M5K9R6T0W1YB"

    static let creation = SessionEvent.Created(
        sessionID: sessionID, name: "desk", rdp: RDPConfig(host: "10.0.0.7", username: "m"),
        recording: RecordingConfig(), storage: StorageConfig(), metadata: SessionMetadata(),
        capture: CaptureConfig(source: .stream, chunkSizeBytes: 1024))

    static func recorded(_ number: Int, bytes: Int = 100) -> ChunkEvent.Recorded {
        ChunkEvent.Recorded(
            chunk: ChunkReference(sessionID: sessionID, sequenceNumber: number),
            content: ChunkContent(
                sizeBytes: bytes, digest: String(repeating: "0", count: 64), keyID: "key-1",
                cipher: "xchacha20poly1305"),
            codec: "zstd", capturedAt: Timestamp(milliseconds: 1_000), durationSeconds: 1, frameCount: 0,
            spoolPath: "\(number)")
    }

    static func stored(_ number: Int, sealedBytes: Int = 60) -> ChunkEvent.Sealed {
        let recorded = recorded(number)
        return ChunkEvent.Sealed(
            chunk: recorded.chunk, content: recorded.content, codec: "zstd", compressedBytes: 50,
            sealedBytes: sealedBytes, merkleHash: hash(number), processingMilliseconds: 1, path: "x")
    }

    static func verified(
        _ outcome: VerificationOutcome, findings: [String] = [], opened: Bool? = nil
    ) -> SessionEvent.Verified {
        SessionEvent.Verified(
            sessionID: sessionID, outcome: outcome, trigger: .command, version: 9, chunkCount: 2,
            bytesRead: 120, contentsOpened: opened ?? (outcome == .sound), merkleRoot: hash(0),
            durationMilliseconds: 5, findings: findings, findingCount: findings.count)
    }

    static func hash(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: 64 - digits.count) + digits
    }

    static func step(_ from: PipelineState, _ trigger: PipelineTrigger) throws -> RecordingEvent {
        .pipeline(try #require(PipelineStep(sessionID: sessionID, from: from, trigger)))
    }

    static func stopped(
        _ reason: SessionEvent.StopReason = .requested, incomplete: Bool = false, chunks: Int, bytes: Int
    ) -> RecordingEvent {
        .session(
            .stopped(
                SessionEvent.Stopped(
                    sessionID: sessionID, reason: reason, incomplete: incomplete, chunkCount: chunks,
                    sizeBytes: bytes)))
    }

    /// Facts after which the session is in `status`, with `chunks` recorded and stored chunks where the
    /// state allows any.
    static func leading(to status: SessionStatus?, chunks: Int = 0) throws -> [RecordingEvent] {
        guard let status else { return [] }
        let created: [RecordingEvent] = [.session(.created(creation))]
        let starting =
            created + [.session(.started(sessionID: sessionID, status: .starting))]
            + [try step(.created, .start)]
        let recording =
            starting + [.session(.started(sessionID: sessionID, status: .recording))]
            + [try step(.starting, .startComplete)]
            + stride(from: 1, through: chunks, by: 1).map { .chunk(.recorded(recorded($0))) }
        let paused =
            recording + [.session(.paused(sessionID: sessionID))]
            + [try step(.active, .pause), try step(.pausing, .pauseComplete)]
        let stopped =
            recording + [stopped(chunks: chunks, bytes: 100 * chunks), try step(.active, .stop)]
        let processing =
            stopped + [.session(.processing(sessionID: sessionID, chunkCount: chunks))]
            + stride(from: 1, through: chunks, by: 1).map { .chunk(.stored(stored($0))) }
        switch status {
        case .created: return created
        case .starting: return starting
        case .recording: return recording
        case .paused: return paused
        case .stopped: return stopped
        case .processing: return processing
        case .completed:
            let completed = SessionEvent.Completed(
                sessionID: sessionID, merkleRoot: hash(0), chunkCount: chunks, sizeBytes: 100 * chunks,
                sealedBytes: 60 * chunks, incomplete: false)
            return processing + [
                .session(.merkleRootComputed(sessionID: sessionID, root: hash(0), leafCount: chunks)),
                .session(.completed(completed)), try step(.stopping, .stopComplete),
            ]
        case .failed:
            return processing + [.session(.failed(sessionID: sessionID, error: "disk"))]
                + [try step(.stopping, .error)]
        case .deleted: return created + [.session(.deleted(sessionID: sessionID))]
        }
    }
}
