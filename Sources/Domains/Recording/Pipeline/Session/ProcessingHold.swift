package import Base
package import EventSourcing
internal import Recording

/// A session whose chunks no stage begins with, because somebody paused its pipeline by itself.
package struct ProcessingHold: Sendable, Hashable {
    /// The session.
    package var sessionID: String
    /// When its pipeline was paused.
    package var since: Timestamp
    /// Who paused it.
    package var by: Actor
    /// Chunks that are recorded and not stored.
    package var waitingChunks: Int

    /// What the session's history says; nil when it is not held. Reads all of it.
    package init?(ofSession session: String, in store: any EventStore) throws {
        var state = SessionState()
        var pause: RecordedEvent?
        try store.forEach(of: session) { event in
            let fact = try RecordingEvent(event)
            if case .pipeline(let step) = fact, step.trigger == .pause { pause = event }
            SessionDecider.evolve(&state, fact)
        }
        guard state.isHeld, let pause else { return nil }
        sessionID = session
        since = pause.time
        by = pause.context.actor
        waitingChunks = state.chunkCount - state.merkleHashes.count - state.failures.count
    }
}
