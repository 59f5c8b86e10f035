import EventSourcing
import RedisLog
import Simulation

/// A log that is archived before every call to it, as far as its groups and checkpoints allow.
final class ArchivingLog: EventLog {
    let log: RedisEventLog

    init(partitions: Int = 4, required: [String] = [], others: [String] = []) throws {
        var options = RedisEventLog.Options()
        options.archive = InMemorySegmentStore()
        if !required.isEmpty {
            options.subscriptions = SubscriptionRegistry(
                required.map { Subscription($0, .group, parks: true, holdsBack: true) }
                    + others.map { Subscription($0, .group, parks: true, holdsBack: false) })
        }
        log = try freshLog(partitions: partitions, options: options)
    }

    func archive() throws(LogFailure) {
        let archiver = try log.archiver(ArchivePolicy())
        for partition in 0..<log.partitioning.count { _ = try archiver.run(partition: partition, all: true) }
    }

    func open() throws(LogFailure) -> any EventStore { ArchivingStore(try log.open(), self) }

    func join(
        group: String, consumer: ConsumerName, types: Set<String>
    ) throws(LogFailure) -> any CompetingSubscription {
        let subscription = try log.join(group: group, consumer: consumer, types: types)
        return ArchivingSubscription(subscription, self)
    }

    func follow(after positions: [LogPosition]) throws(LogFailure) -> any OrderedFeed {
        ArchivingFeed(try log.follow(after: positions), self)
    }

    var level: FormatLevel { log.level }
    func liveness() throws(LogFailure) -> any Liveness { try log.liveness() }
    func checkpoints() throws(LogFailure) -> any CheckpointStore { try log.checkpoints() }
    func leases() throws(LogFailure) -> any PartitionLeases { try log.leases() }
    func orderedParking() throws(LogFailure) -> any OrderedParking { try log.orderedParking() }
    func index(_ name: String) throws(LogFailure) -> any LogIndex { try log.index(name) }
    var liftings: Int { log.liftings }
}

final class ArchivingStore: EventStore {
    private let store: any EventStore
    private let log: ArchivingLog

    init(_ store: any EventStore, _ log: ArchivingLog) {
        self.store = store
        self.log = log
    }

    var partitioning: Partitioning { store.partitioning }
    var level: FormatLevel { store.level }

    func append(_ batches: [AppendBatch]) throws(LogFailure) -> [AppendOutcome] {
        try log.archive()
        return try store.append(batches)
    }

    func load(_ partitionKey: String, after sequence: UInt64, limit: Int) throws(LogFailure)
        -> [RecordedEvent]
    {
        try log.archive()
        return try store.load(partitionKey, after: sequence, limit: limit)
    }

    func version(of partitionKey: String) throws(LogFailure) -> UInt64 {
        try log.archive()
        return try store.version(of: partitionKey)
    }

    func read(after position: LogPosition, limit: Int) throws(LogFailure) -> [RecordedEvent] {
        try log.archive()
        return try store.read(after: position, limit: limit)
    }

    func end(of partition: Int) throws(LogFailure) -> LogPosition {
        try log.archive()
        return try store.end(of: partition)
    }
}

final class ArchivingFeed: OrderedFeed {
    private let feed: any OrderedFeed
    private let log: ArchivingLog

    init(_ feed: any OrderedFeed, _ log: ArchivingLog) {
        self.feed = feed
        self.log = log
    }

    func next(limit: Int, waitMilliseconds: Int) throws(LogFailure) -> [RecordedEvent] {
        try log.archive()
        return try feed.next(limit: limit, waitMilliseconds: waitMilliseconds)
    }

    func seek(to position: LogPosition) { feed.seek(to: position) }
}

final class ArchivingSubscription: CompetingSubscription {
    private let subscription: any CompetingSubscription
    private let log: ArchivingLog

    init(_ subscription: any CompetingSubscription, _ log: ArchivingLog) {
        self.subscription = subscription
        self.log = log
    }

    func next(limit: Int, waitMilliseconds: Int) throws(LogFailure) -> [Delivery] {
        try log.archive()
        return try subscription.next(limit: limit, waitMilliseconds: waitMilliseconds)
    }

    func acknowledge(_ positions: [LogPosition]) throws(LogFailure) {
        try log.archive()
        try subscription.acknowledge(positions)
        try log.archive()
    }

    func retry(_ delivery: Delivery, afterMilliseconds: Int) throws(LogFailure) {
        try log.archive()
        try subscription.retry(delivery, afterMilliseconds: afterMilliseconds)
    }

    func countTry(of delivery: Delivery) throws(LogFailure) -> Int {
        try log.archive()
        return try subscription.countTry(of: delivery)
    }

    func park(_ delivery: Delivery, _ reason: ParkedReason) throws(LogFailure) {
        try log.archive()
        try subscription.park(delivery, reason)
    }
}
