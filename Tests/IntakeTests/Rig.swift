import Base
import EventSourcing
import Foundation
import Intake
import Recording
import Simulation
import Supervision
import Testing
import ChunkFiles
import Files
import Sealing

/// The log of a process, which can be held up and cut off.
final class HeldLog: IntakeLog, @unchecked Sendable {
    private let log: any EventLog
    private let sessions = Lock<[String: SingleSessionLog]>([:])
    /// Called before each chunk is put to the log.
    let beforeRecording = Lock<(@Sendable (ChunkEvent.Recorded) throws -> Void)?>(nil)
    /// Called after each chunk that the log has taken.
    let afterRecording = Lock<(@Sendable () throws -> Void)?>(nil)
    /// Nothing of it can be read.
    let isAway = Lock(false)
    let recordings = Lock(0)

    init(_ log: any EventLog) { self.log = log }

    private func history(_ session: String) throws -> SingleSessionLog {
        try sessions.withLock { sessions in
            if let known = sessions[session] { return known }
            let made = SingleSessionLog(
                CommandHandler(session: session, store: try log.open(), clock: SystemClock()))
            sessions[session] = made
            return made
        }
    }

    func look(at session: String) throws -> SessionState {
        guard isAway.withLock({ !$0 }) else { throw Self.away }
        return try history(session).look(at: session)
    }

    static let away = LogFailure(.unreachable, operation: "look", key: "", text: "")

    func record(
        _ chunk: ChunkEvent.Recorded, at offset: Int?, context: EventContext
    ) throws -> (isNew: Bool, state: SessionState) {
        recordings.withLock { $0 += 1 }
        try beforeRecording.withLock { $0 }?(chunk)
        guard isAway.withLock({ !$0 }) else { throw Self.away }
        let answer = try history(chunk.chunk.sessionID).record(chunk, at: offset, context: context)
        try afterRecording.withLock { $0 }?()
        return answer
    }
}

/// One process that takes chunks in.
final class TestProcess {
    let log: HeldLog
    let intake: ChunkIntake
    private let stop = StopSignal()
    private var thread: OwnThread<Void>?

    fileprivate init(_ log: any EventLog, _ root: String, _ limits: IntakeLimits) throws {
        self.log = HeldLog(log)
        intake = ChunkIntake(
            log: self.log, spool: try Spool(root: root), clock: SystemClock(), diskGuard: nil, limits: limits)
        let (intake, stop) = (intake, stop)
        thread = try OwnThread(name: "intake") { try intake.run(stop: stop) }
    }

    /// Nobody looks after its streams any more, as if it were frozen.
    func freeze() {
        stop.set()
        _ = thread?.wait(milliseconds: 10_000)
        thread = nil
    }

    deinit { freeze() }
}

/// A session that records, and processes that take its chunks.
final class Rig {
    static let session = "s"
    static let context = EventContext(source: "/test", actor: .system("test"))

    let log = InMemoryEventLog(partitions: 1)
    let root: String
    let spool: Spool
    let key: SessionKey
    private let folder: URL
    var limits = IntakeLimits()

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("intake-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        root = folder.appendingPathComponent("spool").path
        spool = try Spool(root: root)
        key = try SessionKey.generate(sessionID: Self.session)
        limits.chunkBytes = 16
        limits.handoverMilliseconds = 1000
        try command(.create(Self.created), .start, .begin)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    private static var created: SessionEvent.Created {
        SessionEvent.Created(
            sessionID: session, name: session, rdp: RDPConfig(host: "h", username: "u"),
            recording: RecordingConfig(), storage: StorageConfig(), metadata: SessionMetadata(),
            capture: CaptureConfig(source: .stream, chunkSizeBytes: 1024))
    }

    /// Another process on the same log and spool.
    func process(_ change: (inout IntakeLimits) -> Void = { _ in }) throws -> TestProcess {
        var limits = limits
        change(&limits)
        return try TestProcess(log, root, limits)
    }

    func handler() throws -> CommandHandler<SessionDecider> {
        let handler = CommandHandler(
            session: Self.session, store: try log.open(), clock: SystemClock())
        try handler.catchUp()
        return handler
    }

    func command(_ commands: SessionCommand...) throws {
        try handler().handle(commands, id: "test/\(UUID().uuidString)", context: Self.context)
    }

    var state: SessionState { get throws { try handler().state } }

    /// Opens a stream.
    func open(
        _ process: TestProcess, at offset: Int? = nil, _ change: (inout StreamOrder) -> Void = { _ in }
    ) throws -> StreamWriter {
        var order = StreamOrder(session: Self.session, context: Self.context)
        order.offset = offset
        change(&order)
        return try process.intake.openStream(order, key: key)
    }

    /// Begins a chunk with a number.
    func chunk(_ number: Int, _ process: TestProcess, length: Int? = nil) throws -> NumberedChunk {
        let upload = ChunkUpload(
            chunk: ChunkReference(sessionID: Self.session, sequenceNumber: number),
            capturedAt: SystemClock().now())
        return try process.intake.openChunk(upload, length: length, key: key, context: Self.context)
    }

    /// Takes a chunk with a number, and answers what became of it.
    @discardableResult
    func put(_ text: String, as number: Int, _ process: TestProcess) throws -> NumberedChunk.Outcome {
        let chunk = try chunk(number, process, length: text.utf8.count)
        try chunk.write(text)
        return try chunk.finish().0
    }

    /// Stops the session as the session API does; answers whether it is incomplete.
    @discardableResult
    func stop(_ process: TestProcess) throws -> Bool {
        let closing = try process.intake.closing(Self.session, context: Self.context)
        defer { closing.end() }
        let isMissing = closing.isIncomplete
        try command(.stop(.requested, incomplete: isMissing))
        try process.intake.end(Self.session)
        return isMissing
    }

    /// Somebody records chunks and does not look for what waits: he died before he came to that.
    func record(_ numbers: ClosedRange<Int>) throws {
        for number in numbers {
            let chunk = ChunkReference(sessionID: Self.session, sequenceNumber: number)
            let content = ChunkContent(
                sizeBytes: 5, digest: String(repeating: "0", count: 64), keyID: key.keyID, cipher: "none")
            try command(
                .recordChunk(
                    ChunkEvent.Recorded(
                        chunk: chunk, content: content, codec: "none", capturedAt: SystemClock().now(),
                        durationSeconds: 0, frameCount: 0, spoolPath: "\(Self.session)/\(number)")))
        }
    }

    /// A chunk is given up by a stage, so that the next one has room.
    func giveUp(chunk number: Int) throws {
        let chunk = ChunkReference(sessionID: Self.session, sequenceNumber: number)
        let event = ChunkEvent.failed(chunk, stage: "store", attempts: 1, causes: ["test"])
        let proposed = ProposedEvent(
            sample: event, id: "failed/\(number)", time: SystemClock().now(), context: Self.context)
        _ = try log.open().append([AppendBatch(to: Self.session, expecting: .any, [proposed])])
    }

    /// Makes a file of the spool look as if nobody had touched it for two hours.
    func age(_ relative: String) throws {
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSinceNow: -7200)], ofItemAtPath: "\(root)/\(relative)")
    }

    /// The recorded bytes, from the files that the events name.
    var media: String {
        get throws {
            let buffer = ScratchBuffer()
            var text = ""
            for event in log.allEvents() where event.type == "ChunkRecorded" {
                guard case .chunk(.recorded(let chunk)) = try RecordingEvent(event) else { continue }
                try spool.read(chunk.spoolPath, expectedBytes: chunk.content.sizeBytes, into: buffer)
                text += String(decoding: buffer.copyBytes(), as: UTF8.self)
            }
            return text
        }
    }
}

extension StreamWriter {
    func write(_ text: String) throws { try Array(text.utf8).withUnsafeBytes { try write($0) } }
}

extension NumberedChunk {
    func write(_ text: String) throws { try Array(text.utf8).withUnsafeBytes { try write($0) } }
}

/// Waits until `condition` holds, at most `seconds`.
func eventually(_ what: String, seconds: Int = 60, _ condition: () throws -> Bool) throws {
    let pause = StopSignal()
    let deadline = ContinuousClock.now + .seconds(seconds)
    while !(try condition()) {
        try #require(ContinuousClock.now < deadline, "not within \(seconds) s: \(what)")
        _ = pause.wait(milliseconds: 5)
    }
}

/// What `body` throws; a failure of the test where it throws nothing.
func refusal(
    _ source: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) -> (any Error)? {
    do { try body() } catch { return error }
    Issue.record("nothing was refused", sourceLocation: source)
    return nil
}
