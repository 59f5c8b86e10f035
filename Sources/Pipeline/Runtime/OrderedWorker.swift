public import EventSourcing
public import Supervision

/// Something that takes the events of the log in order.
public protocol OrderedHandler: AnyObject {
    /// Name of its subscription and checkpoint.
    var name: String { get }
    /// Handles events; in order within a partition. When it throws, the same events come again.
    func handle(_ events: [RecordedEvent], _ store: any EventStore) throws
    /// Forgets what it keeps in memory, because events may come again.
    func reset()
}

/// The loop around an ordered handler whose checkpoint stands beside the log.
public final class OrderedWorker {
    private let handler: any OrderedHandler
    private let log: any EventLog
    private let report: RoleLog

    /// A worker that is not running yet.
    public init(handler: any OrderedHandler, log: any EventLog, report: RoleLog) {
        self.handler = handler
        self.log = log
        self.report = report
    }

    /// Works until `stop` is set. Call on a thread of its own.
    public func run(stop: StopSignal) throws {
        try waitingOutFailures(of: handler.name, stop: stop, report: report) { succeeded in
            handler.reset()
            let store = try log.open()
            let checkpoints = try log.checkpoints()
            let saved = try checkpoints.load(handler.name)
            let feed = try log.follow(after: startingPositions(store.partitioning, saved))
            while !stop.isSet {
                let events = try feed.next(limit: 500, waitMilliseconds: 1000)
                succeeded()
                guard !events.isEmpty else { continue }
                try handler.handle(events, store)
                try checkpoints.save(handler.name, lastPositions(of: events))
            }
        }
    }
}

/// The loop around a projection, whose checkpoint stands beside what it writes.
public final class ProjectionWorker {
    /// Events that are read at once from each partition.
    private static let batchSize = 1000

    private let projection: any Projection
    private let log: any EventLog
    private let report: RoleLog

    /// A worker that is not running yet.
    public init(projection: any Projection, log: any EventLog, report: RoleLog) {
        self.projection = projection
        self.log = log
        self.report = report
    }

    /// Works until `stop` is set. Call on a thread of its own.
    public func run(stop: StopSignal) throws {
        try waitingOutFailures(of: projection.name, stop: stop, report: report) { succeeded in
            let store = try log.open()
            let feed = try log.follow(
                after: startingPositions(store.partitioning, try projection.checkpoints()))
            while !stop.isSet {
                let events = try feed.next(limit: Self.batchSize, waitMilliseconds: 1000)
                if !events.isEmpty { try projection.apply(events) }
                // While batches come full it is catching up, and may gather writes; otherwise they are due.
                if events.count < Self.batchSize { try projection.apply([]) }
                succeeded()
            }
        }
    }
}

/// Runs `body` again and again, with growing pauses, until `stop` is set. An ordered subscription must
/// neither skip an event nor end silently, so that every error is waited out and said.
func waitingOutFailures(
    of name: String, stop: StopSignal, report: RoleLog, _ body: (_ succeeded: () -> Void) throws -> Void
) throws {
    var backoff = Backoff(baseMilliseconds: 100)
    while !stop.isSet {
        do {
            try body { backoff.reset() }
        } catch {
            let delay = backoff.next()
            let level: RoleLog.Level = backoff.count > 5 ? .error : .warning
            report(level, "\(name): \(error); trying again in \(delay) ms")
            _ = stop.wait(milliseconds: delay)
        }
    }
}

func startingPositions(_ partitioning: Partitioning, _ saved: [Int: LogPosition]) -> [LogPosition] {
    (0..<partitioning.count).map { saved[$0] ?? .start(of: $0) }
}

func lastPositions(of events: [RecordedEvent]) -> [LogPosition] {
    var last: [Int: LogPosition] = [:]
    for event in events { last[event.position.partition] = event.position }
    return Array(last.values)
}
