internal import ChunkFiles
internal import Base
package import EventSourcing
package import Recording
internal import Supervision
internal import Files
package import Sealing

/// One chunk that comes with its number, piece by piece. One caller at a time, which ends it by `finish` or
/// `breakOff`.
package final class NumberedChunk {
    /// What has become of it.
    package enum Outcome: Sendable {
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
    package func write(_ bytes: UnsafeRawBufferPointer) throws {
        digest.update(bytes)
        try intake.explaining(session) { try writer?.write(bytes) }
    }

    /// All of it has come: records it, or has it wait for its turn.
    package func finish() throws -> (Outcome, ChunkEvent.Recorded) {
        guard let writer else { throw StorageFailure.missing(path: "chunk \(number) of \(session)") }
        self.writer = nil
        guard writer.byteCount > 0 else {
            throw RequestFailure.invalid([Violation("body", "must not be empty")])
        }
        var path: String?
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
                path = chunk.spoolPath
                return (try intake.take(chunk, context), chunk)
            }
        } catch {
            noteMissing()
            // Refused, so that it will never be recorded; of anything else nobody can say that yet.
            if error is SessionRejection || error is IntakeRefusal { path.map(intake.discard) }
            throw error
        }
    }

    /// The rest will not come.
    package func breakOff() {
        guard writer != nil else { return }
        noteMissing()
        // What says so by its name goes after that.
        writer = nil
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
    package func openChunk(
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
        do {
            let key = try key()
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
            if !isKnown, !(error is SessionRejection) { noteMissing(number, of: session) }
            throw error
        }
    }

    /// Notes that a sender has a chunk that was not taken. Where the disk takes no note, this process knows.
    fileprivate func noteMissing(_ number: Int, of session: String) {
        do {
            try spool.makeFolder(of: session)
            try StreamNotes(spool, session).lacks(number)
        } catch { untold.add(number, of: session) }
    }

    /// Leaves word of what could not be noted before.
    func tellLosses() {
        // The folder of a session that is over meanwhile goes with the next sweep.
        untold.tell { number, session in
            try spool.makeFolder(of: session)
            try StreamNotes(spool, session).lacks(number)
        }
    }

    /// Records a chunk whose bytes are durable, or has it wait.
    fileprivate func take(
        _ chunk: ChunkEvent.Recorded, _ context: EventContext
    ) throws -> NumberedChunk.Outcome {
        let state = try log.look(at: chunk.chunk.sessionID)
        if chunk.chunk.sequenceNumber > state.chunkCount + 1, state.status == .recording {
            return try hold(chunk, context)
        }
        guard try record(chunk, context) else { return .present }
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
        let waiting = HeldChunks(spool, session)
        var path: String?
        if let other = try waiting.chunk(number) {
            guard other.chunk == chunk.chunk, other.content == chunk.content else {
                throw SessionRejection.chunkTaken(number: number)
            }
            discard(chunk.spoolPath)
        } else {
            path = try waiting.add(chunk)
            let state = try log.look(at: session)
            // A stream has got there first.
            if number <= state.chunkCount, !state.holds(chunk) {
                path.map(discard)
                throw SessionRejection.chunkTaken(number: number)
            }
        }
        // Whoever records the one before it looks for what waits after that; this is for the case that it
        // looked just before this one lay there.
        try recordHeld(session, context: context)
        // So may whoever stops the recording have done.
        let isClosing = try isStillClosing(session)
        let state = try log.look(at: session)
        if state.holds(chunk) { return .recorded }
        guard let status = state.status, status == .recording || status == .paused else {
            throw SessionRejection.noChunkTaken(by: state)
        }
        guard number > state.chunkCount else { throw SessionRejection.chunkTaken(number: number) }
        guard !isClosing else {
            path.map(discard)
            throw IntakeRefusal.beingStopped
        }
        return .held(waitingFor: state.chunkCount + 1)
    }

    /// Whether somebody is about to stop the session, and is not done within a moment.
    private func isStillClosing(_ session: String) throws -> Bool {
        let deadline = Machine.now + .milliseconds(limits.handoverMilliseconds)
        while try StreamNotes(spool, session).isClosing() {
            guard Machine.now < deadline else { return true }
            StopSignal().wait(milliseconds: StreamWriter.lookMilliseconds)
        }
        return false
    }

    /// Records the chunks that have waited and whose turn has come.
    package func recordHeld(_ session: String, context: EventContext) throws {
        let waiting = HeldChunks(spool, session)
        // Most sessions have none, and need not be looked at.
        while try !waiting.files().isEmpty, let next = try waiting.next(behind: try log.look(at: session)) {
            do { _ = try record(next.held.recorded, context) } catch let rejection as SessionRejection {
                // It waits on while the session does.
                if case .wrongState = rejection { return }
                // The log will never take it: another file has its number, or it is one too much.
                try waiting.giveUp(next.held)
            }
            discard(next.path)
        }
    }

    /// How many chunks wait for one that is missing.
    package func waiting(_ session: String) throws -> Int {
        try HeldChunks(spool, session).count(behind: try log.look(at: session))
    }
}
