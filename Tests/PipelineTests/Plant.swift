import Engine
import Base
import EventSourcing
import Foundation
import Pipeline
import Recording
import SessionContent
import RedisLog
import Simulation
import Supervision
import TestServers
import Testing
import ChunkFiles
import Sealing

/// Everything that records and seals, in a folder of its own that goes with it.
final class Plant {
    let folder: URL
    let log: any EventLog
    let vault: VaultAccess
    /// Where its workers tell what they do.
    let report: RoleLog
    private let stop = StopSignal()
    private var threads: [OwnThread<Void>] = []
    private let instance = UUID().uuidString

    /// - Parameter other: whose spool, chunk store and keys it uses; its own where nil.
    init(_ log: any EventLog, sharing other: Plant? = nil, report: RoleLog = .silent) throws {
        self.log = log
        self.report = report
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("reel-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        vault =
            try other?.vault
            ?? VaultAccess(
                spool: try Spool(root: folder.appendingPathComponent("spool").path),
                chunks: try ChunkStore(root: folder.appendingPathComponent("chunks").path),
                ring: try KeyRing.open(folder: folder.appendingPathComponent("keys").path),
                archive: InMemoryKeyArchive())
        try beat()
    }

    deinit {
        rest()
        try? FileManager.default.removeItem(at: folder)
    }

    /// Ends all of its workers, and waits until they have.
    func rest() {
        stop.set()
        for thread in threads { _ = thread.wait(milliseconds: 10_000) }
    }

    private func beat() throws {
        let (log, stop) = (log, stop)
        let mark = ConsumerName.mark(ofInstance: instance)
        let liveness = try log.liveness()
        try liveness.beat(mark, forMilliseconds: 10_000)
        try run("beat") {
            let liveness = try log.liveness()
            while !stop.isSet {
                try? liveness.beat(mark, forMilliseconds: 10_000)
                _ = stop.wait(milliseconds: 500)
            }
            // As a process does that ends by itself: others take over at once.
            try? liveness.end(mark)
        }
    }

    private func run(_ name: String, _ body: @escaping @Sendable () throws -> Void) throws {
        threads.append(try OwnThread(name: name, body))
    }

    /// What holds sessions back in this process; it follows the log from now on.
    func startGate() throws -> ProcessingGate {
        let (log, stop) = (log, stop)
        let gate = ProcessingGate(log: log, report: .silent)
        try run("gate") { try gate.run(stop: stop) }
        return gate
    }

    /// Carries out a command on a session.
    func command(_ command: SessionCommand, on id: String) throws {
        try Self.command(command, on: id, in: try log.open())
    }

    static func command(_ command: SessionCommand, on id: String, in store: any EventStore) throws {
        let handler = CommandHandler(session: id, store: store, clock: SystemClock())
        try handler.catchUp()
        try handler.handle(
            command, id: "test/\(UUID().uuidString)",
            context: EventContext(source: "/test", actor: .system("test")))
    }

    /// Starts a worker for each chain.
    func startWorkers(
        _ chains: [[StageName]], policy: RetryPolicy = RetryPolicy(baseMilliseconds: 5),
        log other: (any EventLog)? = nil, gate: ProcessingGate? = nil
    ) throws {
        for chain in chains {
            let (log, vault, stop, report) = (other ?? log, vault, stop, report)
            let consumer = ConsumerName(instance: instance, number: threads.count)
            try run("worker") {
                try StageWorker(
                    stage: ChunkStage(
                        chain: chain, log: log, vault: vault, levels: [:], clock: SystemClock()),
                    log: log, consumer: consumer, policy: policy, clock: SystemClock(), report: report,
                    gate: gate
                ) { delivery, reason throws(LogFailure) in
                    try ParkedChunk.events(for: delivery, reason, clock: SystemClock(), at: log.level)
                }.run(stop: stop)
            }
        }
    }

    func startCompletion() throws {
        let (log, stop, spool, report) = (log, stop, vault.spool, report)
        try run("completion") {
            let completion = SessionCompletion(spool: spool, clock: SystemClock(), report: report)
            try OrderedWorker(handler: completion, log: log, report: report).run(stop: stop)
        }
    }

    static func session(_ id: String, codec: String = "zstd", chunkBytes: Int) -> SessionEvent.Created {
        var recording = RecordingConfig()
        recording.compression = codec
        return SessionEvent.Created(
            sessionID: id, name: id, rdp: RDPConfig(host: "localhost", username: "tester"),
            recording: recording, storage: StorageConfig(), metadata: SessionMetadata(),
            capture: CaptureConfig(source: .file, chunkSizeBytes: chunkBytes))
    }

    /// Records bytes by way of a file.
    @discardableResult
    func record(
        _ bytes: [UInt8], as id: String, codec: String = "zstd", chunkBytes: Int = 4096,
        log other: (any EventLog)? = nil, configure: (inout RecordingOptions) -> Void = { _ in },
        spoolLimitBytes: Int? = nil, keys: (any KeyArchive)? = nil, stop: StopSignal = StopSignal(),
        progress: @escaping (RecordingProgress) -> Void = { _ in }
    ) throws -> RecordingSummary {
        var vault = vault
        if let keys { vault.archive = keys }
        if spoolLimitBytes != nil {
            vault.spool = try Spool(root: vault.spool.root, limitBytes: spoolLimitBytes)
        }
        let file = folder.appendingPathComponent("source-\(id)")
        try Data(bytes).write(to: file)
        var options = RecordingOptions(session: Self.session(id, codec: codec, chunkBytes: chunkBytes))
        configure(&options)
        let recorder = Recorder(
            log: other ?? log, vault: vault, clock: SystemClock(), actor: .system("test"),
            options: options, progress: progress)
        return try recorder.record(try ByteSource.file(file.path), stop: stop)
    }

    func state(of id: String) throws -> SessionState {
        let handler = CommandHandler(session: id, store: try log.open(), clock: SystemClock())
        try handler.catchUp()
        return handler.state
    }

    func events(of id: String) throws -> [RecordedEvent] {
        var events: [RecordedEvent] = []
        try log.open().forEach(of: id) { events.append($0) }
        return events
    }

    func audit(_ id: String) throws -> AuditReport {
        let auditor = SessionAuditor(
            store: try log.open(), chunks: vault.chunks, keys: try vault.openKeys())
        return try #require(try auditor.audit(id))
    }

    func export(_ id: String) throws -> [UInt8] {
        var bytes: [UInt8] = []
        try SessionExporter(store: try log.open(), chunks: vault.chunks, keys: try vault.openKeys())
            .export(id) { part, _ in bytes.append(contentsOf: part) }
        return bytes
    }

    /// Waits until the session is in `status`.
    func wait(for status: SessionStatus, of id: String) throws {
        try eventually("session \(id) is \(status)") { try state(of: id).status == status }
    }
}

extension Spool {
    /// Numbers of the recorded chunks that lie in a session's folder, in order.
    func sequences(session: String) throws -> [Int] {
        try recorded(session: session).map(\.sequence).sorted()
    }

    /// The path of the one file of recorded bytes that has this number.
    func file(_ sequence: Int, of session: String) throws -> String {
        let found = try recorded(session: session).filter { $0.sequence == sequence }
        try #require(found.count == 1, "found \(found), expected one file of chunk \(sequence)")
        return try path(relative: found[0].relative)
    }
}

/// Waits until `condition` holds, at most `seconds`.
func eventually(
    _ what: String, seconds: Int = 120, _ condition: () throws -> Bool
) throws {
    let pause = StopSignal()
    let deadline = ContinuousClock.now + .seconds(seconds)
    while !(try condition()) {
        try #require(ContinuousClock.now < deadline, "not within \(seconds) s: \(what)")
        _ = pause.wait(milliseconds: 5)
    }
}

/// Bytes that depend on `seed` alone; every other block repeats itself, so that compression has work.
func sampleBytes(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    return (0..<count).map { index in
        if (index / 4096) % 2 == 0 { return UInt8(truncatingIfNeeded: index / 7) }
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return UInt8(truncatingIfNeeded: state)
    }
}
