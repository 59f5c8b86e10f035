internal import Base
internal import EventSourcing
internal import Recording

extension ProposedEvent {
    /// An event of a log of the benchmark's own, which is at the newest level.
    init(benchmarking fact: RecordingEvent, id: String, time: Timestamp, context: EventContext) {
        // Each type that there is has a version at the newest level.
        self.init(
            fact, id: id, time: time, context: context, version: fact.version(at: .newest) ?? 1)
    }
}
