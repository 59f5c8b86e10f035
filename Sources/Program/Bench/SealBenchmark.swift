package import Pipeline
internal import Engine
internal import Base
package import EventSourcing
internal import Glibc
internal import Recording
internal import Supervision
internal import Sealing

/// How fast the sealing path is, from recorded to stored and durable, against the same work done by the C
/// libraries and the system alone.
package struct SealBenchmark: Sendable {
    /// What kind of bytes are sealed.
    package enum Content: String, Sendable, CaseIterable {
        /// Random bytes, as encoded video looks to a compressor.
        case incompressible
        /// Text-like bytes that shrink to about a quarter.
        case compressible
    }

    /// The figures of one kind of content.
    package struct Result: Sendable {
        /// What was sealed.
        package var content: Content
        /// Megabytes (10^6) a second, recorded to stored.
        package var rate: Double
        /// Megabytes (10^6) a second of the bare loop.
        package var ceiling: Double
        /// Chunks a minute.
        package var chunksPerMinute: Double
        /// Milliseconds of work on one chunk, all stages: median and 95th percentile.
        package var processingP50: Double
        /// See `processingP50`.
        package var processingP95: Double
        /// Milliseconds of work of each stage on one chunk, in the order of work.
        package var stages: [(name: String, p50: Double, p95: Double)]
        /// Milliseconds from the chunk's `ChunkRecorded` to its `ChunkStored`, 95th percentile.
        package var latencyP95: Double
        /// The codec's output against the original.
        package var compressionRatio: Double

        /// Rate against ceiling.
        package var ratio: Double { rate / ceiling }
    }

    /// Bytes of a chunk.
    package var chunkBytes: Int
    /// How many chunks are sealed in each run.
    package var chunkCount: Int
    /// Threads that seal; the recorder has one more.
    package var workers: Int
    /// Folder for the benchmark's files, on the disk that is to be measured.
    package var folder: String

    /// A benchmark that has not run yet.
    package init(chunkBytes: Int, chunkCount: Int, workers: Int, folder: String) {
        self.chunkBytes = chunkBytes
        self.chunkCount = chunkCount
        self.workers = workers
        self.folder = folder
    }

    /// Measures one kind of content. Blocks until it is done.
    /// - Parameter log: an empty log of its own; the benchmark's events stay in it.
    package func run(_ content: Content, log: any EventLog, vault: VaultAccess) throws -> Result {
        let source = try makeSource(content)
        defer { unlink(source) }
        let session = "bench-\(content.rawValue)-\(ULID.make(at: SystemClock().now()))"
        _ = try bareLoop(source, count: min(4, chunkCount))
        let ceilingBefore = try bareLoop(source, count: chunkCount)
        let elapsed = try reelLoop(source, session, log, vault)
        let ceilingAfter = try bareLoop(source, count: chunkCount)
        let megabytes = Double(chunkBytes * chunkCount) / 1e6
        var result = try readFigures(content, session, log)
        result.rate = megabytes / elapsed
        // The disk's mood changes; the ceiling is taken before and after, and the better one counts.
        result.ceiling = megabytes / min(ceilingBefore, ceilingAfter)
        result.chunksPerMinute = Double(chunkCount) / elapsed * 60
        return result
    }

    private func makeSource(_ content: Content) throws -> String {
        let path = "\(folder)/source-\(content.rawValue)"
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw SourceFailure(
                operation: "create", source: path, text: String(cString: strerror(errno)), isBadInput: false)
        }
        defer { close(descriptor) }
        var generator = SplitMix(state: 20_260_101)
        for _ in 0..<chunkCount {
            let bytes = content == .compressible ? text(&generator) : random(&generator)
            guard write(descriptor, bytes, bytes.count) == bytes.count else {
                throw SourceFailure(
                    operation: "write", source: path, text: String(cString: strerror(errno)),
                    isBadInput: false)
            }
        }
        fsync(descriptor)
        return path
    }

    private func random(_ generator: inout SplitMix) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: chunkBytes) { buffer, count in
            for index in stride(from: 0, to: chunkBytes, by: 8) {
                withUnsafeBytes(of: generator.next()) { word in
                    for offset in 0..<min(8, chunkBytes - index) { buffer[index + offset] = word[offset] }
                }
            }
            count = chunkBytes
        }
    }

    /// Words of a small vocabulary in random order, numbers in between.
    private func text(_ generator: inout SplitMix) -> [UInt8] {
        let words = (0..<512).map { _ in
            (0..<Int.random(in: 3...11, using: &generator)).map { _ in
                UInt8.random(in: 97...122, using: &generator)
            }
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(chunkBytes + 16)
        while bytes.count < chunkBytes {
            let draw = generator.next()
            if draw & 7 == 0 {
                bytes.append(contentsOf: String(draw >> 44).utf8)
            } else {
                bytes.append(contentsOf: words[Int(draw >> 32) & 511])
            }
            bytes.append(32)
        }
        return Array(bytes.prefix(chunkBytes))
    }

    private struct SplitMix: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }
}

extension SealBenchmark {
    /// Seconds for the bare loop: one thread records, the others seal, as Reel's do.
    private func bareLoop(_ source: String, count: Int) throws -> Double {
        let folder = "\(folder)/bare"
        mkdir(folder, 0o700)
        let recorded = Lock(0)
        let taken = Lock(0)
        let descriptor = open(source, O_RDONLY | O_CLOEXEC)
        defer { close(descriptor) }
        let (bytes, pause) = (chunkBytes, StopSignal())
        let began = ContinuousClock.now
        let recorder = try OwnThread(name: "bare-recorder") {
            let bare = try BareSealing(folder: folder, chunkBytes: bytes, level: 3)
            for number in 0..<count {
                try bare.record(number, from: descriptor)
                recorded.withLock { $0 += 1 }
            }
        }
        let sealers = try (0..<workers).map { number in
            try OwnThread(name: "bare-sealer-\(number)") {
                let bare = try BareSealing(folder: folder, chunkBytes: bytes, level: 3)
                while let next = taken.withLock({ next -> Int? in
                    guard next < count else { return nil }
                    next += 1
                    return next - 1
                }) {
                    while recorded.withLock({ $0 }) <= next, !recorder.isFinished {
                        _ = pause.wait(milliseconds: 1)
                    }
                    try bare.seal(next)
                }
            }
        }
        try recorder.join()
        for sealer in sealers { try sealer.join() }
        let elapsed = (ContinuousClock.now - began) / Duration.seconds(1)
        for number in 0..<count { unlink("\(folder)/\(number).sealed") }
        return elapsed
    }

    /// Seconds for Reel itself: recorder, log and chained stage workers.
    private func reelLoop(
        _ source: String, _ session: String, _ log: any EventLog, _ vault: VaultAccess
    ) throws -> Double {
        let stop = StopSignal()
        let clock = SystemClock()
        let chain = StageName.allCases
        let threads = try (0..<workers).map { number in
            let stage = ConsumerName(instance: session, number: number)
            return try OwnThread(name: "bench-worker-\(number)") {
                try StageWorker(
                    stage: ChunkStage(chain: chain, log: log, vault: vault, levels: [:], clock: clock),
                    log: log, consumer: stage, policy: RetryPolicy(), clock: clock, report: .silent
                ) { _, _ in [] }.run(stop: stop)
            }
        }
        defer {
            stop.set()
            for thread in threads { try? thread.join() }
        }
        let created = SessionEvent.Created(
            sessionID: session, name: session, rdp: RDPConfig(host: "localhost", username: "bench"),
            recording: RecordingConfig(), storage: StorageConfig(), metadata: SessionMetadata(),
            capture: CaptureConfig(source: .file, chunkSizeBytes: chunkBytes))
        let recorder = Recorder(
            log: log, vault: vault, clock: clock, actor: .system("bench"),
            options: RecordingOptions(session: created)
        ) { _ in }
        let began = ContinuousClock.now
        _ = try recorder.record(try ByteSource.file(source), stop: stop)
        let handler = CommandHandler(session: session, store: try log.open(), clock: clock)
        let quiet = StopSignal()
        repeat {
            try handler.catchUp()
            if handler.state.merkleHashes.count < chunkCount { _ = quiet.wait(milliseconds: 2) }
        } while handler.state.merkleHashes.count < chunkCount && !threads.contains { $0.isFinished }
        return (ContinuousClock.now - began) / Duration.seconds(1)
    }

    /// The figures that stand in the log.
    private func readFigures(_ content: Content, _ session: String, _ log: any EventLog) throws -> Result {
        var processing: [String: Double] = [:]
        var byStage: [StageName: [Double]] = [:]
        func add(_ milliseconds: Double, _ stage: StageName, _ chunk: String) {
            processing[chunk, default: 0] += milliseconds
            byStage[stage, default: []].append(milliseconds)
        }
        var recordedAt: [String: Int64] = [:]
        var latencies: [Double] = []
        var (original, compressed) = (0, 0)
        try log.open().forEach(of: session) { event in
            guard case .chunk(let chunk) = try RecordingEvent(event) else { return }
            switch chunk {
            case .recorded: recordedAt[event.subject] = event.time.milliseconds
            case .compressed(let payload):
                add(payload.processingMilliseconds, .compress, event.subject)
                original += payload.content.sizeBytes
                compressed += payload.compressedBytes
            case .sealed(let payload): add(payload.processingMilliseconds, .encrypt, event.subject)
            case .validated(let payload): add(payload.processingMilliseconds, .validate, event.subject)
            case .stored(let payload):
                add(payload.processingMilliseconds, .store, event.subject)
                if let began = recordedAt[event.subject] {
                    latencies.append(Double(event.time.milliseconds - began))
                }
            case .failed, .deleted: break
            }
        }
        let times = processing.values.sorted()
        func percentile(_ sorted: [Double], _ share: Double) -> Double {
            sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
        }
        return Result(
            content: content, rate: 0, ceiling: 0, chunksPerMinute: 0,
            processingP50: percentile(times, 0.5), processingP95: percentile(times, 0.95),
            stages: StageName.allCases.map { stage in
                let times = (byStage[stage] ?? []).sorted()
                return (stage.rawValue, percentile(times, 0.5), percentile(times, 0.95))
            },
            latencyP95: percentile(latencies.sorted(), 0.95),
            compressionRatio: original == 0 ? 0 : Double(compressed) / Double(original))
    }
}
