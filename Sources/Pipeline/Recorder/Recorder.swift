public import EventSourcing
internal import Recording
internal import SessionContent
public import Supervision
internal import Vault

/// Cuts a source into chunks. A chunk is durable in the spool before its `ChunkRecorded` is appended,
/// and acknowledged once that is durable in the log. Memory is one chunk, whatever the source's length.
/// One thread.
public final class Recorder {
    private let log: any EventLog
    private let spool: Spool
    private let keys: SessionKeys
    private let clock: any WallClock
    private let options: RecordingOptions
    private let progress: (RecordingProgress) -> Void

    private let context: EventContext
    private let buffer: ScratchBuffer
    private var state = RecordingProgress()

    /// A recorder that has done nothing yet.
    /// - Parameter progress: called after every acknowledged chunk and when it begins to wait.
    public init(
        log: any EventLog, vault: VaultAccess, clock: any WallClock, actor: Actor,
        options: RecordingOptions, progress: @escaping (RecordingProgress) -> Void
    ) throws {
        self.log = log
        self.spool = vault.spool
        self.keys = try vault.openKeys()
        self.clock = clock
        self.options = options
        self.progress = progress
        context = EventContext(source: "/reel/recorder", actor: actor)
        buffer = ScratchBuffer(capacity: options.session.capture.chunkSizeBytes)
    }

    /// What a chunk's event needs of the session's key.
    private struct Sealing {
        var keyID: String
        var digester: HMACSHA256
    }

    private var sessionID: String { options.session.sessionID }

    /// Makes the session, records the source to its end or until `stop` is set, and stops the session.
    public func record(_ source: ByteSource, stop: StopSignal) throws(RecordingFailure) -> RecordingSummary {
        let violations = options.session.violations
        guard violations.isEmpty else { throw .rejected(.invalid(violations)) }
        let key: SessionKey
        let handler: CommandHandler<SessionDecider>
        let mark: RecorderMarkKeeper
        try refuseShortage()
        let hasBegun: Bool
        do { hasBegun = try source.begin(stop: stop) } catch { throw .source(error) }
        guard hasBegun else { throw .interrupted }
        do {
            handler = CommandHandler(session: sessionID, store: try log.open(), clock: clock)
            key = try begin(handler, stop)
            mark = try RecorderMarkKeeper(session: sessionID, log: log)
        } catch let error as CommandError<SessionRejection> {
            throw Self.failure(error, kept: nil)
        } catch {
            throw .failed(error, kept: nil)
        }
        defer { mark.end() }
        state.totalBytes = source.totalBytes
        do {
            let reason = try cut(
                source, Sealing(keyID: key.keyID, digester: key.contentDigester()), handler, stop)
            return try close(handler, reason, incomplete: reason != .endOfSource, stop)
        } catch {
            _ = try? close(handler, .recorderFailed, incomplete: true, stop)
            throw error
        }
    }

    /// Makes the key and the session, waiting a little for servers that are just being started again.
    private func begin(_ handler: CommandHandler<SessionDecider>, _ stop: StopSignal) throws -> SessionKey {
        let command = "\(sessionID)/open/\(ULID.make(at: clock.now()))"
        let deadline = ContinuousClock.now + .milliseconds(options.openingMilliseconds)
        var backoff = Backoff(baseMilliseconds: 100, capMilliseconds: 1000)
        while true {
            let failure: any Error
            do {
                let key = try keys.make(forSession: sessionID, at: clock.now())
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

    private func close(
        _ handler: CommandHandler<SessionDecider>, _ reason: SessionEvent.StopReason, incomplete: Bool,
        _ stop: StopSignal
    ) throws(RecordingFailure) -> RecordingSummary {
        let command = SessionCommand.stop(reason, incomplete: incomplete)
        try patiently(handler, stop) { () throws(CommandError<SessionRejection>) in
            // After an append of unknown outcome the session may be stopped already.
            if let status = handler.state.status, status != .recording, status != .paused { return }
            try handler.handle(command, id: "\(sessionID)/stop", context: context)
        }
        return summary(reason)
    }

    private func summary(_ reason: SessionEvent.StopReason) -> RecordingSummary {
        RecordingSummary(sessionID: sessionID, chunks: state.chunks, bytes: state.bytes, reason: reason)
    }

    /// Reads and records chunk after chunk; answers why it ended.
    private func cut(
        _ source: ByteSource, _ sealing: Sealing, _ handler: CommandHandler<SessionDecider>,
        _ stop: StopSignal
    ) throws(RecordingFailure) -> SessionEvent.StopReason {
        while true {
            // One byte more than is left shows whether the source has more.
            let left = options.maximumBytes - state.bytes
            let size = min(options.session.capture.chunkSizeBytes, max(1, left))
            buffer.removeAll()
            var began: Timestamp?
            var ended = false
            while buffer.count < size, !stop.isSet, !ended {
                var reading = ByteSource.Reading.nothingYet
                do throws(SourceFailure) {
                    try buffer.appendUninitialized(size - buffer.count) { target throws(SourceFailure) in
                        reading = try source.read(into: target, waitMilliseconds: 200)
                        guard case .bytes(let count) = reading else { return 0 }
                        return count
                    }
                } catch { throw .source(error) }
                let now = clock.now()
                if case .bytes = reading, began == nil { began = now }
                if case .end = reading { ended = true }
                if let began,
                    now.milliseconds(since: began) >= Int64(options.maximumChunkMilliseconds)
                {
                    break
                }
            }
            if left <= 0, !buffer.isEmpty {
                let limit = SizeLimit(
                    maximumBytes: options.maximumBytes, maxSizeGB: options.session.storage.maxSizeGB)
                throw .failed(limit, kept: summary(.recorderFailed))
            }
            if !buffer.isEmpty {
                try recordChunk(sealing, handler, began: began ?? clock.now(), stop)
            }
            // What was in hand is recorded: the reserve has room for it.
            if !ended, let room = try tightestDisk(), room.state == .closing {
                throw .failed(DiskShortage(room), kept: summary(.recorderFailed))
            }
            if ended { return .endOfSource }
            if stop.isSet { return .interrupted }
        }
    }

    private func recordChunk(
        _ sealing: Sealing, _ handler: CommandHandler<SessionDecider>, began: Timestamp, _ stop: StopSignal
    ) throws(RecordingFailure) {
        try holdBack(handler, stop)
        let ended = clock.now()
        let chunk = ChunkReference(sessionID: sessionID, sequenceNumber: state.chunks + 1)
        let recorded: ChunkEvent.Recorded
        do {
            let digest = buffer.withBytes(sealing.digester.authenticate)
            let path = try writeChunk(chunk.sequenceNumber, stop)
            recorded = ChunkEvent.Recorded(
                chunk: chunk,
                content: ChunkContent(
                    sizeBytes: buffer.count, digest: digest.hex, keyID: sealing.keyID,
                    cipher: options.cipher),
                codec: options.codec, capturedAt: began,
                durationSeconds: duration(from: began, to: ended),
                frameCount: 0, spoolPath: path)
        } catch { throw .failed(error, kept: summary(.recorderFailed)) }
        try patiently(handler, stop) { () throws(CommandError<SessionRejection>) in
            // After an append of unknown outcome the chunk may be in the log already.
            guard handler.state.chunkCount < chunk.sequenceNumber else { return }
            try handler.handle(.recordChunk(recorded), id: chunk.chunkID, context: context)
        }
        state.chunks += 1
        state.bytes += buffer.count
        progress(state)
    }

    /// Seconds of media: a stream's are those in which it came; when a file was read says nothing about it.
    private func duration(from began: Timestamp, to ended: Timestamp) -> Double {
        guard options.session.capture.source != .file else { return 0 }
        return Double(max(0, ended.milliseconds(since: began))) / 1000
    }

    /// Writes the chunk in hand to the spool. Where the quota over all recorders leaves no room, waits for
    /// chunks to be stored: the source waits too. Once `stop` is set it is written all the same: what was
    /// read is kept.
    private func writeChunk(_ number: Int, _ stop: StopSignal) throws(StorageFailure) -> String {
        while true {
            do throws(StorageFailure) {
                let path = try buffer.withBytes { bytes throws(StorageFailure) in
                    try spool.write(
                        bytes, session: sessionID, sequence: number, kind: .raw, beyondLimit: stop.isSet)
                }
                state.waitingFor = nil
                return path
            } catch {
                guard case .full(_, let limit, _, _) = error else { throw error }
                if state.waitingFor == nil {
                    state.waitingFor = "room in the spool, whose quota is \(limit >> 20) MiB"
                    progress(state)
                }
                // Of several that wait none must always be too late.
                _ = stop.wait(milliseconds: Machine.random(in: 20...100))
            }
        }
    }

    /// Refuses to begin while less is free than is kept in reserve, or the spool has no room for a chunk.
    private func refuseShortage() throws(RecordingFailure) {
        do throws(StorageFailure) {
            try spool.requireRoom(for: options.session.capture.chunkSizeBytes)
        } catch { throw .failed(error, kept: nil) }
        guard let room = try tightestDisk(), room.state != .open else { return }
        throw .failed(DiskShortage(room), kept: nil)
    }

    private func tightestDisk() throws(RecordingFailure) -> DiskGuard.Room? {
        do { return try options.diskGuard?.tightest() } catch {
            throw .failed(error, kept: state.chunks > 0 ? summary(.recorderFailed) : nil)
        }
    }

    /// Waits while too much is recorded and not yet stored, so that the spool stays bounded. While a disk is
    /// short, one chunk is too much: storing it frees its place in the spool.
    private func holdBack(
        _ handler: CommandHandler<SessionDecider>, _ stop: StopSignal
    ) throws(RecordingFailure) {
        let size = max(1, options.session.capture.chunkSizeBytes)
        let limit = max(1, min(options.maximumChunksAhead, options.maximumBytesAhead / size))
        func allowed() throws(RecordingFailure) -> Int {
            (try tightestDisk()?.state ?? .open) == .open ? limit : 1
        }
        // A chunk that was given up waits for people; recording must not wait for them too.
        func ahead() -> Int {
            state.chunks - handler.state.merkleHashes.count - handler.state.failures.count
        }
        guard ahead() >= (try allowed()) else { return }
        try patiently(handler, stop) { () throws(CommandError<SessionRejection>) in try handler.catchUp() }
        while ahead() >= (try allowed()), !stop.isSet {
            if state.waitingFor == nil {
                let isShort = ahead() < limit
                state.waitingFor =
                    isShort ? "chunks to be stored, for a disk is short" : "processing to catch up"
                progress(state)
            }
            _ = stop.wait(milliseconds: 50)
            try patiently(handler, stop) { () throws(CommandError<SessionRejection>) in try handler.catchUp()
            }
        }
        state.waitingFor = nil
    }

    /// Milliseconds for which the log is still waited for once `stop` is set. What it does not know then is
    /// stopped by whoever watches over recorders.
    private static let endingMilliseconds = 1_000

    /// Does something on the log, waiting for as long as the options allow until it is there again, or an
    /// operator has put right what keeps it from being used.
    private func patiently(
        _ handler: CommandHandler<SessionDecider>, _ stop: StopSignal,
        _ body: () throws(CommandError<SessionRejection>) -> Void
    ) throws(RecordingFailure) {
        var backoff = Backoff(capMilliseconds: 2000)
        var deadline = Machine.now + .milliseconds(options.patienceMilliseconds)
        let quiet = StopSignal()
        var isEnding = false
        var isRepetition = false
        while true {
            do throws(CommandError<SessionRejection>) {
                if isRepetition { try handler.catchUp() }
                try body()
                state.waitingFor = nil
                return
            } catch {
                if stop.isSet, !isEnding {
                    isEnding = true
                    deadline = min(deadline, Machine.now + .milliseconds(Self.endingMilliseconds))
                }
                guard case .failed(let failure) = error, failure.mayEnd, failure.kind != .lostHistory,
                    Machine.now < deadline
                else { throw Self.failure(error, kept: summary(.recorderFailed)) }
                isRepetition = true
                state.waitingFor = "the log: \(failure.text)"
                progress(state)
                _ = isEnding ? quiet.wait(milliseconds: 100) : stop.wait(milliseconds: backoff.next())
            }
        }
    }

    private static func failure(
        _ error: CommandError<SessionRejection>, kept: RecordingSummary?
    ) -> RecordingFailure {
        switch error {
        case .rejected(let rejection): .rejected(rejection)
        case .failed(let failure): .failed(failure, kept: kept)
        case .malformed(let event): .failed(event, kept: kept)
        }
    }
}
