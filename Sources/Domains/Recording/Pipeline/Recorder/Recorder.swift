package import Base
package import EventSourcing
internal import Intake
internal import Recording
internal import SessionContent
package import Supervision
internal import Files
internal import Sealing

/// Records a source as one session, by the intake that all sources have in common: a chunk is durable in the
/// spool before its `ChunkRecorded` is appended, and acknowledged once that is durable in the log. Memory is
/// a piece of a chunk, whatever the source's length. One thread.
package final class Recorder {
    /// The source is read in pieces of at most this size.
    private static let pieceBytes = 1 << 20
    private static let lookMilliseconds = 250
    private static let holdMilliseconds = 100
    /// So long the log is still waited for once the recording is to end. What it does not know then is
    /// stopped by whoever watches over recorders.
    private static let endingMilliseconds = 1000

    private let log: any EventLog
    private let vault: VaultAccess
    private let clock: any WallClock
    private let options: RecordingOptions
    private let context: EventContext
    private let progress: RecorderProgress

    /// A recorder that has done nothing yet.
    /// - Parameter progress: called after every acknowledged chunk and when it begins to wait.
    package init(
        log: any EventLog, vault: VaultAccess, clock: any WallClock, actor: Actor,
        options: RecordingOptions, progress: @escaping (RecordingProgress) -> Void
    ) {
        self.log = log
        self.vault = vault
        self.clock = clock
        self.options = options
        self.progress = RecorderProgress(progress)
        context = EventContext(source: "/reel/recorder", actor: actor)
    }

    private var sessionID: String { options.session.sessionID }

    /// Makes the session, records the source to its end or until `stop` is set, and stops the session.
    package func record(_ source: ByteSource, stop: StopSignal) throws(RecordingFailure) -> RecordingSummary {
        let violations = options.session.violations
        guard violations.isEmpty else { throw .rejected(.invalid(violations)) }
        let (key, history, intake, mark): (SessionKey, SingleSessionLog, ChunkIntake, RecorderMarkKeeper)
        let hasBegun: Bool
        do { hasBegun = try source.begin(stop: stop) } catch { throw .source(error) }
        guard hasBegun else { throw .interrupted }
        do {
            let handler = CommandHandler(session: sessionID, store: try log.open(), clock: clock)
            history = SingleSessionLog(handler)
            intake = self.intake(history)
            try intake.requireBeginning()
            key = try history.withHandler { try begin($0, stop) }
            mark = try RecorderMarkKeeper(session: sessionID, log: log)
        } catch let error as CommandError<SessionRejection> {
            throw Self.openingFailure(error)
        } catch {
            throw .failed(error, kept: nil)
        }
        defer { mark.end() }
        progress.state.totalBytes = source.totalBytes
        let reason: SessionEvent.StopReason
        do { reason = try take(source, intake, key, stop) } catch {
            let cause = cause(of: error)
            // Whoever goes on with it stops it, too.
            if !Self.isElsewhere(cause) {
                _ = try? intake.closing(sessionID, context: context)
                _ = try? close(history, .recorderFailed, stop) { true }
            }
            throw .failed(cause, kept: summary(.recorderFailed, incomplete: true))
        }
        // Others may have sent chunks of this session, too.
        var closing = try? patiently(stop) { try intake.closing(sessionID, context: context) }
        defer { closing?.end() }
        return try close(history, reason, stop) {
            // The log may have been away for longer than what was found can be relied on.
            if closing?.isOld ?? true { closing = try? intake.closing(sessionID, context: context) }
            return reason != .endOfSource || closing?.isIncomplete ?? true
        }
    }

    private func intake(_ history: SingleSessionLog) -> ChunkIntake {
        var limits = IntakeLimits()
        limits.chunkBytes = options.session.capture.chunkSizeBytes
        limits.chunkMilliseconds = options.maximumChunkMilliseconds
        limits.chunksAhead = options.maximumChunksAhead
        limits.bytesAhead = options.maximumBytesAhead
        limits.roomMilliseconds = nil
        limits.logMilliseconds = options.patienceMilliseconds
        return ChunkIntake(
            log: history, spool: vault.spool, clock: clock, diskGuard: options.diskGuard, limits: limits)
    }

    /// Makes the key and the session, waiting a little for servers that are just being started again.
    private func begin(_ handler: CommandHandler<SessionDecider>, _ stop: StopSignal) throws -> SessionKey {
        let command = "\(sessionID)/open/\(ULID.make(at: clock.now()))"
        let deadline = ContinuousClock.now + .milliseconds(options.openingMilliseconds)
        var backoff = Backoff(firstMilliseconds: 100, limitMilliseconds: 1000)
        while true {
            let failure: any Error
            do {
                let key = try vault.openKeys().make(forSession: sessionID, at: clock.now())
                try open(handler, as: command)
                return key
            } catch let error as CommandError<SessionRejection> {
                guard case .failed(let inner) = error, inner.isTransient else { throw error }
                failure = error
            } catch let error as any TransientFailure where error.isTransient {
                failure = error
            }
            if ContinuousClock.now >= deadline || stop.wait(milliseconds: backoff.next()) { throw failure }
        }
    }

    /// Does something that looks at the log, waiting for a while until it is there again; not once `stop` is
    /// set.
    private func patiently<Answer>(_ stop: StopSignal, _ body: () throws -> Answer) throws -> Answer {
        let deadline = Machine.now + .milliseconds(options.patienceMilliseconds)
        var backoff = Backoff(firstMilliseconds: 100, limitMilliseconds: 2000)
        while true {
            do {
                let answer = try body()
                progress.waits(for: nil)
                return answer
            } catch {
                guard let failure = cause(of: error) as? LogFailure, Self.mayPass(failure),
                    Machine.now < deadline
                else { throw error }
                progress.waits(for: "the log: \(failure.text)")
                guard !stop.wait(milliseconds: backoff.next()) else { throw error }
            }
        }
    }

    private static func mayPass(_ failure: LogFailure) -> Bool {
        failure.mayEnd && failure.kind != .lostHistory
    }

    private func open(
        _ handler: CommandHandler<SessionDecider>, as command: String
    ) throws(CommandError<SessionRejection>) {
        try handler.catchUp()
        // In one append: a recorder that dies leaves a session that is recording, or none at all. The id
        // is this recorder's own, so that of two that take the same session id one is refused.
        try handler.handle(
            [.create(options.session), .start, .begin],
            id: command, context: context)
    }

    /// Takes the whole source in; answers why it ended.
    private func take(
        _ source: ByteSource, _ intake: ChunkIntake, _ key: SessionKey, _ stop: StopSignal
    ) throws -> SessionEvent.StopReason {
        var order = StreamOrder(session: sessionID, context: context)
        order.offset = 0
        order.promisedBytes = source.totalBytes
        order.whilePaused = options.whilePaused ?? (source.totalBytes == nil ? .drop : .hold)
        order.maximumBytes = options.maximumBytes
        order.stop = stop
        order.observer = progress
        order.arrivesInRealTime = options.session.capture.source != .file
        let stream = try patiently(stop) { try intake.openStream(order, key: key) }
        do {
            let reason = try copy(source, to: stream, waiting: order.whilePaused == .hold, stop)
            _ = try stream.finish()
            return reason
        } catch IntakeRefusal.paused where stop.isSet {
            stream.breakOff()
            return .interrupted
        } catch {
            stream.breakOff()
            throw error
        }
    }

    private func copy(
        _ source: ByteSource, to stream: StreamWriter, waiting: Bool, _ stop: StopSignal
    ) throws -> SessionEvent.StopReason {
        let buffer = ScratchBuffer(capacity: Self.pieceBytes)
        var looked = Machine.now
        while !stop.isSet {
            if waiting, stream.isHeld {
                progress.waits(for: "the recording to be resumed")
                stream.look()
                stop.wait(milliseconds: Self.holdMilliseconds)
                continue
            }
            buffer.removeAll()
            var reading = ByteSource.Reading.nothingYet
            try buffer.appendUninitialized(min(Self.pieceBytes, stream.wantedBytes)) { target in
                reading = try source.read(into: target, waitMilliseconds: 200)
                guard case .bytes(let count) = reading else { return 0 }
                return count
            }
            switch reading {
            case .bytes: try buffer.withBytes { try stream.write($0) }
            case .end: return .endOfSource
            case .nothingYet: break
            }
            if Machine.now - looked >= .milliseconds(Self.lookMilliseconds) {
                stream.look()
                looked = Machine.now
            }
        }
        return .interrupted
    }

    // MARK: - The end

    private func close(
        _ history: SingleSessionLog, _ reason: SessionEvent.StopReason, _ stop: StopSignal,
        incomplete: () -> Bool
    ) throws(RecordingFailure) -> RecordingSummary {
        var backoff = Backoff(limitMilliseconds: 2000)
        var deadline = Machine.now + .milliseconds(options.patienceMilliseconds)
        var isEnding = false
        var isIncomplete = true
        while true {
            // Asked anew with each try.
            let command = SessionCommand.stop(reason, incomplete: incomplete())
            do throws(CommandError<SessionRejection>) {
                try history.withHandler { handler throws(CommandError<SessionRejection>) in
                    try handler.catchUp()
                    // After an append of unknown outcome the session may be stopped already.
                    let status = handler.state.status
                    if status == .recording || status == .paused {
                        try handler.handle(command, id: "\(sessionID)/stop", context: context)
                    }
                    isIncomplete = handler.state.incomplete
                }
                progress.waits(for: nil)
                return summary(reason, incomplete: isIncomplete)
            } catch {
                if stop.isSet, !isEnding {
                    isEnding = true
                    deadline = min(deadline, Machine.now + .milliseconds(Self.endingMilliseconds))
                }
                guard case .failed(let failure) = error, Self.mayPass(failure), Machine.now < deadline
                else { throw .failed(cause(of: error), kept: summary(.recorderFailed, incomplete: true)) }
                progress.waits(for: "the log: \(failure.text)")
                (isEnding ? StopSignal() : stop).wait(milliseconds: isEnding ? 100 : backoff.next())
            }
        }
    }

    private func summary(_ reason: SessionEvent.StopReason, incomplete: Bool) -> RecordingSummary {
        RecordingSummary(
            sessionID: sessionID, chunks: progress.state.chunks, bytes: progress.state.bytes, reason: reason,
            incomplete: incomplete)
    }

    /// What ended a recording, in its own words.
    private func cause(of error: any Error) -> any Error {
        switch error {
        case CommandError<SessionRejection>.rejected(let rejection): rejection
        case CommandError<SessionRejection>.failed(let failure): failure
        case CommandError<SessionRejection>.malformed(let event): event
        case IntakeRefusal.sizeLimit:
            SizeLimit(
                maximumBytes: options.maximumBytes, maxSizeGB: options.session.storage.maxSizeGB)
        default: error
        }
    }

    /// Whether somebody else has gone on with the recording.
    private static func isElsewhere(_ error: any Error) -> Bool {
        switch error {
        case IntakeRefusal.takenOver, SessionRejection.outOfPlace: true
        default: false
        }
    }

    private static func openingFailure(_ error: CommandError<SessionRejection>) -> RecordingFailure {
        switch error {
        case .rejected(let rejection): .rejected(rejection)
        case .failed(let failure): .failed(failure, kept: nil)
        case .malformed(let event): .failed(event, kept: nil)
        }
    }
}

/// What a recorder has come to, for whoever looks on.
///
/// `@unchecked`: the recorder's one thread alone writes to its stream, looks after it, and is told here.
private final class RecorderProgress: StreamObserver, @unchecked Sendable {
    private static let tellMilliseconds = 500

    var state = RecordingProgress()
    private var toldAt = Machine.now
    private let tell: (RecordingProgress) -> Void

    init(_ tell: @escaping (RecordingProgress) -> Void) { self.tell = tell }

    func recorded(chunks: Int, bytes: Int) {
        (state.chunks, state.bytes, state.waitingFor) = (chunks, bytes, nil)
        tell(state)
    }

    /// Some waits look many times a second; whoever looks on is told now and then that it still waits.
    func waits(for reason: String?) {
        let now = Machine.now
        guard state.waitingFor != reason || now - toldAt >= .milliseconds(Self.tellMilliseconds) else {
            return
        }
        (state.waitingFor, toldAt) = (reason, now)
        if reason != nil { tell(state) }
    }
}
