/// What became of one delivery that a stage handled.
package enum StageOutcome: Sendable {
    /// The effects are durable; these events tell of them (none when there was nothing to do). They are
    /// appended to the delivery's partition key, all or none, and then the delivery is acknowledged.
    case done([ProposedEvent])
    /// It may work later, by itself; tries are not counted (a full disk, a server that is away).
    case wait(milliseconds: Int, reason: String)
    /// It failed; the runtime tries it again a bounded number of times and then parks it.
    case failed(errors: [String])
}

/// One stage of a pipeline, or several consecutive ones chained in memory. One instance per thread.
package protocol Stage: AnyObject {
    /// Name, and consumer group, of the (first) stage.
    var name: String { get }
    /// Event types that it works on.
    var consumes: Set<String> { get }
    /// Handles one delivery. Blocks.
    func handle(_ delivery: Delivery) -> StageOutcome
    /// Called once the outcome's events are durable in the log: what was kept for safety may go now.
    /// - Parameter appended: whether the log holds exactly these events, from this append or an earlier
    ///   try of it; false when somebody else's were there first, or there were none.
    func settled(_ delivery: Delivery, appended: Bool)
    /// Id of the event that stands in the log once somebody has done this stage's work on the delivery;
    /// nil for one that leads to no event.
    func resultID(of delivery: Delivery) -> String?
    /// Handles one delivery whose subject was deleted: removes what is left of it. Blocks.
    func discard(_ delivery: Delivery) -> StageOutcome
}

extension Stage {
    /// For stages that leave nothing behind.
    package func discard(_ delivery: Delivery) -> StageOutcome { .done([]) }
}

/// A read model that is built from the log, in order.
package protocol Projection: AnyObject {
    /// Name of its subscription and checkpoint.
    var name: String { get }
    /// Positions after which it has to go on; partitions that are absent start at their beginning.
    func checkpoints() throws -> [Int: LogPosition]
    /// Applies events, each exactly once in effect, and then saves how far it came. Blocks. When it
    /// throws, nothing or a part was applied, and the same events may be given again. It may hold writes
    /// back while it catches up; an empty array says that everything is due now.
    func apply(_ events: [RecordedEvent]) throws
    /// Called before `checkpoints()` when what is owned of the log has changed: from then on only these
    /// partitions' events come, and what is saved for them must not take effect once somebody else owns
    /// them. A projection that is never told works for itself alone, unfenced.
    func own(_ fences: [Fence])
}

extension Projection {
    /// For projections whose checkpoint nobody else can touch.
    package func own(_ fences: [Fence]) {}
}

/// A projection that can leave a history out and take it up again later, so that an event that can't be
/// applied holds up nobody else.
package protocol ResumableProjection: Projection {
    /// Nothing more is to be applied up to these positions: what stood there was left out. Saved with the
    /// next events, or when everything is due.
    func pass(_ ends: [LogPosition])
    /// Applies events of one history that was left out, in order, without moving checkpoints. What was
    /// applied before has no further effect.
    func resume(_ events: [RecordedEvent]) throws
    /// Those among the events that can't be understood, whatever was applied before them.
    func malformed(among events: [RecordedEvent]) -> [any EventFailure]
}

extension ResumableProjection {
    /// None.
    package func malformed(among events: [RecordedEvent]) -> [any EventFailure] { [] }
}

/// A failure that one event causes: what is in other partitions is not concerned and can go on.
package protocol EventFailure: Error {
    /// The event's place; nil when the failure is not about one event.
    var position: LogPosition? { get }
    /// Whether the event itself can't be understood: then it would fail in the same way every time.
    var isFinal: Bool { get }
}

extension EventFailure {
    /// Another try may succeed.
    package var isFinal: Bool { false }
}
