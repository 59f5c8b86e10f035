internal import Base
internal import EventSourcing
internal import Intake
internal import Recording
internal import Engine

/// Carries out commands on sessions. What it knows of the sessions that were commanded last is kept, so
/// that a command reads only what is new of a long history.
final class SessionCommands: Sendable {
    /// What a command has brought.
    struct Outcome: Sendable {
        /// The session as it is now.
        var state: SessionState
        /// Sequence of its last event.
        var version: UInt64
        /// What has happened; empty when there was nothing to do.
        var facts: [RecordingEvent]
        /// The same as it stands in the log, where nothing came between.
        var events: [RecordedEvent]
        /// What was changed; nil where there was nothing before, or something came between.
        var before: SessionDescription?

        /// Names of the fields that were given other values.
        var changedFields: [String] {
            facts.flatMap { fact -> [String] in
                guard case .session(.updated(let change)) = fact else { return [] }
                return change.changedFields(from: before)
            }
        }
    }

    /// One session's handler; a session's commands come one after the other.
    ///
    /// `@unchecked`: the handler is used under the lock alone.
    private final class Place: @unchecked Sendable {
        private let handler: CommandHandler<SessionDecider>
        private let turn = Lock(())

        init(_ session: String, _ store: StorePool, _ clock: any WallClock) {
            handler = CommandHandler(session: session, store: store, clock: clock)
        }

        func withHandler<Answer>(
            _ body: (CommandHandler<SessionDecider>) throws -> Answer
        ) rethrows -> Answer {
            try turn.withLock { _ in try body(handler) }
        }
    }

    private static let sessionsKept = 512

    private let store: StorePool
    private let clock: any WallClock
    private let versions: SessionVersions
    private let access: SessionAccess
    private let places = SharedCache<String, Place>(limit: sessionsKept)

    init(
        _ store: StorePool, _ clock: any WallClock, _ versions: SessionVersions, _ access: SessionAccess
    ) {
        self.store = store
        self.clock = clock
        self.versions = versions
        self.access = access
    }

    /// Carries out commands in order, all or none.
    /// - Parameters:
    ///   - mark: makes the ids of what has happened; the same one again makes a repetition harmless.
    ///   - isNew: whether the session's id was made just now, so that there can be no history to read.
    ///   - admit: looks at the session before anything is decided, and throws what is answered instead.
    func carryOut(
        _ commands: [SessionCommand], on session: String, mark: String, context: EventContext,
        isNew: Bool = false, admit: (SessionState) throws -> Void = { _ in }
    ) throws -> Outcome {
        try withHandler(of: session) { handler in
            if !isNew { try handler.catchUp() }
            try admit(handler.state)
            let (before, known) = (handler.state.description, handler.version)
            let facts = try handler.handle(commands, id: mark, context: context)
            // Whose it is, before its being newer: nobody is let see what is new by what was before.
            learn(facts, handler.state, version: handler.version, of: session)
            versions.note(handler.version, of: session)
            let isAlone = handler.version == known + UInt64(facts.count)
            return Outcome(
                state: handler.state, version: handler.version, facts: facts, events: handler.appended,
                before: isAlone ? before : nil)
        }
    }

    private func learn(
        _ facts: [RecordingEvent], _ state: SessionState, version: UInt64, of session: String
    ) {
        for case .session(let event) in facts {
            switch event {
            case .created(let created): access.learn(created)
            case .updated:
                guard let description = state.description else { continue }
                access.learn(description, of: session, version: version)
            default: continue
            }
        }
    }

    /// The session as the log has it; its status is nil when there is none.
    func look(at session: String) throws -> SessionState {
        try withHandler(of: session) { handler in
            try handler.catchUp()
            return handler.state
        }
    }

    private func withHandler<Answer>(
        of session: String, _ body: (CommandHandler<SessionDecider>) throws -> Answer
    ) throws -> Answer {
        let place = places.value(of: session) { Place(session, store, clock) }
        return try place.withHandler { handler in
            // Who asks for sessions that do not exist takes nobody's place.
            defer { if handler.version == 0 { places[session] = nil } }
            return try body(handler)
        }
    }
}

extension SessionCommands: IntakeLog {
    func record(
        _ chunk: ChunkEvent.Recorded, at offset: Int?, context: EventContext
    ) throws -> (isNew: Bool, state: SessionState) {
        let outcome = try carryOut(
            [.recordChunk(chunk, at: offset)], on: chunk.chunk.sessionID, mark: chunk.chunk.chunkID,
            context: context)
        return (!outcome.facts.isEmpty, outcome.state)
    }
}
