package import EventSourcing

extension EventStore {
    /// The event at a place in the log; nil when none stands there.
    package func event(at position: LogPosition) throws(LogFailure) -> RecordedEvent? {
        try read(after: position.predecessor, limit: 1).first { $0.position == position }
    }
}
