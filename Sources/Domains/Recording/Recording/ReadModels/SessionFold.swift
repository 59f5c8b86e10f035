package import ReadModels

/// Everything that is folded from a session's whole history: its session and its pipeline read model,
/// which always stand at the same version, and the exact sums behind them.
package struct SessionFold: Sendable, Hashable {
    /// The session.
    package private(set) var session: SessionView
    /// The sums behind its statistics.
    package private(set) var tally: SessionTally
    /// Its pipeline.
    package private(set) var pipeline: PipelineFold

    /// The session's id.
    package var sessionID: String { session.sessionID }
    /// Sequence of the last event taken in.
    package var version: UInt64 { session.version }

    /// The fold of the first event; nil when that does not make a session.
    package init?(_ first: RecordingEvent, _ stamp: EventStamp) {
        guard case .session(.created(let payload)) = first, let session = SessionView(first, stamp) else {
            return nil
        }
        self.session = session
        self.tally = SessionTally()
        tally.evolve(first)
        self.pipeline = PipelineFold(created: payload, stamp)
    }

    /// A fold that was kept; nil when its parts are not of one session and one version.
    package init?(session: SessionView, tally: SessionTally, pipeline: PipelineFold) {
        guard session.sessionID == pipeline.sessionID, session.version == pipeline.version else { return nil }
        self.session = session
        self.tally = tally
        self.pipeline = pipeline
    }

    /// Takes in the next event of the history.
    package mutating func evolve(_ fact: RecordingEvent, _ stamp: EventStamp) {
        session.evolve(fact, stamp)
        tally.evolve(fact)
        session.statistics = tally.statistics(of: session.media)
        pipeline.evolve(fact, stamp)
    }
}
