package import EventSourcing
package import Recording
internal import Supervision

/// Sessions' histories, as far as the intake has to do with them. Calls block and come from several threads.
package protocol IntakeLog: Sendable {
    /// The session as the log has it now; its status is nil when there is none.
    func look(at session: String) throws -> SessionState

    /// Records a chunk; see `SessionCommand.recordChunk`.
    /// - Parameter offset: bytes before it, as a stream's writer believes; nil for a chunk with a number.
    /// - Returns: whether that was new, and the session afterwards.
    /// - Throws: `CommandError<SessionRejection>`.
    func record(
        _ chunk: ChunkEvent.Recorded, at offset: Int?, context: EventContext
    ) throws -> (isNew: Bool, state: SessionState)
}

/// One session's history, for whoever records that one alone.
///
/// `@unchecked`: the handler is used by who has the turn.
package final class SingleSessionLog: IntakeLog, @unchecked Sendable {
    private let handler: CommandHandler<SessionDecider>
    private let turn = ExclusiveTurn()

    /// The history that `handler` knows. Nobody else may use it afterwards but by way of `withHandler`.
    package init(_ handler: CommandHandler<SessionDecider>) { self.handler = handler }

    /// Lends the handler.
    package func withHandler<Answer, Failure: Error>(
        _ body: (CommandHandler<SessionDecider>) throws(Failure) -> Answer
    ) throws(Failure) -> Answer {
        try turn.take { () throws(Failure) in try body(handler) }
    }

    /// The session as the log has it now.
    package func look(at session: String) throws -> SessionState {
        try withHandler { handler throws(CommandError<SessionRejection>) in
            try handler.catchUp()
            return handler.state
        }
    }

    /// Records a chunk.
    package func record(
        _ chunk: ChunkEvent.Recorded, at offset: Int?, context: EventContext
    ) throws -> (isNew: Bool, state: SessionState) {
        try withHandler { handler throws(CommandError<SessionRejection>) in
            let facts = try handler.handle(
                .recordChunk(chunk, at: offset), id: chunk.chunk.chunkID, context: context)
            return (!facts.isEmpty, handler.state)
        }
    }
}
