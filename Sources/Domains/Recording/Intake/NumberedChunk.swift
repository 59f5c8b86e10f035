internal import Base
public import EventSourcing
public import Recording
internal import Supervision
public import Vault

/// One chunk that comes with its number, piece by piece. One caller at a time, which ends it by `finish` or
/// `breakOff`.
public final class NumberedChunk {
    /// What has become of it.
    public enum Outcome: Sendable {
        /// It is in the log.
        case recorded
        /// It was there already, with the same content.
        case present
        /// It waits for this number.
        case held(waitingFor: Int)
    }

    private let intake: ChunkIntake
    private let upload: ChunkUpload
    private let context: EventContext
    private let digest = SHA256()
    private var writer: ChunkWriter?
    /// Whether it was there already when it began.
    private let isKnown: Bool

    fileprivate init(
        _ intake: ChunkIntake, _ upload: ChunkUpload, _ context: EventContext, isKnown: Bool,
        _ writer: ChunkWriter
    ) {
        self.intake = intake
        self.upload = upload
        self.context = context
        self.isKnown = isKnown
        self.writer = writer
    }

    private var session: String { upload.chunk.sessionID }
    private var number: Int { upload.chunk.sequenceNumber }

    /// Takes the next bytes.
    public func write(_ bytes: UnsafeRawBufferPointer) throws {
        digest.update(bytes)
        try intake.explaining(session) { try writer?.write(bytes) }
    }

    /// All of it has come: records it, or has it wait for its turn.
    public func finish() throws -> (Outcome, ChunkEvent.Recorded) {
        guard let writer else { throw StorageFailure.missing(path: "chunk \(number) of \(session)") }
        self.writer = nil
        guard writer.byteCount > 0 else {
            throw RequestFailure.invalid([Violation("body", "must not be empty")])
        }
        do {
            if let expected = upload.digest, expected != digest.finish().hex {
                throw RequestFailure.invalid([
                    Violation("sha256", "is not the digest of the bytes that arrived")
                ])
            }
            return try intake.explaining(session) {
                let chunk = try writer.finish(
                    as: upload.chunk, capturedAt: upload.capturedAt, durationSeconds: upload.durationSeconds,
                    frameCount: upload.frameCount, droppedFrames: upload.droppedFrames,
                    qualityScore: upload.qualityScore)
                return (try intake.take(chunk, context), chunk)
            }
        } catch {
            noteMissing()
            throw error
        }
    }

    /// The rest will not come.
    public func breakOff() {
        guard writer != nil else { return }
        writer = nil
        noteMissing()
    }

    private func noteMissing() { if !isKnown { intake.noteMissing(number, of: session) } }
}

/// Chunks that come with their numbers: recorded in their order. One that comes too early waits in the spool,
/// for whichever process records the one before it.
extension ChunkIntake {
    /// Begins to take a chunk; looks at everything that can be known before its bytes.
    /// - Parameters:
    ///   - length: its length; nil where nobody knows.
    ///   - key: the session's; asked for once it is known that the session takes chunks.
    public func openChunk(
        _ upload: ChunkUpload, length: Int?, key: @autoclosure () throws -> SessionKey,
        context: EventContext
    ) throws -> NumberedChunk {
        let (session, number) = (upload.chunk.sessionID, upload.chunk.sequenceNumber)
        let state = try log.look(at: session)
        guard let description = state.description else { throw SessionRejection.notFound }
        let violations = upload.chunk.violations
        guard violations.isEmpty else { throw RequestFailure.invalid(violations) }
        // One that is there already is compared with it, in whatever state the session is by now.
        let isKnown = state.chunk(number) != nil
        if isKnown {
            guard state.chunk(number) == upload.chunk else {
                throw SessionRejection.chunkTaken(number: number)
            }
        } else {
            try Self.requireRecording(state)
            guard number <= state.chunkCount + 1 + ChunkUpload.window else {
                throw SessionRejection.outOfOrder(expected: state.chunkCount + 1, got: number)
            }
        }
        let key = try key()
        do {
            if !isKnown { try requireProgress(of: state) }
            try requireRoom(for: isKnown ? 0 : length ?? 1, in: state)
            // Chunks that have to wait leave room for the one that they wait for.
            let isEarly = number > state.chunkCount + 1
            let file = try explaining(session) {
                try spool.begin(
                    session: session, byteCount: length ?? limits.chunkBytes,
                    leaving: isEarly ? limits.chunkBytes : 0, for: number)
            }
            let writer = ChunkWriter(
                file, description, keyID: key.keyID, digester: key.contentDigester())
            return NumberedChunk(self, upload, context, isKnown: isKnown, writer)
        } catch {
            // Its sender has it, and it is not taken: unless it comes again, the recording lacks it.
            if !isKnown, !(error is SessionRejection) {
                try? spool.makeFolder(of: session)
                noteMissing(number, of: session)
            }
            throw error
        }
    }

    /// Without a folder the session is over.
    fileprivate func noteMissing(_ number: Int, of session: String) {
        try? StreamNotes(spool, session).lacks(number)
    }

    /// Records a chunk whose bytes are durable, or has it wait. What is not taken is removed.
    fileprivate func take(
        _ chunk: ChunkEvent.Recorded, _ context: EventContext
    ) throws -> NumberedChunk.Outcome {
        let state = try log.look(at: chunk.chunk.sessionID)
        if chunk.chunk.sequenceNumber > state.chunkCount + 1, state.status == .recording {
            return try hold(chunk, context)
        }
        do {
            guard try record(chunk, context) else { return .present }
        } catch let rejection as SessionRejection {
            discard(chunk.spoolPath)
            throw rejection
        }
        try recordHeld(chunk.chunk.sessionID, context: context)
        return .recorded
    }

    /// False when it was there already.
    private func record(_ chunk: ChunkEvent.Recorded, _ context: EventContext) throws -> Bool {
        do {
            let (isNew, state) = try log.record(chunk, at: nil, context: context)
            if isNew { return true }
            // Another process may have recorded this very file, which waited.
            let isOwn = state.isRecorded(from: chunk.spoolPath, as: chunk.chunk.sequenceNumber)
            if !isOwn { discard(chunk.spoolPath) }
            return false
        } catch CommandError<SessionRejection>.rejected(let rejection) {
            guard case .notFound = rejection else { throw rejection }
            throw SessionRejection.noChunkTaken(by: try log.look(at: chunk.chunk.sessionID))
        }
    }

    private func hold(
        _ chunk: ChunkEvent.Recorded, _ context: EventContext
    ) throws -> NumberedChunk.Outcome {
        let (session, number) = (chunk.chunk.sessionID, chunk.chunk.sequenceNumber)
        if let other = try held(session, number: number) {
            discard(chunk.spoolPath)
            guard other.chunk == chunk.chunk, other.content == chunk.content else {
                throw SessionRejection.chunkTaken(number: number)
            }
        } else {
            let path = try HeldChunk(chunk).bytes.withUnsafeBytes { bytes in
                try spool.write(bytes, by: HeldChunk.kind, of: chunk.spoolPath, sequence: number)
            }
            let state = try log.look(at: session)
            // A stream has got there first.
            if number <= state.chunkCount, !state.holds(chunk) {
                discard(path)
                discard(chunk.spoolPath)
                throw SessionRejection.chunkTaken(number: number)
            }
        }
        // Whoever records the one before it looks for what waits after that; this is for the case that it
        // looked just before this one lay there.
        try recordHeld(session, context: context)
        let state = try log.look(at: session)
        if state.holds(chunk) { return .recorded }
        guard let status = state.status, status == .recording || status == .paused else {
            throw SessionRejection.noChunkTaken(by: state)
        }
        guard number > state.chunkCount else { throw SessionRejection.chunkTaken(number: number) }
        return .held(waitingFor: state.chunkCount + 1)
    }

    /// Records the chunks that have waited and whose turn has come.
    public func recordHeld(_ session: String, context: EventContext) throws {
        while let next = try nextHeld(session) {
            do { _ = try record(next.held.recorded, context) } catch let rejection as SessionRejection {
                // It waits on while the session does.
                if case .wrongState = rejection { return }
                // The log will never take it: another file has its number, or it is one too much.
                try giveUp(next.held, session)
            }
            discard(next.path)
        }
    }

    /// A chunk whose sender was told that it waits will never be recorded. That is known before it goes.
    private func giveUp(_ held: HeldChunk, _ session: String) throws {
        try StreamNotes(spool, session).lacksForGood()
        discard(held.recorded.spoolPath)
    }

    /// Whether a chunk that has waited is not what was recorded under its number, or nobody can say.
    func isOvertaken(_ path: String, _ state: SessionState) throws -> Bool {
        switch try read(path, state.sessionID) {
        case .chunk(let held): !state.holds(held.recorded)
        case .spoiled: true
        case .gone: false
        }
    }

    /// How many chunks wait for one that is missing.
    public func waiting(_ session: String) throws -> Int {
        try numbers(waitingIn: session, try log.look(at: session))
    }

    func numbers(waitingIn session: String, _ state: SessionState) throws -> Int {
        Set(try heldFiles(session).map(\.sequence).filter { $0 > state.chunkCount }).count
    }

    func heldFiles(_ session: String) throws -> [(sequence: Int, relative: String)] {
        try spool.files(session: session, by: HeldChunk.kind)
    }

    private func nextHeld(_ session: String) throws -> (held: HeldChunk, path: String)? {
        let files = try heldFiles(session)
        guard !files.isEmpty else { return nil }
        let state = try log.look(at: session)
        for file in files where file.sequence < state.chunkCount + 1 {
            // It was recorded, and whoever did that died before this went; or another has its number.
            switch try read(file.relative, session) {
            case .chunk(let held): if !state.holds(held.recorded) { try giveUp(held, session) }
            case .spoiled: try StreamNotes(spool, session).lacksForGood()
            case .gone: continue
            }
            discard(file.relative)
        }
        for file in files where file.sequence == state.chunkCount + 1 {
            if case .chunk(let held) = try read(file.relative, session) { return (held, file.relative) }
        }
        return nil
    }

    private func held(_ session: String, number: Int) throws -> ChunkEvent.Recorded? {
        for file in try heldFiles(session) where file.sequence == number {
            if case .chunk(let held) = try read(file.relative, session) { return held.recorded }
        }
        return nil
    }

    /// What a file that tells of a chunk that waits turns out to be.
    private enum HeldFile {
        case chunk(HeldChunk)
        /// Nothing that this wrote.
        case spoiled
        /// Another process has taken it just now.
        case gone
    }

    private func read(_ path: String, _ session: String) throws -> HeldFile {
        let buffer = ScratchBuffer()
        do { try spool.read(path, into: buffer, maximumBytes: 64 << 10) } catch {
            guard error.isMissing else { throw error }
            return .gone
        }
        return HeldChunk(buffer.copyBytes(), session: session).map(HeldFile.chunk) ?? .spoiled
    }
}
