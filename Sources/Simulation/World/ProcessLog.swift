internal import EventSourcing
internal import Recording

/// The log as one simulated process reaches it: every call is a step before it and a step after it, at
/// either of which the process may die or the connection break.
struct ProcessLog: EventLog {
    let inner: any EventLog
    let process: SimulatedProcess
    /// Sees every append that took effect.
    let witness: any AppendWitness

    func call<R>(
        _ operation: String, _ body: () throws(LogFailure) -> R
    ) throws(LogFailure) -> R {
        try process.logStep(operation, answered: false)
        let answer = try body()
        try process.logStep(operation, answered: true)
        return answer
    }

    func open() throws(LogFailure) -> any EventStore { ProcessStore(self, try inner.open()) }

    func join(
        group: String, consumer: ConsumerName, types: Set<String>
    ) throws(LogFailure) -> any CompetingSubscription {
        try process.logStep("join", answered: false)
        return ProcessSubscription(self, try inner.join(group: group, consumer: consumer, types: types))
    }

    func follow(after positions: [LogPosition]) throws(LogFailure) -> any OrderedFeed {
        try process.logStep("follow", answered: false)
        return ProcessFeed(self, try inner.follow(after: positions))
    }

    func liveness() throws(LogFailure) -> any Liveness { ProcessLiveness(self, try inner.liveness()) }

    func checkpoints() throws(LogFailure) -> any CheckpointStore {
        ProcessCheckpoints(self, try inner.checkpoints())
    }

    func leases() throws(LogFailure) -> any PartitionLeases { ProcessLeases(self, try inner.leases()) }

    func orderedParking() throws(LogFailure) -> any OrderedParking {
        ProcessParking(self, try inner.orderedParking())
    }
}

/// Looks at what is about to be appended, and at what became of it.
protocol AppendWitness: Sendable {
    func appending(_ batches: [AppendBatch], _ process: SimulatedProcess)
    func appended(_ batches: [AppendBatch], _ outcomes: [AppendOutcome])
}

/// How long somebody who waits for events sleeps when nothing happens. Longer than the callers ask for,
/// which spares many turns in which nothing happens.
private let idle_ms = 5000

private final class ProcessStore: EventStore {
    private let log: ProcessLog
    private let inner: any EventStore

    init(_ log: ProcessLog, _ inner: any EventStore) {
        self.log = log
        self.inner = inner
    }

    var partitioning: Partitioning { inner.partitioning }

    func append(_ batches: [AppendBatch]) throws(LogFailure) -> [AppendOutcome] {
        try log.call("append") { () throws(LogFailure) in
            log.witness.appending(batches, log.process)
            let outcomes = try inner.append(batches)
            log.witness.appended(batches, outcomes)
            log.process.scheduler.changed()
            return outcomes
        }
    }

    func load(_ key: String, after sequence: UInt64, limit: Int) throws(LogFailure) -> [RecordedEvent] {
        try log.call("load") { () throws(LogFailure) in
            try inner.load(key, after: sequence, limit: limit)
        }
    }

    func version(of key: String) throws(LogFailure) -> UInt64 {
        try log.call("version") { () throws(LogFailure) in try inner.version(of: key) }
    }

    func read(after position: LogPosition, limit: Int) throws(LogFailure) -> [RecordedEvent] {
        try log.call("read") { () throws(LogFailure) in try inner.read(after: position, limit: limit) }
    }

    func end(of partition: Int) throws(LogFailure) -> LogPosition {
        try log.call("end") { () throws(LogFailure) in try inner.end(of: partition) }
    }
}

private final class ProcessSubscription: CompetingSubscription {
    private let log: ProcessLog
    private let inner: any CompetingSubscription

    init(_ log: ProcessLog, _ inner: any CompetingSubscription) {
        self.log = log
        self.inner = inner
    }

    func next(limit: Int, waitMilliseconds: Int) throws(LogFailure) -> [Delivery] {
        try log.process.logStep("read group", answered: false)
        var found = try inner.next(limit: limit, waitMilliseconds: 0)
        if found.isEmpty {
            log.process.idle(milliseconds: idle_ms)
            try log.process.logStep("read group again", answered: false)
            found = try inner.next(limit: limit, waitMilliseconds: 0)
        }
        if !found.isEmpty { try log.process.logStep("read group", answered: true) }
        return found
    }

    func acknowledge(_ positions: [LogPosition]) throws(LogFailure) {
        try log.call("acknowledge") { () throws(LogFailure) in try inner.acknowledge(positions) }
    }

    func retry(_ delivery: Delivery, afterMilliseconds: Int) throws(LogFailure) {
        try log.call("retry") { () throws(LogFailure) in
            try inner.retry(delivery, afterMilliseconds: afterMilliseconds)
        }
    }

    func countTry(of delivery: Delivery) throws(LogFailure) -> Int {
        try log.call("count try") { () throws(LogFailure) in try inner.countTry(of: delivery) }
    }

    func park(_ delivery: Delivery, _ reason: ParkedReason) throws(LogFailure) {
        try log.call("park") { () throws(LogFailure) in try inner.park(delivery, reason) }
    }
}

private final class ProcessFeed: OrderedFeed {
    private let log: ProcessLog
    private let inner: any OrderedFeed

    init(_ log: ProcessLog, _ inner: any OrderedFeed) {
        self.log = log
        self.inner = inner
    }

    func next(limit: Int, waitMilliseconds: Int) throws(LogFailure) -> [RecordedEvent] {
        // Few at a time, so that a batch ends in the middle of what belongs together.
        let limit = min(limit, log.process.scheduler.chance.number(in: 1...12))
        try log.process.logStep("follow", answered: false)
        var found = try inner.next(limit: limit, waitMilliseconds: 0)
        if found.isEmpty {
            log.process.idle(milliseconds: idle_ms)
            try log.process.logStep("follow again", answered: false)
            found = try inner.next(limit: limit, waitMilliseconds: 0)
        }
        if !found.isEmpty { try log.process.logStep("follow", answered: true) }
        return found
    }

    func seek(to position: LogPosition) { inner.seek(to: position) }
}

private final class ProcessLiveness: Liveness {
    private let log: ProcessLog
    private let inner: any Liveness

    init(_ log: ProcessLog, _ inner: any Liveness) {
        self.log = log
        self.inner = inner
    }

    func beat(_ mark: String, forMilliseconds: Int) throws(LogFailure) {
        try log.call("beat") { () throws(LogFailure) in
            try inner.beat(mark, forMilliseconds: forMilliseconds)
        }
    }

    func alive(_ marks: [String]) throws(LogFailure) -> [Bool] {
        try log.call("alive") { () throws(LogFailure) in try inner.alive(marks) }
    }

    func end(_ mark: String) throws(LogFailure) {
        try log.call("end mark") { () throws(LogFailure) in try inner.end(mark) }
    }
}

private final class ProcessCheckpoints: CheckpointStore {
    private let log: ProcessLog
    private let inner: any CheckpointStore

    init(_ log: ProcessLog, _ inner: any CheckpointStore) {
        self.log = log
        self.inner = inner
    }

    func load(_ subscription: String) throws -> [Int: LogPosition] {
        try log.process.logStep("load checkpoints", answered: false)
        return try inner.load(subscription)
    }

    func save(_ subscription: String, _ positions: [LogPosition], under fences: [Fence]) throws {
        try log.process.logStep("save checkpoints", answered: false)
        try inner.save(subscription, positions, under: fences)
        try log.process.logStep("save checkpoints", answered: true)
    }
}

private final class ProcessLeases: PartitionLeases {
    private let log: ProcessLog
    private let inner: any PartitionLeases

    init(_ log: ProcessLog, _ inner: any PartitionLeases) {
        self.log = log
        self.inner = inner
    }

    func attend(
        _ subscription: String, as member: String, forMilliseconds time: Int
    ) throws(LogFailure) -> [String] {
        try log.call("attend") { () throws(LogFailure) in
            try inner.attend(subscription, as: member, forMilliseconds: time)
        }
    }

    func leave(_ subscription: String, as member: String) throws(LogFailure) {
        try log.call("leave") { () throws(LogFailure) in try inner.leave(subscription, as: member) }
    }

    func holders(_ subscription: String) throws(LogFailure) -> [LeaseHolder] {
        try log.call("holders") { () throws(LogFailure) in try inner.holders(subscription) }
    }

    func acquire(
        _ subscription: String, _ partitions: [Int], as member: String, forMilliseconds time: Int
    ) throws(LogFailure) -> [Fence] {
        try log.call("acquire") { () throws(LogFailure) in
            try inner.acquire(subscription, partitions, as: member, forMilliseconds: time)
        }
    }

    func renew(_ fences: [Fence], forMilliseconds time: Int) throws(LogFailure) -> [Fence] {
        try log.call("renew") { () throws(LogFailure) in
            try inner.renew(fences, forMilliseconds: time)
        }
    }

    func release(_ fences: [Fence]) throws(LogFailure) {
        try log.call("release") { () throws(LogFailure) in try inner.release(fences) }
    }
}

private final class ProcessParking: OrderedParking {
    private let log: ProcessLog
    private let inner: any OrderedParking

    init(_ log: ProcessLog, _ inner: any OrderedParking) {
        self.log = log
        self.inner = inner
    }

    func heldBack(_ subscription: String, in partition: Int) throws(LogFailure) -> HeldBack {
        try log.call("held back") { () throws(LogFailure) in try inner.heldBack(subscription, in: partition) }
    }

    func countTry(_ subscription: String, of position: LogPosition) throws(LogFailure) -> Int {
        try log.call("count try") { () throws(LogFailure) in try inner.countTry(subscription, of: position) }
    }

    func park(
        _ subscription: String, _ event: RecordedEvent, _ reason: ParkedReason, under fence: Fence?
    ) throws(LogFailure) {
        try log.call("park") { () throws(LogFailure) in
            try inner.park(subscription, event, reason, under: fence)
        }
    }

    func release(
        _ subscription: String, _ position: LogPosition, under fence: Fence?
    ) throws(LogFailure) {
        try log.call("release parked") { () throws(LogFailure) in
            try inner.release(subscription, position, under: fence)
        }
    }
}

/// Kept keys as one simulated process reaches them.
struct ProcessKeys: KeyArchive {
    let inner: any KeyArchive
    let process: SimulatedProcess

    func open() throws -> any KeyRecords { Records(inner: try inner.open(), process: process) }

    private final class Records: KeyRecords {
        private let inner: any KeyRecords
        private let process: SimulatedProcess

        init(inner: any KeyRecords, process: SimulatedProcess) {
            self.inner = inner
            self.process = process
        }

        func keep(_ record: KeyRecord) throws -> KeyRecord {
            try process.logStep("keep key", answered: false)
            let kept = try inner.keep(record)
            try process.logStep("keep key", answered: true)
            return kept
        }

        func record(ofSession sessionID: String) throws -> KeyRecord? {
            try process.logStep("find key", answered: false)
            return try inner.record(ofSession: sessionID)
        }
    }
}
