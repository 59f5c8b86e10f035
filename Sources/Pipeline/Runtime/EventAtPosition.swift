internal import Arithmetic
internal import EventSourcing

extension EventStore {
    /// The event at a place in the log; nil when none stands there.
    func event(at position: LogPosition) throws(LogFailure) -> RecordedEvent? {
        var before = position
        if position.counter > 0 {
            before.counter -= 1
        } else {
            before.milliseconds -|= 1
            before.counter = .max
        }
        return try read(after: before, limit: 1).first { $0.position == position }
    }
}
