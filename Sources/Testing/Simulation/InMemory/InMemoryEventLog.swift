package import Base
package import EventSourcing

/// An event log in memory that keeps the same promises as the real one. Any number of threads.
///
/// With `blocks` false, or with a simulated clock, nothing ever waits: an empty answer comes at once,
/// and the caller moves the clock.
package final class InMemoryEventLog: EventLog {
    /// What a fault does to a call.
    package enum Fault: Sendable {
        /// The call never reached the log.
        case before(LogFailure)
        /// The call took effect and its answer was lost.
        case after(LogFailure)
    }

    /// The log's partitions.
    package let partitioning: Partitioning
    let clock: any WallClock
    let blocks: Bool
    let processingMilliseconds: Int
    let state: Monitor<InMemoryState>
    /// Whose calls these are, where somebody looks on.
    let watcher: (any CallWatcher)?

    /// An empty log.
    /// - Parameters:
    ///   - partitions: 1...4096; anything else is clamped.
    ///   - clock: gives entry ids their time, and decides when marks and delays are over.
    ///   - blocks: whether reads wait for events.
    ///   - processingMilliseconds: an entry that a live member holds for longer is taken over.
    package init(
        partitions: Int = 4, clock: any WallClock = SystemClock(), blocks: Bool = true,
        processingMilliseconds: Int = 60_000
    ) {
        let single = Partitioning(count: 1)
        guard let partitioning = Partitioning(count: min(max(partitions, 1), 4096)) ?? single else {
            preconditionFailure("1...4096 partitions are always possible")
        }
        self.partitioning = partitioning
        self.clock = clock
        self.blocks = blocks
        self.processingMilliseconds = processingMilliseconds
        state = Monitor(InMemoryState(partitioning))
        watcher = nil
    }

    /// The same log as one user has it whose calls are watched.
    init(_ log: InMemoryEventLog, watchedBy watcher: any CallWatcher) {
        partitioning = log.partitioning
        clock = log.clock
        blocks = log.blocks
        processingMilliseconds = log.processingMilliseconds
        state = log.state
        self.watcher = watcher
    }

    /// The log's format level; the newest until somebody says otherwise.
    package var level: FormatLevel { state.with { $0.level } }

    /// From now on the log is at this level.
    package func setLevel(_ level: FormatLevel) { state.with { $0.level = level } }

    /// Decides for each call, by its operation (`append`, `load`, `version`, `read`, `end`, `read group`,
    /// `read group answer`, `acknowledge`, `park`, `follow`, `beat`, `alive`, `load checkpoints`,
    /// `save checkpoints`, `attend`, `leave`, `holders`, `acquire`, `renew`, `release`), whether it
    /// fails. `after` on `read group answer` loses deliveries that are pending from then on.
    package func inject(_ fault: (@Sendable (String) -> Fault?)?) { state.with { $0.fault = fault } }

    /// Everything in the log, partition by partition.
    package func allEvents() -> [RecordedEvent] { state.with { $0.partitions.flatMap { $0 } } }

    /// What a group has set aside.
    package func parked(group: String) -> [LogPosition: ParkedReason] {
        state.with { $0.groups[group]?.parked ?? [:] }
    }

    /// How many deliveries of a group are not acknowledged.
    package func pendingCount(group: String) -> Int { state.with { $0.groups[group]?.pending.count ?? 0 } }

    /// How many events of a group were not delivered yet.
    package func behindCount(group: String) -> Int {
        state.with { state in
            let next = state.groups[group]?.next ?? []
            return state.partitions.enumerated().reduce(0) {
                $0 + $1.element.count - (next.isEmpty ? 0 : next[$1.offset])
            }
        }
    }

    /// Runs one call with its faults.
    func call<R>(
        _ operation: String, _ body: (inout InMemoryState) throws(LogFailure) -> R
    ) throws(LogFailure) -> R {
        try watched(operation) { () throws(LogFailure) in try faulty(operation, body) }
    }

    /// Lets the watcher of this log, if there is one, carry out a call.
    func watched<R>(
        _ operation: String, isNothing: (R) -> Bool = { _ in false }, _ body: () throws(LogFailure) -> R
    ) throws(LogFailure) -> R {
        guard let watcher else { return try body() }
        return try watcher.call(operation, state, isNothing: isNothing, body)
    }

    /// Runs one call with the faults that were injected, watched by nobody.
    func faulty<R>(
        _ operation: String, _ body: (inout InMemoryState) throws(LogFailure) -> R
    ) throws(LogFailure) -> R {
        try state.with { state throws(LogFailure) in
            let fault = state.fault?(operation)
            if case .before(let failure) = fault { throw failure }
            let result = try body(&state)
            if case .after(let failure) = fault { throw failure }
            return result
        }
    }

    /// A store for the calling thread.
    package func open() throws(LogFailure) -> any EventStore { InMemoryEventStore(self) }

    /// A member of a consumer group for the calling thread.
    package func join(
        group: String, consumer: ConsumerName, types: Set<String>
    ) throws(LogFailure) -> any CompetingSubscription {
        try watched("join") { InMemorySubscription(self, group: group, consumer: consumer, types: types) }
    }

    /// The events of some partitions in order, for the calling thread.
    package func follow(after positions: [LogPosition]) throws(LogFailure) -> any OrderedFeed {
        try InMemoryFeed(self, positions)
    }

    /// Liveness marks for the calling thread.
    package func liveness() throws(LogFailure) -> any Liveness { InMemoryLiveness(self) }

    /// Checkpoints for the calling thread.
    package func checkpoints() throws(LogFailure) -> any CheckpointStore { InMemoryCheckpoints(self) }

    /// Leases for the calling thread.
    package func leases() throws(LogFailure) -> any PartitionLeases { InMemoryLeases(self) }

    /// What ordered subscriptions hold back, for the calling thread.
    package func orderedParking() throws(LogFailure) -> any OrderedParking { InMemoryOrderedParking(self) }

    /// Values that a subscription keeps beside the log, for the calling thread.
    package func index(_ name: String) throws(LogFailure) -> any LogIndex { InMemoryLogIndex(name, self) }

    /// How often somebody has accepted that the log has lost events.
    package var liftings: Int { state.with { $0.liftings } }

    /// Loses a session's newest events, as a server does that an older one takes the place of; somebody has
    /// accepted that.
    package func lose(newest count: Int, of partitionKey: String) {
        state.with { state in
            let history = state.histories[partitionKey] ?? []
            let lost = Set(history.suffix(count).map(\.position))
            state.histories[partitionKey] = Array(history.dropLast(count))
            for event in history.suffix(count) { state.ids[partitionKey]?[event.id] = nil }
            let partition = partitioning.partition(of: partitionKey)
            state.partitions[partition].removeAll { lost.contains($0.position) }
            state.liftings += 1
        }
    }

    /// From now on an entry cannot be read; nil mends it.
    package func spoil(_ position: LogPosition, _ spoiling: Spoiling?) {
        state.with { $0.spoiled[position] = spoiling }
    }

    /// Appends an entry to a history that nobody has ever been able to read; answers where it stands.
    package func addUnreadable(to partitionKey: String, _ spoiling: Spoiling) -> LogPosition {
        let now = clock.now()
        return state.with { $0.addUnreadable(to: partitionKey, spoiling, at: now) }
    }
}

/// A clock that stands still until it is moved.
package final class SimulatedClock: WallClock {
    private let time: Monitor<Timestamp>

    /// A clock that shows `start`.
    package init(_ start: Timestamp = Timestamp(milliseconds: 1_700_000_000_000)) { time = Monitor(start) }

    /// What it shows.
    package func now() -> Timestamp { time.with { $0 } }

    /// Moves it; backwards too, as real clocks do.
    package func advance(milliseconds: Int64) { time.with { $0.milliseconds += milliseconds } }
}
