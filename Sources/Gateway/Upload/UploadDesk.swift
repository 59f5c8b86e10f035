internal import EventSourcing
internal import Recording
internal import Vault

/// Puts uploaded chunks into the log in their order. Bytes are durable in the spool before anything is said
/// of them; a chunk that comes too early waits there, for whichever gateway records the one before it.
struct UploadDesk: Sendable {
    /// What has become of an upload.
    enum Outcome: Sendable {
        /// It is in the log.
        case recorded(ChunkEvent.Recorded)
        /// It was there already, with the same content.
        case present
        /// It waits for this number.
        case held(waitingFor: Int)
    }

    let core: Core
    let context: EventContext

    /// Records a chunk whose bytes are durable, or has it wait. What is not taken is removed.
    func take(_ chunk: ChunkEvent.Recorded) throws -> Outcome {
        let session = chunk.chunk.sessionID
        let state = try core.desk.look(at: session)
        if chunk.chunk.sequenceNumber > state.chunkCount + 1, state.status == .recording {
            return try hold(chunk)
        }
        let isNew: Bool
        do { isNew = try record(chunk) } catch let error as CommandError<SessionRejection> {
            if case .rejected = error { try core.parts.spool.remove(chunk.spoolPath) }
            throw error
        }
        guard isNew else {
            try core.parts.spool.remove(chunk.spoolPath)
            return .present
        }
        try recordHeld(session)
        return .recorded(chunk)
    }

    private func hold(_ chunk: ChunkEvent.Recorded) throws -> Outcome {
        let session = chunk.chunk.sessionID
        if let other = try held(session, number: chunk.chunk.sequenceNumber) {
            try core.parts.spool.remove(chunk.spoolPath)
            guard other.chunk == chunk.chunk, other.content == chunk.content else {
                throw SessionRejection.chunkTaken(number: chunk.chunk.sequenceNumber)
            }
        } else {
            try HeldChunk(chunk).bytes.withUnsafeBytes { bytes in
                _ = try core.parts.spool.write(
                    bytes, session: session, sequence: chunk.chunk.sequenceNumber,
                    kind: .handover(stage: HeldChunk.stage))
            }
        }
        // Whoever records the one before it looks for what waits after that; this is for the case that it
        // looked just before this one lay there.
        try recordHeld(session)
        let state = try core.desk.look(at: session)
        if state.holds(chunk) { return .recorded(chunk) }
        guard let status = state.status, status == .recording || status == .paused else {
            throw SessionRejection.wrongState(state.status ?? .deleted, command: "record a chunk")
        }
        return .held(waitingFor: state.chunkCount + 1)
    }

    /// Records the chunks that have waited and whose turn has come.
    func recordHeld(_ session: String) throws {
        while let next = try nextHeld(session) {
            do { _ = try record(next.held.recorded) } catch let error as CommandError<SessionRejection> {
                guard case .rejected(let rejection) = error else { throw error }
                // It waits on while the session does.
                if case .wrongState = rejection { return }
            }
            // Its bytes stay: another gateway may have recorded the very same file.
            try core.parts.spool.remove(next.path)
        }
    }

    /// How many chunks wait for one that is missing.
    func waiting(_ session: String) throws -> Int {
        let next = try core.desk.look(at: session).chunkCount + 1
        return Set(try heldFiles(session).map(\.sequence).filter { $0 >= next }).count
    }

    /// How many numbers are missing before chunks that wait.
    func gap(_ session: String) throws -> Int {
        let next = try core.desk.look(at: session).chunkCount + 1
        let waiting = Set(try heldFiles(session).map(\.sequence).filter { $0 >= next })
        guard let last = waiting.max() else { return 0 }
        return last - next + 1 - waiting.count
    }

    /// False when it was there already.
    private func record(_ chunk: ChunkEvent.Recorded) throws -> Bool {
        let outcome = try core.desk.carryOut(
            [.recordChunk(chunk)], on: chunk.chunk.sessionID, mark: chunk.chunk.chunkID, context: context)
        return !outcome.facts.isEmpty
    }

    private func heldFiles(_ session: String) throws -> [(sequence: Int, relative: String)] {
        try core.parts.spool.handovers(session: session, stage: HeldChunk.stage)
    }

    private func nextHeld(_ session: String) throws -> (held: HeldChunk, path: String)? {
        let files = try heldFiles(session)
        guard !files.isEmpty else { return nil }
        let next = try core.desk.look(at: session).chunkCount + 1
        for file in files where file.sequence == next {
            if let held = try read(file.relative, session) { return (held, file.relative) }
        }
        return nil
    }

    private func held(_ session: String, number: Int) throws -> ChunkEvent.Recorded? {
        for file in try heldFiles(session) where file.sequence == number {
            if let held = try read(file.relative, session) { return held.recorded }
        }
        return nil
    }

    /// Nil when another gateway has taken it just now.
    private func read(_ path: String, _ session: String) throws -> HeldChunk? {
        let buffer = ScratchBuffer()
        do { try core.parts.spool.read(path, into: buffer, maximumBytes: 64 << 10) } catch {
            guard error.isMissing else { throw error }
            return nil
        }
        return HeldChunk(buffer.copyBytes(), session: session)
    }
}
