package import Base
package import EventSourcing

/// Where and when an event took place: what a read model notes of every event it takes in.
package struct EventStamp: Sendable, Hashable {
    /// When it happened.
    package var time: Timestamp
    /// Its sequence in its history.
    package var sequence: UInt64
    /// Its place in the log.
    package var position: LogPosition
    /// Who caused it; empty where that does not matter.
    package var actor: String
    package init(time: Timestamp, sequence: UInt64, position: LogPosition, actor: String = "") {
        self.time = time
        self.sequence = sequence
        self.position = position
        self.actor = actor
    }

    /// The stamp of an event in the log.
    package init(_ event: RecordedEvent) {
        self.init(
            time: event.time, sequence: event.sequence, position: event.position,
            actor: event.context.actor.id)
    }
}
