import EventSourcing
import Intake
import Pipeline
import Recording
import Simulation

/// A log that hands every call on; broken ones replace a part of it.
class RelayLog: EventLog, @unchecked Sendable {
    let inner: any EventLog

    init(_ inner: any EventLog) { self.inner = inner }

    func open() throws(LogFailure) -> any EventStore { try inner.open() }

    func join(
        group: String, consumer: ConsumerName, types: Set<String>
    ) throws(LogFailure) -> any CompetingSubscription {
        try inner.join(group: group, consumer: consumer, types: types)
    }

    func follow(after positions: [LogPosition]) throws(LogFailure) -> any OrderedFeed {
        try inner.follow(after: positions)
    }

    var level: FormatLevel { inner.level }
    func liveness() throws(LogFailure) -> any Liveness { try inner.liveness() }
    func checkpoints() throws(LogFailure) -> any CheckpointStore { try inner.checkpoints() }
    func leases() throws(LogFailure) -> any PartitionLeases { try inner.leases() }
    func orderedParking() throws(LogFailure) -> any OrderedParking { try inner.orderedParking() }
    func index(_ name: String) throws(LogFailure) -> any LogIndex { try inner.index(name) }
    var liftings: Int { inner.liftings }
}

/// Acknowledges what it delivers before anything has been done about it.
final class HastyLog: RelayLog, @unchecked Sendable {
    private final class Subscription: CompetingSubscription {
        private let inner: any CompetingSubscription

        init(_ inner: any CompetingSubscription) { self.inner = inner }

        func next(limit: Int, waitMilliseconds: Int) throws(LogFailure) -> [Delivery] {
            let found = try inner.next(limit: limit, waitMilliseconds: waitMilliseconds)
            if !found.isEmpty { try inner.acknowledge(found.map(\.event.position)) }
            return found
        }

        func acknowledge(_ positions: [LogPosition]) throws(LogFailure) {}
        func retry(_ delivery: Delivery, afterMilliseconds: Int) throws(LogFailure) {
            try inner.retry(delivery, afterMilliseconds: afterMilliseconds)
        }
        func countTry(of delivery: Delivery) throws(LogFailure) -> Int { try inner.countTry(of: delivery) }
        func park(_ delivery: Delivery, _ reason: ParkedReason) throws(LogFailure) {
            try inner.park(delivery, reason)
        }
    }

    override func join(
        group: String, consumer: ConsumerName, types: Set<String>
    ) throws(LogFailure) -> any CompetingSubscription {
        Subscription(try inner.join(group: group, consumer: consumer, types: types))
    }
}

/// Appends what another hand has made of the batch.
final class ForgingLog: RelayLog, @unchecked Sendable {
    private let forge: @Sendable (inout AppendBatch) -> Void

    init(_ inner: any EventLog, _ forge: @escaping @Sendable (inout AppendBatch) -> Void) {
        self.forge = forge
        super.init(inner)
    }

    private final class Store: EventStore {
        private let inner: any EventStore
        private let forge: @Sendable (inout AppendBatch) -> Void

        init(_ inner: any EventStore, _ forge: @escaping @Sendable (inout AppendBatch) -> Void) {
            self.inner = inner
            self.forge = forge
        }

        var partitioning: Partitioning { inner.partitioning }
        var level: FormatLevel { inner.level }

        func append(_ batches: [AppendBatch]) throws(LogFailure) -> [AppendOutcome] {
            var forged = batches
            for index in forged.indices { forge(&forged[index]) }
            return try inner.append(forged)
        }

        func load(_ key: String, after sequence: UInt64, limit: Int) throws(LogFailure) -> [RecordedEvent] {
            try inner.load(key, after: sequence, limit: limit)
        }
        func version(of key: String) throws(LogFailure) -> UInt64 { try inner.version(of: key) }
        func read(after position: LogPosition, limit: Int) throws(LogFailure) -> [RecordedEvent] {
            try inner.read(after: position, limit: limit)
        }
        func end(of partition: Int) throws(LogFailure) -> LogPosition { try inner.end(of: partition) }
    }

    override func open() throws(LogFailure) -> any EventStore { Store(try inner.open(), forge) }
}

/// A stage around another, for breaking what it is asked and what it answers.
final class BrokenStage: Stage {
    private let inner: any Stage
    private let before: (Delivery) -> Void
    private let after: (StageOutcome) -> StageOutcome

    init(
        _ inner: any Stage, before: @escaping (Delivery) -> Void = { _ in },
        after: @escaping (StageOutcome) -> StageOutcome = { $0 }
    ) {
        self.inner = inner
        self.before = before
        self.after = after
    }

    var name: String { inner.name }
    var consumes: Set<String> { inner.consumes }

    func handle(_ delivery: Delivery) -> StageOutcome {
        before(delivery)
        return after(inner.handle(delivery))
    }

    func settled(_ delivery: Delivery, appended: Bool) { inner.settled(delivery, appended: appended) }
    func resultID(of delivery: Delivery) -> String? { inner.resultID(of: delivery) }
}

/// A log that does not refuse what a stream brings, though it has lost its place.
struct HeedlessIntakeLog: IntakeLog {
    enum Break {
        /// It is recorded wherever the recording ends.
        case recordsAnywhere
        /// What somebody else has recorded there is taken for the stream's own.
        case takesAnyForItsOwn
    }

    let inner: any IntakeLog
    let broken: Break

    func look(at session: String) throws -> SessionState { try inner.look(at: session) }

    func record(
        _ chunk: ChunkEvent.Recorded, at offset: Int?, context: EventContext
    ) throws -> (isNew: Bool, state: SessionState) {
        do { return try inner.record(chunk, at: offset, context: context) } catch {
            guard case CommandError<SessionRejection>.rejected(.outOfPlace(let next, _)) = error else {
                throw error
            }
            if broken == .takesAnyForItsOwn { return (false, try inner.look(at: chunk.chunk.sessionID)) }
            var moved = chunk
            moved.chunk = ChunkReference(
                sessionID: chunk.chunk.sessionID, sequenceNumber: next.sequenceNumber)
            return try inner.record(moved, at: next.offset, context: context)
        }
    }
}

extension ReadModelDatabase {
    /// A database that lets any document take the place of any other.
    static var unguarded: ReadModelDatabase {
        var rules = Rules()
        rules.isReplaced = { _, _ in true }
        return ReadModelDatabase(rules)
    }

    /// A database that does not keep what it has acknowledged when the power is cut.
    static var hasty: ReadModelDatabase {
        var rules = Rules()
        rules.keepsWhatItAcknowledges = false
        return ReadModelDatabase(rules)
    }
}

/// Parking that is broken in a part.
final class BrokenParking: OrderedParking {
    enum Break {
        /// Tries are counted by each process for itself.
        case countsForItself
        /// One failure counts for as many as there are.
        case countsAtOnce
        /// Owners don't hear what is held back.
        case forgetsWhatIsHeld
        /// What is released goes on being held back.
        case keepsWhatIsReleased
    }

    private let inner: any OrderedParking
    private let broken: Break
    private var tries: [LogPosition: Int] = [:]

    init(_ inner: any OrderedParking, _ broken: Break) {
        self.inner = inner
        self.broken = broken
    }

    func heldBack(_ subscription: String, in partition: Int) throws(LogFailure) -> HeldBack {
        let held = try inner.heldBack(subscription, in: partition)
        return broken == .forgetsWhatIsHeld ? HeldBack(givenUp: held.givenUp) : held
    }

    func countTry(_ subscription: String, of position: LogPosition) throws(LogFailure) -> Int {
        switch broken {
        case .countsForItself:
            tries[position, default: 0] += 1
            return tries[position] ?? 1
        case .countsAtOnce: return try inner.countTry(subscription, of: position) + 99
        case .forgetsWhatIsHeld, .keepsWhatIsReleased:
            return try inner.countTry(subscription, of: position)
        }
    }

    func park(
        _ subscription: String, _ event: RecordedEvent, _ reason: ParkedReason, under fence: Fence?
    ) throws(LogFailure) {
        try inner.park(subscription, event, reason, under: fence)
    }

    func identify(_ position: LogPosition) throws(LogFailure) -> HeldKey { try inner.identify(position) }

    func parkUnreadable(
        _ subscription: String, _ key: HeldKey, _ reason: ParkedReason, under fence: Fence?
    ) throws(LogFailure) {
        try inner.parkUnreadable(subscription, key, reason, under: fence)
    }

    func release(_ subscription: String, _ position: LogPosition, under fence: Fence?) throws(LogFailure) {
        if broken != .keepsWhatIsReleased {
            try inner.release(subscription, position, under: fence)
        }
    }
}

/// A log whose parking is broken.
final class MisparkingLog: RelayLog, @unchecked Sendable {
    private let broken: BrokenParking.Break

    init(_ inner: any EventLog, _ broken: BrokenParking.Break) {
        self.broken = broken
        super.init(inner)
    }

    override func orderedParking() throws(LogFailure) -> any OrderedParking {
        BrokenParking(try inner.orderedParking(), broken)
    }
}
