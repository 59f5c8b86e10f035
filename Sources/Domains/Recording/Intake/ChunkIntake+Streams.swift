internal import ChunkFiles
internal import Base
package import EventSourcing
package import Recording
internal import Supervision
internal import Files
package import Sealing

/// Streams, and what concerns all streams of a session wherever they are taken.
extension ChunkIntake {
    private static let lookMilliseconds = 20

    /// Opens a session's stream, and takes it over from whoever had it: what is in hand there is recorded
    /// first, where its process can do that within a moment; what arrives there afterwards is refused.
    /// - Parameter key: the session's; asked for once it is known that the session takes chunks.
    /// - Throws: why it can't be opened: `SessionRejection` (among them `outOfPlace`), `IntakeRefusal`,
    ///   `DiskShortage`, `StorageFailure`, `CommandError<SessionRejection>`.
    package func openStream(
        _ order: StreamOrder, key: @autoclosure () throws -> SessionKey
    ) throws -> StreamWriter {
        let session = order.session
        var state = try log.look(at: session)
        guard state.status != nil else { throw SessionRejection.notFound }
        try Self.requireRecording(state)
        let waiting = HeldChunks(spool, session)
        if try waiting.count(behind: state) > 0 {
            // Whoever recorded the one that they waited for may have died before it came to them.
            try recordHeld(session, context: order.context)
            state = try log.look(at: session)
        }
        guard try waiting.count(behind: state) == 0 else {
            throw IntakeRefusal.numbersWait(for: state.chunkCount + 1)
        }
        try requireRoom(for: 1, in: state)
        try requireProgress(of: state)
        let key = try key()
        return try explaining(session) {
            try spool.makeFolder(of: session)
            return try takeOver(order, key)
        }
    }

    private func takeOver(_ order: StreamOrder, _ key: SessionKey) throws -> StreamWriter {
        let session = order.session
        let notes = StreamNotes(spool, session)
        // Nobody loses a stream to somebody who does not know how far it has come.
        try settle(session)
        let state = try log.look(at: session)
        try Self.requireRecording(state)
        guard let description = state.description else { throw SessionRejection.notFound }
        if let offset = order.offset, offset != state.sizeBytes {
            let believed = StreamPlace(sequenceNumber: state.chunkCount + 1, offset: offset)
            throw SessionRejection.outOfPlace(expected: state.nextPlace, got: believed)
        }
        let writer = StreamWriter(self, order, description, key: key, at: state.nextPlace)
        let (others, left) = (streams.of(session), try notes.openStreams())
        writer.answered = try notes.asked()?.id
        writer.droppedBefore = try notes.droppedBytes()
        // Noted before the notes of others go: whoever stops the session meanwhile, or after a crash, has to
        // see that somebody was sending.
        try notes.open(writer.id, answered: writer.answered, isOwing: writer.isOwing)
        do throws(StorageFailure) { try notes.claim(by: writer.id) } catch {
            // Nobody was displaced.
            try? notes.close(writer.id)
            throw error
        }
        // They were at it: the recording lacks what they were to bring until somebody brings it. Where that
        // is not noted, this stream's note stays, and says so.
        if !others.isEmpty || !left.isEmpty { try notes.lacks(state.nextPlace.sequenceNumber) }
        for other in others { other.displace(next: state.nextPlace) }
        // Those that were cut off with their process, or will find out when they wake up.
        for stream in left { try notes.close(stream.writer) }
        streams.add(writer)
        return writer
    }

    /// Has everything recorded that has come of a session, as far as that can be done within a moment: to be
    /// called before it is stopped. Until the answer is ended nobody is told that a chunk waits.
    package func closing(_ session: String, context: EventContext) throws -> SessionClosing {
        // A spool that can't be looked at may hold anything.
        let isOwing = (try? settle(session)) ?? true
        try recordHeld(session, context: context)
        let closing = SessionClosing(spool, session)
        closing.isLacking = try isLacking(log.look(at: session)) || isOwing
        return closing
    }

    /// Has everything recorded that this and other processes have in hand of a session's streams, as far as
    /// they can within a moment.
    /// - Returns: whether bytes that were begun to be sent, or promised, are missing.
    @discardableResult
    func settle(_ session: String) throws -> Bool {
        var isOwing = false
        for writer in streams.of(session) where writer.settle() { isOwing = true }
        return try ask(.settle, of: session) || isOwing
    }

    /// Has everything recorded as `settle` does, and nothing more taken until the recording is resumed: to be
    /// called before the session is paused.
    package func pause(_ session: String) {
        for writer in streams.of(session) { writer.pause() }
        // Those who could not be asked learn it from the log.
        _ = try? ask(.pause, of: session)
    }

    /// Lets streams go on; to be called when the session was resumed, or could not be paused.
    package func resume(_ session: String) {
        for writer in streams.of(session) { writer.resume() }
        _ = try? ask(.resume, of: session, waiting: false)
    }

    /// Refuses whatever streams still bring; to be called when the session was stopped.
    package func end(_ session: String) throws {
        let state = try log.look(at: session)
        for writer in streams.of(session) { writer.sessionIsOver(.noChunkTaken(by: state)) }
        _ = try? ask(.over, of: session, waiting: false)
    }

    /// Asks the session's streams in other processes for something, and waits for their answers for a moment.
    /// - Returns: whether one did not answer, or its source has promised more than came.
    @discardableResult
    private func ask(
        _ wish: StreamNotes.Wish, of session: String, waiting: Bool = true
    ) throws -> Bool {
        let notes = StreamNotes(spool, session)
        func others() throws -> [StreamNotes.OpenStream] {
            let own = Set(streams.of(session).map(\.id))
            return try notes.openStreams().filter { !own.contains($0.writer) }
        }
        // An earlier wish must not outlive its opposite.
        let isNeeded = try !others().isEmpty || (!waiting && notes.asked() != nil)
        guard isNeeded else { return false }
        let request = StreamNotes.Request(wish)
        do throws(StorageFailure) { try notes.ask(request) } catch {
            if error.isMissing { return false }
            throw error
        }
        for writer in streams.of(session) { writer.know(request) }
        guard waiting else { return false }
        let end = Machine.now + .milliseconds(limits.handoverMilliseconds)
        while true {
            let left = try others()
            if left.allSatisfy({ $0.answered == request.id }) { return left.contains(where: \.isOwing) }
            if Machine.now >= end { return true }
            StopSignal().wait(milliseconds: Self.lookMilliseconds)
        }
    }

    /// Whether bytes were begun to be sent to a session that are not recorded: a source that broke, a sender
    /// that was refused, an upload that is under way or was cut off, a chunk that waits for another. Whoever
    /// brings them later makes it whole.
    package func isLacking(_ state: SessionState) -> Bool {
        let session = state.sessionID
        do {
            // In this order: whoever gives one up notes that before he removes it.
            let begun = try spool.begun(session: session)
            let lacking = try StreamNotes(spool, session).lacking()
            let numbers = begun + lacking + (untold.number(of: session).map { [$0] } ?? [])
            if numbers.contains(where: { $0 > state.chunkCount }) { return true }
            if try HeldChunks(spool, session).isAnyMissing(in: state) { return true }
            // Bytes that are whole in the spool, of a process that died before the log had them; unless the
            // log has them by now.
            let whole = try spool.recorded(session: session).map(\.sequence)
            guard whole.contains(where: { $0 > state.chunkCount }) else { return false }
            let count = try log.look(at: session).chunkCount
            return whole.contains { $0 > count }
        } catch { return true }
    }

    /// Bytes that streams of a session have brought while it was paused, and that were thrown away. Known as
    /// long as the session has something in the spool.
    package func droppedBytes(of session: String) throws -> Int {
        try StreamNotes(spool, session).droppedBytes()
    }
}
