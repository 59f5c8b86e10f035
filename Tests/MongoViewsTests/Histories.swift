import Base
import EventSourcing
import Recording
import Simulation
import ReadModels

/// Random but lawful histories of recorded sessions, the same for the same seed.
struct Histories {
    private var generator: SeededGenerator
    let partitioning: Partitioning
    private let prefix: String
    private var counters: [Int: UInt64] = [:]
    private var clock: Int64 = 1_700_000_000_000

    init(seed: UInt64, partitions: Int = 4, prefix: String = "sess") {
        generator = SeededGenerator(seed: seed)
        self.prefix = prefix
        partitioning = Partitioning(count: partitions) ?? Partitioning.one
    }

    /// The log of several sessions, woven into each other, in the order of the log.
    mutating func log(sessions: Int, chunks: ClosedRange<Int> = 0...6) -> [RecordedEvent] {
        var waiting = (0..<sessions).map { number in
            history(of: "\(prefix)-\(number)", chunks: Int.random(in: chunks, using: &generator))[...]
        }
        var log: [RecordedEvent] = []
        var sequences: [String: UInt64] = [:]
        while !waiting.isEmpty {
            let place = Int.random(in: waiting.indices, using: &generator)
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                guard let fact = waiting[place].popFirst() else { break }
                log.append(record(fact, "\(prefix)-", &sequences))
            }
            if waiting[place].isEmpty { waiting.remove(at: place) }
        }
        return log
    }

    /// A log cut into batches, some of them delivered again, as after a crash.
    mutating func redelivered(_ log: [RecordedEvent]) -> [[RecordedEvent]] {
        var batches: [[RecordedEvent]] = []
        var at = 0
        while at < log.count {
            let end = min(log.count, at + Int.random(in: 1...40, using: &generator))
            batches.append(Array(log[at..<end]))
            // Every third time the reader falls back behind what it has read already.
            let falls = Int.random(in: 0..<3, using: &generator) == 0
            at = falls ? max(0, end - Int.random(in: 0...60, using: &generator)) : end
            if falls, end == log.count, Bool.random(using: &generator) { at = end }
        }
        return batches
    }

    private mutating func record(
        _ fact: RecordingEvent, _ prefix: String, _ sequences: inout [String: UInt64]
    ) -> RecordedEvent {
        let session: String
        switch fact {
        case .session(let event): session = event.sessionID
        case .chunk(let event): session = event.chunk.sessionID
        case .pipeline(let step): session = step.sessionID
        }
        let sequence = (sequences[session] ?? 0) + 1
        sequences[session] = sequence
        let partition = partitioning.partition(of: session)
        let counter = (counters[partition] ?? 0) + 1
        counters[partition] = counter
        clock += Int64.random(in: 0...1_500, using: &generator)
        let event = ProposedEvent(
            sample: fact, id: "\(session)/\(sequence)", time: Timestamp(milliseconds: clock),
            context: EventContext(source: "/reel/test", actor: .system("test")))
        return RecordedEvent(
            event: event, partitionKey: session, sequence: sequence,
            position: LogPosition(partition: partition, milliseconds: 1_700_000_000_000, counter: counter))
    }

    private mutating func history(of id: String, chunks: Int) -> [RecordingEvent] {
        var created = SessionEvent.Created(
            sessionID: id, name: "Session \(id)", rdp: RDPConfig(host: "desk.example", username: "ann"),
            recording: RecordingConfig(), storage: StorageConfig(), metadata: SessionMetadata(),
            capture: CaptureConfig(source: .stream, chunkSizeBytes: 4096))
        created.metadata.project = Bool.random(using: &generator) ? "atlas" : nil
        created.metadata.tags = Bool.random(using: &generator) ? ["blue", "green"] : []
        var facts: [RecordingEvent] = [.session(.created(created))]
        var pipeline = PipelineState.created
        func step(_ trigger: PipelineTrigger) {
            guard let step = PipelineStep(sessionID: id, from: pipeline, trigger) else { return }
            pipeline = step.to
            facts.append(.pipeline(step))
        }
        facts.append(.session(.started(sessionID: id, status: .starting)))
        step(.start)
        facts.append(.session(.started(sessionID: id, status: .recording)))
        step(.startComplete)
        var size = 0
        var late: [RecordingEvent] = []
        for number in stride(from: 1, through: chunks, by: 1) {
            let work = chunk(ChunkReference(sessionID: id, sequenceNumber: number), size: &size)
            facts.append(work[0])
            // Stages are behind the recorder by up to a few chunks.
            late += work.dropFirst()
            let done = Int.random(in: 0...late.count, using: &generator)
            facts += late.prefix(done)
            late.removeFirst(done)
            guard Int.random(in: 0..<4, using: &generator) == 0 else { continue }
            facts.append(.session(.paused(sessionID: id)))
            step(.pause)
            step(.pauseComplete)
            facts.append(.session(.resumed(sessionID: id)))
            step(.resume)
        }
        facts.append(
            .session(
                .stopped(
                    SessionEvent.Stopped(
                        sessionID: id, reason: .endOfSource, incomplete: false, chunkCount: chunks,
                        sizeBytes: size))))
        step(.stop)
        facts.append(.session(.processing(sessionID: id, chunkCount: chunks)))
        facts += late
        if Int.random(in: 0..<5, using: &generator) == 0 {
            facts.append(.session(.failed(sessionID: id, error: "disk full")))
            step(.error)
        } else {
            facts.append(
                .session(
                    .completed(
                        SessionEvent.Completed(
                            sessionID: id, merkleRoot: String(repeating: "ab", count: 32), chunkCount: chunks,
                            sizeBytes: size, sealedBytes: size, incomplete: false))))
            step(.stopComplete)
        }
        return facts
    }

    private mutating func chunk(_ reference: ChunkReference, size: inout Int) -> [RecordingEvent] {
        let bytes = Int.random(in: 1...4096, using: &generator)
        let packed = Int.random(in: 1...bytes, using: &generator)
        size += bytes
        let content = ChunkContent(
            sizeBytes: bytes, digest: String(repeating: "0", count: 64), keyID: "key-\(reference.sessionID)",
            cipher: "xchacha20poly1305")
        let recorded = ChunkEvent.Recorded(
            chunk: reference, content: content, codec: "zstd", capturedAt: Timestamp(milliseconds: clock),
            durationSeconds: 1.25, frameCount: 30, spoolPath: "\(reference.chunkID).raw")
        if Int.random(in: 0..<8, using: &generator) == 0 {
            return [
                .chunk(.recorded(recorded)),
                .chunk(.failed(reference, stage: "compress", attempts: 3, causes: ["no memory"])),
            ]
        }
        var work: [RecordingEvent] = [
            .chunk(.recorded(recorded)),
            .chunk(
                .compressed(
                    ChunkEvent.Compressed(
                        chunk: reference, content: content, codec: "zstd", compressedBytes: packed,
                        processingMilliseconds: Double(bytes) / 7, spoolPath: nil))),
        ]
        let sealed = ChunkEvent.Sealed(
            chunk: reference, content: content, codec: "zstd", compressedBytes: packed,
            sealedBytes: packed + 300, merkleHash: String(repeating: "c", count: 64),
            processingMilliseconds: Double(bytes) / 3, path: "\(reference.chunkID).reel")
        work += [.chunk(.sealed(sealed)), .chunk(.validated(sealed)), .chunk(.stored(sealed))]
        return work
    }
}

extension Partitioning {
    fileprivate static let one: Partitioning = {
        guard let one = Partitioning(count: 1) else { preconditionFailure("one partition is allowed") }
        return one
    }()
}

/// What a log must have become: the fold of each session's and chunk's events, without any database.
struct Expected {
    var sessions: [String: SessionView] = [:]
    var pipelines: [String: PipelineView] = [:]
    var chunks: [String: ChunkView] = [:]
    var folds: [String: SessionFold] = [:]

    init(_ log: [RecordedEvent]) throws {
        var folds: [String: SessionFold] = [:]
        for event in log where !AuditRecord.isHistory(event.partitionKey) {
            let fact = try RecordingEvent(event)
            let stamp = EventStamp(event)
            if var fold = folds.removeValue(forKey: event.partitionKey) {
                fold.evolve(fact, stamp)
                folds[event.partitionKey] = fold
            } else {
                folds[event.partitionKey] = SessionFold(fact, stamp)
            }
            guard case .chunk(let chunk) = fact else { continue }
            if var view = chunks[chunk.chunk.chunkID] {
                view.evolve(chunk, stamp)
                chunks[chunk.chunk.chunkID] = view
            } else {
                chunks[chunk.chunk.chunkID] = ChunkView(chunk, stamp)
            }
        }
        self.folds = folds
        sessions = folds.mapValues(\.session)
        pipelines = folds.mapValues(\.pipeline.view)
    }

    /// The sums that must be kept.
    var totals: RecordingTotals {
        folds.values.reduce(into: RecordingTotals()) { $0.add(PartitionTotals(of: $1)) }
    }
}
