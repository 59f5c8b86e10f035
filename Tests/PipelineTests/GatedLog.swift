import Base
import EventSourcing
import Supervision

/// The log as one process sees it that can die or stand still: every call passes a gate first.
final class GatedLog: EventLog {
    private enum State { case open, closed, dead }

    private let inner: any EventLog
    private let state = Lock(State.open)
    /// Calls that have passed, and the numbers of those that fail.
    private let calls = Lock((count: 0, failing: 0..<0))
    private let feedFailure = Lock<LogFailure?>(nil)
    private let pause = StopSignal()
    /// Told of checkpoints before they are saved.
    private let onSave: @Sendable ([LogPosition]) throws -> Void

    init(_ inner: any EventLog, onSave: @escaping @Sendable ([LogPosition]) throws -> Void = { _ in }) {
        self.inner = inner
        self.onSave = onSave
    }

    /// From now on no call gets through, as if the process had been killed.
    func kill() { state.withLock { $0 = .dead } }

    /// From now on every call waits, as if the process had been stopped.
    func freeze() { state.withLock { $0 = .closed } }

    /// Calls of the store with these numbers, from 0, find nobody.
    func fail(calls numbers: Range<Int>) { calls.withLock { $0 = (0, numbers) } }

    /// How many calls of the store there were.
    var callCount: Int { calls.withLock { $0.count } }

    fileprivate func passStore() throws(LogFailure) {
        try pass()
        let isFailing = calls.withLock { calls in
            defer { calls.count += 1 }
            return calls.failing.contains(calls.count)
        }
        if isFailing { throw LogFailure(.unreachable, operation: "call", key: "test", text: "away") }
    }

    /// From now on nothing can be read in order, as where one machine alone is wrong; everything else goes
    /// on. Nil heals it.
    func failFeeds(with failure: LogFailure?) { feedFailure.withLock { $0 = failure } }

    fileprivate func requireFeeds() throws(LogFailure) {
        if let failure = feedFailure.withLock({ $0 }) { throw failure }
    }

    /// Lets the waiting calls go on.
    func thaw() { state.withLock { $0 = .open } }

    fileprivate func pass() throws(LogFailure) {
        while true {
            switch state.withLock({ $0 }) {
            case .open: return
            case .closed: pause.wait(milliseconds: 1)
            case .dead:
                throw LogFailure(.unreachable, operation: "call", key: "test", text: "killed")
            }
        }
    }

    fileprivate func saving(_ positions: [LogPosition]) throws { try onSave(positions) }

    func open() throws(LogFailure) -> any EventStore { GatedStore(try inner.open(), self) }
    func join(group: String, consumer: ConsumerName, types: Set<String>) throws(LogFailure)
        -> any CompetingSubscription
    { try inner.join(group: group, consumer: consumer, types: types) }
    func follow(after positions: [LogPosition]) throws(LogFailure) -> any OrderedFeed {
        try pass()
        if !positions.isEmpty { try requireFeeds() }
        return GatedFeed(try inner.follow(after: positions), self)
    }
    var level: FormatLevel { inner.level }
    func liveness() throws(LogFailure) -> any Liveness { try inner.liveness() }
    func checkpoints() throws(LogFailure) -> any CheckpointStore {
        GatedCheckpoints(try inner.checkpoints(), self)
    }
    func leases() throws(LogFailure) -> any PartitionLeases { GatedLeases(try inner.leases(), self) }
    func orderedParking() throws(LogFailure) -> any OrderedParking { try inner.orderedParking() }
    func index(_ name: String) throws(LogFailure) -> any LogIndex { try inner.index(name) }
    var liftings: Int { inner.liftings }
}

private final class GatedStore: EventStore {
    private let inner: any EventStore
    private let log: GatedLog

    init(_ inner: any EventStore, _ log: GatedLog) { (self.inner, self.log) = (inner, log) }

    var partitioning: Partitioning { inner.partitioning }
    var level: FormatLevel { inner.level }

    func append(_ batches: [AppendBatch]) throws(LogFailure) -> [AppendOutcome] {
        try log.passStore()
        return try inner.append(batches)
    }
    func load(_ key: String, after sequence: UInt64, limit: Int) throws(LogFailure) -> [RecordedEvent] {
        try log.passStore()
        return try inner.load(key, after: sequence, limit: limit)
    }
    func version(of key: String) throws(LogFailure) -> UInt64 { try inner.version(of: key) }
    func read(after position: LogPosition, limit: Int) throws(LogFailure) -> [RecordedEvent] {
        try inner.read(after: position, limit: limit)
    }
    func end(of partition: Int) throws(LogFailure) -> LogPosition { try inner.end(of: partition) }
}

private final class GatedFeed: OrderedFeed {
    private let inner: any OrderedFeed
    private let log: GatedLog

    init(_ inner: any OrderedFeed, _ log: GatedLog) { (self.inner, self.log) = (inner, log) }

    func next(limit: Int, waitMilliseconds: Int) throws(LogFailure) -> [RecordedEvent] {
        try log.pass()
        try log.requireFeeds()
        return try inner.next(limit: limit, waitMilliseconds: waitMilliseconds)
    }
    func seek(to position: LogPosition) { inner.seek(to: position) }
}

private final class GatedCheckpoints: CheckpointStore {
    private let inner: any CheckpointStore
    private let log: GatedLog

    init(_ inner: any CheckpointStore, _ log: GatedLog) { (self.inner, self.log) = (inner, log) }

    func load(_ subscription: String) throws -> [Int: LogPosition] {
        try log.pass()
        return try inner.load(subscription)
    }
    func save(_ subscription: String, _ positions: [LogPosition], under fences: [Fence]) throws {
        try log.pass()
        try log.saving(positions)
        try inner.save(subscription, positions, under: fences)
    }
}

private final class GatedLeases: PartitionLeases {
    private let inner: any PartitionLeases
    private let log: GatedLog

    init(_ inner: any PartitionLeases, _ log: GatedLog) { (self.inner, self.log) = (inner, log) }

    func attend(_ name: String, as member: String, forMilliseconds: Int) throws(LogFailure) -> [String] {
        try log.pass()
        return try inner.attend(name, as: member, forMilliseconds: forMilliseconds)
    }
    func leave(_ name: String, as member: String) throws(LogFailure) {
        try log.pass()
        try inner.leave(name, as: member)
    }
    func holders(_ name: String) throws(LogFailure) -> [LeaseHolder] {
        try log.pass()
        return try inner.holders(name)
    }
    func acquire(
        _ name: String, _ partitions: [Int], as member: String, forMilliseconds: Int
    ) throws(LogFailure) -> [Fence] {
        try log.pass()
        return try inner.acquire(name, partitions, as: member, forMilliseconds: forMilliseconds)
    }
    func renew(_ fences: [Fence], forMilliseconds: Int) throws(LogFailure) -> [Fence] {
        try log.pass()
        return try inner.renew(fences, forMilliseconds: forMilliseconds)
    }
    func release(_ fences: [Fence]) throws(LogFailure) {
        try log.pass()
        try inner.release(fences)
    }
}
