package import EventSourcing

/// Whether a stage may begin with a delivery of a history.
package enum GateAnswer: Sendable, Hashable {
    /// It may.
    case open
    /// Its deliveries wait.
    case held
    /// The history is at its end for good: nothing is left to do for it.
    case over
}

/// What keeps a stage from the deliveries of some histories. Any thread may ask.
package protocol StageGate: Sendable {
    /// Whether the deliveries of a history may be worked on.
    /// - Parameter store: for looking up what is not known yet.
    /// - Throws: when it has to be looked up and the log can't be reached.
    func answer(for partitionKey: String, _ store: any EventStore) throws(LogFailure) -> GateAnswer
}
