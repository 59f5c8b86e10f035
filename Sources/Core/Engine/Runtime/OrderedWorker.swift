package import Base
package import EventSourcing
package import Supervision

/// Something that takes the events of the log in order.
package protocol OrderedHandler: AnyObject {
    /// Name of its subscription and checkpoint.
    var name: String { get }
    /// Handles events of one partition, in order. When it throws, the same events come again. What it
    /// appends through `store` is refused once the partition has another owner.
    func handle(_ events: [RecordedEvent], _ store: any EventStore) throws
    /// Those among the events that it can't understand, whatever it handled before them.
    func malformed(among events: [RecordedEvent]) -> [any EventFailure]
    /// Forgets what it keeps in memory of these partitions: their events may come again, or are another
    /// member's from now on.
    func forget(_ partitions: Set<Int>)
    /// Forgets everything that it keeps in memory.
    func reset()
}

extension OrderedHandler {
    /// None.
    package func malformed(among events: [RecordedEvent]) -> [any EventFailure] { [] }
    /// Forgets everything.
    package func forget(_ partitions: Set<Int>) { reset() }
}

/// A member of the ordered subscription of a handler whose checkpoint stands beside the log.
package final class OrderedWorker {
    private let loop: PartitionLoop

    /// A worker that is not running yet.
    /// - Parameters:
    ///   - member: its name among the subscription's members, one that nobody had before; nil to have one
    ///     made.
    ///   - policy: how often an event that can't be handled is tried before its history waits.
    ///   - clock: says when an event was set aside.
    package init(
        handler: any OrderedHandler, log: any EventLog, member: String? = nil,
        timing: LeaseTiming = LeaseTiming(), policy: RetryPolicy = RetryPolicy(),
        clock: any WallClock = SystemClock(), report: RoleLog
    ) {
        let work = PoisonIsolation(
            HandlerWork(handler, log), log: log, policy: policy, clock: clock, report: report)
        loop = PartitionLoop(
            work, log: log, member: member ?? freshMember(), timing: timing,
            report: report)
    }

    /// Works until `stop` is set and the batch in hand is saved; then leaves its partitions to others.
    /// Call on a thread of its own.
    package func run(stop: StopSignal) throws { try loop.run(stop: stop) }
}

/// A member of the ordered subscription of a projection, whose checkpoint stands beside what it writes.
package final class ProjectionWorker {
    private let loop: PartitionLoop

    /// A worker that is not running yet.
    /// - Parameters:
    ///   - member: its name among the subscription's members, one that nobody had before; nil to have one
    ///     made.
    ///   - policy: how often an event that can't be handled is tried before its history waits.
    ///   - clock: says when an event was set aside.
    package init(
        projection: any Projection, log: any EventLog, member: String? = nil,
        timing: LeaseTiming = LeaseTiming(), policy: RetryPolicy = RetryPolicy(),
        clock: any WallClock = SystemClock(), report: RoleLog
    ) {
        let work = PoisonIsolation(
            ProjectionWork(projection), log: log, policy: policy, clock: clock, report: report)
        loop = PartitionLoop(
            work, log: log, member: member ?? freshMember(), timing: timing,
            report: report)
    }

    /// Works until `stop` is set and everything is written; then leaves its partitions to others. Call on
    /// a thread of its own.
    package func run(stop: StopSignal) throws { try loop.run(stop: stop) }
}

private func freshMember() -> String { "\(ULID.make(at: SystemClock().now()))/0" }

/// A handler's events, partition by partition, and its checkpoints.
private final class HandlerWork: IsolatingWork {
    let batchSize = 500
    private let handler: any OrderedHandler
    private let log: any EventLog
    private var store: FencedStore?
    private var checkpoints: (any CheckpointStore)?
    private var fences: [Fence] = []

    var name: String { handler.name }

    init(_ handler: any OrderedHandler, _ log: any EventLog) {
        self.handler = handler
        self.log = log
    }

    func begin(_ fences: [Fence], forgetting: Set<Int>?) throws -> [Int: LogPosition] {
        if let forgetting { handler.forget(forgetting) } else { handler.reset() }
        self.fences = fences
        let store = try store ?? FencedStore(try log.open())
        let checkpoints = try checkpoints ?? log.checkpoints()
        store.own(fences)
        (self.store, self.checkpoints) = (store, checkpoints)
        return try checkpoints.load(handler.name)
    }

    func handle(_ events: [RecordedEvent]) throws {
        guard let store, let checkpoints, !events.isEmpty else { return }
        var ends: [LogPosition] = []
        var causes: [Int: any Error] = [:]
        for events in byPartition(events) {
            guard let end = events.last?.position else { continue }
            do {
                try handler.handle(events, store)
                ends.append(end)
            } catch  where !error.mayEnd {
                causes[end.partition] = error
            }
        }
        if !ends.isEmpty { try checkpoints.save(handler.name, ends, under: fences) }
        if !causes.isEmpty { throw PoisonedPartitions(causes: causes) }
    }

    func malformed(among events: [RecordedEvent]) -> [any EventFailure] { handler.malformed(among: events) }

    /// Every batch is saved when it is handled.
    func flush() {}

    var canResume: Bool { true }

    func pass(_ ends: [LogPosition]) throws {
        try checkpoints?.save(handler.name, ends, under: fences)
    }

    func resume(_ events: [RecordedEvent]) throws {
        if let store { try handler.handle(events, store) }
    }
}

/// A projection's events, all partitions together: it writes in bulk.
private final class ProjectionWork: IsolatingWork {
    let batchSize = 1000
    private let projection: any Projection

    var name: String { projection.name }

    init(_ projection: any Projection) { self.projection = projection }

    /// A projection forgets everything when it is asked for its checkpoints.
    func begin(_ fences: [Fence], forgetting: Set<Int>?) throws -> [Int: LogPosition] {
        projection.own(fences)
        return try projection.checkpoints()
    }

    func handle(_ events: [RecordedEvent]) throws {
        do {
            if !events.isEmpty { try projection.apply(events) }
            // While batches come full it is catching up, and may gather writes; otherwise they are due.
            if events.count < batchSize { try projection.apply([]) }
        } catch let failure as any EventFailure {
            guard let position = failure.position else { throw failure }
            throw PoisonedPartitions(causes: [position.partition: failure])
        }
    }

    func malformed(among events: [RecordedEvent]) -> [any EventFailure] {
        (projection as? any ResumableProjection)?.malformed(among: events) ?? []
    }

    func flush() throws { try projection.apply([]) }

    var canResume: Bool { projection is any ResumableProjection }

    func pass(_ ends: [LogPosition]) { (projection as? any ResumableProjection)?.pass(ends) }

    func resume(_ events: [RecordedEvent]) throws {
        try (projection as? any ResumableProjection)?.resume(events)
    }
}

/// Events in the order of the log, one array for each partition.
private func byPartition(_ events: [RecordedEvent]) -> [[RecordedEvent]] {
    Dictionary(grouping: events, by: \.position.partition).sorted { $0.key < $1.key }.map(\.value)
}
