package import Base
package import EventSourcing
internal import Recording

/// What operators decide on events that were set aside, as the log learns of it: before it takes effect,
/// so that repeating a decision that was cut off finishes it. One thread.
package struct ParkedDecisions {
    private let store: any EventStore
    private let clock: any WallClock
    private let actor: Actor
    private let source: String

    /// Decisions in the name of whoever asks.
    /// - Parameter source: where they come from, `/reel/cli`.
    package init(store: any EventStore, clock: any WallClock, actor: Actor, source: String) {
        self.store = store
        self.clock = clock
        self.actor = actor
        self.source = source
    }

    /// Notes that an event is to be tried again.
    /// - Returns: why that cannot be; nil when it may take effect.
    /// - Throws: the log's failures.
    package func retry(session: String, eventID: String) throws(LogFailure) -> String? {
        guard !session.isEmpty else { return nil }
        let handler = CommandHandler(session: session, store: store, clock: clock)
        do {
            try handler.catchUp()
            if let status = handler.state.status, [.failed, .deleted].contains(status) {
                return "session \(session) is \(status.rawValue)"
            }
            let command = SessionCommand.update(SessionEvent.Updated(sessionID: session))
            try handler.handle(command, id: commandID("retry"), context: context(eventID))
            return nil
        } catch { return try reason(error) }
    }

    /// Fails the session of an event that nobody will try again, whatever it still lacked; not while a case
    /// holds it.
    /// - Parameter causes: why, outermost first.
    /// - Returns: why that cannot be; nil when it may take effect.
    /// - Throws: the log's failures.
    package func discard(
        session: String, eventID: String, causes: [String]
    ) throws(LogFailure) -> String? {
        guard !session.isEmpty else { return nil }
        let handler = CommandHandler(session: session, store: store, clock: clock)
        do {
            try handler.catchUp()
            switch handler.state.status {
            case nil, .completed, .failed, .deleted: return nil
            case .created, .starting, .recording, .paused:
                return "session \(session) is still \(handler.state.status?.rawValue ?? ""); stop it first"
            case .stopped, .processing: break
            }
            let failure = SessionCommand.giveUp(error: String(causes.joined(separator: ": ").prefix(2000)))
            try handler.handle(
                handler.state.status == .stopped ? [.process, failure] : [failure],
                id: commandID("discard"), context: context(eventID))
            return nil
        } catch { return try reason(error) }
    }

    private func commandID(_ what: String) -> String { "parked-\(what)/\(ULID.make(at: clock.now()))" }

    private func context(_ eventID: String) -> EventContext {
        EventContext(source: source, actor: actor, causationID: eventID)
    }

    /// Why a command was refused; nil where nobody can decide on the session, because its history holds an
    /// event that this version cannot read or understand: that must not keep anybody from trying it again.
    private func reason(_ error: CommandError<SessionRejection>) throws(LogFailure) -> String? {
        switch error {
        case .rejected(let rejection): return "\(rejection)"
        case .failed(let failure) where failure.kind == .unreadable: return nil
        case .failed(let failure): throw failure
        case .malformed: return nil
        }
    }
}
