public import Base
public import EventSourcing

/// Where and when an event took place: what a read model notes of every event it takes in.
public struct EventStamp: Sendable, Hashable {
    /// When it happened.
    public var time: Timestamp
    /// Its sequence in the session's history.
    public var sequence: UInt64
    /// Its place in the log.
    public var position: LogPosition
    /// Who caused it; empty where that does not matter.
    public var actor: String

    /// A stamp from its parts.
    public init(time: Timestamp, sequence: UInt64, position: LogPosition, actor: String = "") {
        self.time = time
        self.sequence = sequence
        self.position = position
        self.actor = actor
    }

    /// The stamp of an event in the log.
    public init(_ event: RecordedEvent) {
        self.init(
            time: event.time, sequence: event.sequence, position: event.position,
            actor: event.context.actor.id)
    }
}
