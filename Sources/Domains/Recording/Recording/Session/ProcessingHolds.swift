/// Which sessions' chunks no stage begins with, because somebody paused their pipeline by itself.
///
/// Follows the log's events in order; a stage asks it before it takes a chunk, and lets the chunk wait
/// without counting that as a try. Whoever begins in the middle of the log knows the held sessions of that
/// moment by `SessionState.isHeld` of those whose pipeline is paused in the read model.
package struct ProcessingHolds: Sendable, Hashable {
    private var held: Set<String>
    /// Sessions whose recording rests: their pipelines pause with them, and hold back nothing.
    private var resting: Set<String>

    /// What is known at a place in the log.
    package init(held: Set<String> = [], resting: Set<String> = []) {
        self.held = held
        self.resting = resting
    }

    /// Whether no stage may begin with a chunk of the session.
    package func holds(_ sessionID: String) -> Bool { held.contains(sessionID) }

    /// Takes in the next event.
    package mutating func evolve(_ fact: RecordingEvent) {
        switch fact {
        case .session(.paused(let id)): resting.insert(id)
        case .session(let event):
            switch event {
            case .resumed, .stopped, .failed, .deleted: resting.remove(event.sessionID)
            case .created, .updated, .started, .paused, .processing, .completed, .merkleRootComputed,
                .keyExported, .legalHoldSet, .legalHoldLifted, .verified:
                break
            }
        case .pipeline(let step):
            switch step.trigger {
            case .pause: if !resting.contains(step.sessionID) { held.insert(step.sessionID) }
            case .pauseComplete: break
            default: held.remove(step.sessionID)
            }
        case .chunk: break
        }
    }
}
