import Base
import EventSourcing
import Recording
import Testing
import ReadModels

@Suite("Read model folds")
struct FoldTests {
    /// A session whose events happen at the given seconds.
    private static func fold(_ facts: [(Double, RecordingEvent)]) throws -> SessionFold {
        var folded: SessionFold?
        for (place, (seconds, fact)) in facts.enumerated() {
            let stamp = EventStamp(
                time: Timestamp(milliseconds: Int64(seconds * 1000)), sequence: UInt64(place + 1),
                position: LogPosition(partition: 0, milliseconds: 1, counter: UInt64(place)))
            if var fold = folded {
                fold.evolve(fact, stamp)
                folded = fold
            } else {
                folded = SessionFold(fact, stamp)
            }
        }
        return try #require(folded)
    }

    private static let created = RecordingEvent.session(
        .created(
            SessionEvent.Created(
                sessionID: "s", name: "n", rdp: RDPConfig(host: "h", username: "u"),
                recording: RecordingConfig(), storage: StorageConfig(), metadata: SessionMetadata(),
                capture: CaptureConfig(source: .stream, chunkSizeBytes: 4096))))
    private static let starting = RecordingEvent.session(.started(sessionID: "s", status: .starting))
    private static let started = RecordingEvent.session(.started(sessionID: "s", status: .recording))
    private static let paused = RecordingEvent.session(.paused(sessionID: "s"))
    private static let resumed = RecordingEvent.session(.resumed(sessionID: "s"))
    private static let stopped = RecordingEvent.session(
        .stopped(
            SessionEvent.Stopped(
                sessionID: "s", reason: .requested, incomplete: false, chunkCount: 0, sizeBytes: 0)))

    @Test("a session's moments are those of its events, and its duration is that of its chunks")
    func moments() throws {
        let fold = try Self.fold([
            (0, Self.created), (5, Self.starting), (10, Self.started), (11, Self.recorded(1, 1)),
            (20.6, Self.paused), (100, Self.resumed), (101, Self.recorded(2, 1)), (200.7, Self.stopped),
            (900, Self.created),
        ])
        #expect(fold.session.statistics.durationSeconds == 2)
        #expect(fold.session.startedAt == Timestamp(milliseconds: 10_000))
        #expect(fold.session.stoppedAt == Timestamp(milliseconds: 200_700))
        #expect(fold.session.updatedAt == Timestamp(milliseconds: 900_000))
    }

    private static func sealed(_ number: Int, of size: Int, _ packed: Int) -> ChunkEvent.Sealed {
        ChunkEvent.Sealed(
            chunk: ChunkReference(sessionID: "s", sequenceNumber: number), content: content(size),
            codec: "zstd", compressedBytes: packed, sealedBytes: packed + 100,
            merkleHash: String(repeating: "a", count: 64), processingMilliseconds: 2, path: "s/1.reel")
    }

    private static func content(_ size: Int) -> ChunkContent {
        ChunkContent(
            sizeBytes: size, digest: String(repeating: "0", count: 64), keyID: "k",
            cipher: "xchacha20poly1305")
    }

    private static func recorded(_ number: Int, _ size: Int) -> RecordingEvent {
        .chunk(
            .recorded(
                ChunkEvent.Recorded(
                    chunk: ChunkReference(sessionID: "s", sequenceNumber: number), content: content(size),
                    codec: "zstd", capturedAt: Timestamp(milliseconds: 0), durationSeconds: 1,
                    frameCount: 30, spoolPath: "x")))
    }

    @Test("sizes, ratio, frames and errors are those of the chunks")
    func chunks() throws {
        let lost = ChunkEvent.failed(
            ChunkReference(sessionID: "s", sequenceNumber: 3), stage: "encrypt", attempts: 3,
            causes: ["no key"])
        let fold = try Self.fold([
            (0, Self.created), (0, Self.starting), (0, Self.started), (1, Self.recorded(1, 1000)),
            (2, .chunk(.stored(Self.sealed(1, of: 1000, 250)))), (2, Self.recorded(2, 3000)),
            (3, .chunk(.stored(Self.sealed(2, of: 3000, 750)))), (3, Self.recorded(3, 500)),
            (3, .chunk(lost)), (3, Self.stopped),
        ])
        let statistics = SessionStatistics(
            durationSeconds: 3, chunksCount: 3, sizeBytes: 4500, frameCount: 90, errorCount: 1,
            averageFPS: 30, compressionRatio: 0.25)
        #expect(fold.session.statistics == statistics)
        let pipeline = fold.pipeline.view
        let store = try #require(pipeline.stages.first { $0.name == "store" })
        #expect(store.itemsProcessed == 2 && store.processing_ms == 4 && store.throughputPerSecond == 500)
        let encrypt = try #require(pipeline.stages.first { $0.name == "encrypt" })
        #expect(encrypt.status == .error && encrypt.errorMessage == "no key" && encrypt.retryCount == 2)
        #expect(pipeline.overall.totalProcessing_ms == 4)
        #expect(pipeline.overall.errorRate == 1.0 / 3)
    }

    @Test("only a first event makes a view")
    func first() {
        let stamp = EventStamp(
            time: Timestamp(milliseconds: 0), sequence: 1, position: LogPosition.start(of: 0))
        #expect(SessionFold(Self.paused, stamp) == nil)
        #expect(SessionView(Self.paused, stamp) == nil)
        #expect(ChunkView(.stored(Self.sealed(1, of: 1, 1)), stamp) == nil)
    }
}
