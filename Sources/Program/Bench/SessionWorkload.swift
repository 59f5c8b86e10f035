internal import Base
package import EventSourcing
internal import Recording
internal import Console

/// Sessions as recorders and chained stages write them, many at a time: what benchmarks fill a log with.
package struct SessionWorkload {
    private static let chunksPerSession = 20
    private static let chunkBytes = 1 << 20
    /// Sessions that record at the same time.
    private static let together = 64

    private struct Session {
        var id: String
        var batches: ArraySlice<[RecordingEvent]>
    }

    private let events: Int
    private let context = EventContext(source: "/reel/bench", actor: .system("bench"))
    private var running: [Session] = []
    /// Events that were made so far.
    package private(set) var made = 0
    /// Sessions that were begun so far.
    private(set) var sessions = 0

    /// - Parameter events: how many to make; rounded up to whole sessions.
    package init(events: Int) { self.events = events }

    /// - Parameter count: sessions to make.
    package init(sessions count: Int) { events = count * (6 + 5 * Self.chunksPerSession) }

    /// What all running sessions do next, a batch each; nil when there is nothing more.
    package mutating func next() -> [AppendBatch]? {
        while running.count < Self.together, made < events {
            let id = "bench-\(sessions)"
            running.append(Session(id: id, batches: Self.history(of: id)[...]))
            sessions += 1
        }
        if running.isEmpty { return nil }
        var batches: [AppendBatch] = []
        for place in running.indices {
            guard let facts = running[place].batches.popFirst() else { continue }
            let session = running[place]
            let time = Timestamp(milliseconds: 1_760_000_000_000 + Int64(made))
            let proposed = facts.enumerated().map { index, fact in
                ProposedEvent(
                    benchmarking: fact, id: "\(session.id)/\(session.batches.count)/\(index)", time: time,
                    context: context)
            }
            made += proposed.count
            batches.append(AppendBatch(to: session.id, expecting: .any, proposed))
        }
        running.removeAll { $0.batches.isEmpty }
        return batches
    }

    /// Appends what `next` answered.
    package static func append(_ batches: [AppendBatch], to store: any EventStore) throws {
        for outcome in try store.append(batches) {
            guard case .appended = outcome else {
                throw CommandFailure(.dependency, "the log for the benchmark could not be written")
            }
        }
    }

    /// Looks as random as real digests do: they are most of what an archive has to keep.
    private static func digest(_ id: String, _ number: Int, _ what: String) -> String {
        Hexadecimal.text(SHA256.digest(of: "\(id)/\(number)/\(what)".utf8))
    }

    /// What a session begins with: three events, in one batch.
    package static func opening(of id: String) -> AppendBatch { batch(begin(id), to: id, "opening") }

    /// One more event of it: a chunk was recorded.
    package static func recording(_ number: Int, of id: String) -> AppendBatch {
        batch([recorded(number, of: id)], to: id, "\(number)")
    }

    private static func batch(_ facts: [RecordingEvent], to id: String, _ mark: String) -> AppendBatch {
        let (time, context) = (
            SystemClock().now(), EventContext(source: "/reel/bench", actor: .system("bench"))
        )
        let proposed = facts.enumerated().map { index, fact in
            ProposedEvent(
                benchmarking: fact, id: "\(id)/\(mark)/\(index)", time: time, context: context)
        }
        return AppendBatch(to: id, expecting: .any, proposed)
    }

    private static func begin(_ id: String) -> [RecordingEvent] {
        let created = SessionEvent.Created(
            sessionID: id, name: "Session \(id)", rdp: RDPConfig(host: "desk.example", username: "ann"),
            recording: RecordingConfig(), storage: StorageConfig(), metadata: SessionMetadata(),
            capture: CaptureConfig(source: .stream, chunkSizeBytes: 1 << 20))
        return [
            .session(.created(created)), .session(.started(sessionID: id, status: .starting)),
            .session(.started(sessionID: id, status: .recording)),
        ]
    }

    private static func content(_ number: Int, of id: String) -> ChunkContent {
        ChunkContent(
            sizeBytes: chunkBytes, digest: digest(id, number, "content"), keyID: "key-\(id)",
            cipher: "xchacha20poly1305")
    }

    private static func recorded(_ number: Int, of id: String) -> RecordingEvent {
        .chunk(
            .recorded(
                ChunkEvent.Recorded(
                    chunk: ChunkReference(sessionID: id, sequenceNumber: number),
                    content: content(number, of: id), codec: "zstd",
                    capturedAt: Timestamp(milliseconds: 1_760_000_000_000), durationSeconds: 2.5,
                    frameCount: 75, spoolPath: "\(id)/\(number).raw")))
    }

    private static func history(of id: String) -> [[RecordingEvent]] {
        var batches = [begin(id)]
        for number in 1...chunksPerSession {
            let chunk = ChunkReference(sessionID: id, sequenceNumber: number)
            let (content, size) = (content(number, of: id), chunkBytes)
            batches.append([recorded(number, of: id)])
            let compressed = ChunkEvent.Compressed(
                chunk: chunk, content: content, codec: "zstd", compressedBytes: size / 3,
                processingMilliseconds: 4.25, spoolPath: nil)
            let sealed = ChunkEvent.Sealed(
                chunk: chunk, content: content, codec: "zstd", compressedBytes: size / 3,
                sealedBytes: size / 3 + 300, merkleHash: digest(id, number, "leaf"),
                processingMilliseconds: 1.5, path: "\(id)/\(number).reel")
            batches.append([
                .chunk(.compressed(compressed)), .chunk(.sealed(sealed)), .chunk(.validated(sealed)),
                .chunk(.stored(sealed)),
            ])
        }
        let total = chunkBytes * chunksPerSession
        batches.append([
            .session(
                .stopped(
                    SessionEvent.Stopped(
                        sessionID: id, reason: .endOfSource, incomplete: false, chunkCount: chunksPerSession,
                        sizeBytes: total))),
            .session(.processing(sessionID: id, chunkCount: chunksPerSession)),
            .session(
                .completed(
                    SessionEvent.Completed(
                        sessionID: id, merkleRoot: digest(id, 0, "root"),
                        chunkCount: chunksPerSession, sizeBytes: total, sealedBytes: total / 3,
                        incomplete: false))),
        ])
        return batches
    }
}
