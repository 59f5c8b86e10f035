/// What a caller expects of a partition key's history when it appends.
package enum ExpectedVersion: Sendable, Hashable {
    /// Nothing: append in any case.
    case any
    /// That there is no event yet.
    case absent
    /// That the last event has this sequence.
    case exactly(UInt64)
}

/// Events of one partition key that are appended all or not at all.
package struct AppendBatch: Sendable, Hashable {
    /// The partition key.
    package var partitionKey: String
    /// What must hold for the append to happen.
    package var expected: ExpectedVersion
    /// The events in order; 1...`LogLimits.eventsPerAppend`.
    package var events: [ProposedEvent]
    /// The append happens only while this is the owner of the partition; nil for appends that need none.
    package var fence: Fence?
    package init(
        to partitionKey: String, expecting expected: ExpectedVersion, _ events: [ProposedEvent],
        fence: Fence? = nil
    ) {
        self.partitionKey = partitionKey
        self.expected = expected
        self.events = events
        self.fence = fence
    }
}

/// Where an appended event stands.
package struct AppendedEvent: Sendable, Hashable {
    /// Its sequence in its partition key.
    package var sequence: UInt64
    /// Its place in the log.
    package var position: LogPosition
    /// True when this id was in the log already with the same body: this is where it stands since then.
    package var wasPresent: Bool
    package init(sequence: UInt64, position: LogPosition, wasPresent: Bool) {
        self.sequence = sequence
        self.position = position
        self.wasPresent = wasPresent
    }
}

/// The answer to one batch.
///
/// Ids are looked at first: events that are present with the same body are answered with their first
/// position and not written again, so a retried append succeeds whatever came after it. The expected
/// version is checked for what remains. One id with another body refuses the whole batch. A fence is
/// looked at before everything else.
package enum AppendOutcome: Sendable, Hashable {
    /// Durable, one answer per event in order.
    case appended([AppendedEvent])
    /// Nothing was written: the history stands at another version.
    case conflict(actual: UInt64)
    /// Nothing was written: this id is in the log with another body.
    case idTaken(eventID: String)
    /// Nothing was written: the partition has another owner, or none; the generation it has now.
    case fenced(generation: UInt64)
}

/// Bounds of the log.
package enum LogLimits {
    /// Events in one append.
    package static let eventsPerAppend = 1000
    /// Bytes of one event's payload.
    package static let bytesPerPayload = 256 * 1024
    /// Bytes of an id, a subject or a partition key.
    package static let bytesPerIdentifier = 256
}

/// The append-only log, as one thread sees it.
///
/// Calls block; each thread opens a store of its own (`EventLog.open`). Implementations reconnect by
/// themselves; a thrown transient failure says that the outcome of this call is unknown, and that the
/// same call may be made again: ids make it idempotent.
package protocol EventStore: AnyObject {
    /// The log's partitions.
    var partitioning: Partitioning { get }

    /// The log's format level, as far as this process knows: it may be higher by now, never lower.
    var level: FormatLevel { get }

    /// Appends batches, pipelined; one outcome per batch in order. Each batch is atomic by itself.
    func append(_ batches: [AppendBatch]) throws(LogFailure) -> [AppendOutcome]

    /// Events of one partition key with a sequence above `sequence`, in order, at most `limit`.
    func load(_ partitionKey: String, after sequence: UInt64, limit: Int) throws(LogFailure)
        -> [RecordedEvent]

    /// The last sequence of a partition key, 0 when it has no event.
    func version(of partitionKey: String) throws(LogFailure) -> UInt64

    /// Events of one partition after a position, in order, at most `limit`.
    func read(after position: LogPosition, limit: Int) throws(LogFailure) -> [RecordedEvent]

    /// The position of the last event of a partition; its start when it is empty.
    func end(of partition: Int) throws(LogFailure) -> LogPosition

    /// Reads again all of what vouches for a partition key's events where these are not in the log's server:
    /// every archived segment of its partition, whole, along the chain of hashes. What this process has read
    /// so within the last ten minutes is not read again.
    /// - Throws: `corrupt`, naming what is missing or is not what was written.
    func verifyArchive(of partitionKey: String) throws(LogFailure)
}

extension EventStore {
    /// For logs without an archive.
    package func verifyArchive(of partitionKey: String) throws(LogFailure) {}

    /// Appends one batch.
    package func append(
        _ events: [ProposedEvent], to partitionKey: String, expecting expected: ExpectedVersion
    ) throws(LogFailure) -> AppendOutcome {
        let outcomes = try append([AppendBatch(to: partitionKey, expecting: expected, events)])
        guard let outcome = outcomes.first else {
            throw LogFailure(.corrupt, operation: "append", key: partitionKey, text: "no outcome")
        }
        return outcome
    }

    /// The whole history of a partition key, page by page into `body`.
    package func forEach(
        of partitionKey: String, after sequence: UInt64 = 0, pageSize: Int = 500,
        _ body: (RecordedEvent) throws -> Void
    ) throws {
        var last = sequence
        while true {
            let page = try load(partitionKey, after: last, limit: pageSize)
            for event in page { try body(event) }
            guard page.count == pageSize, let end = page.last else { return }
            last = end.sequence
        }
    }
}

/// The log as the whole process sees it: a factory of per-thread views.
package protocol EventLog: Sendable {
    /// The log's format level, as far as this process knows: it may be higher by now, never lower.
    var level: FormatLevel { get }

    /// A store for the calling thread.
    func open() throws(LogFailure) -> any EventStore

    /// A member of a consumer group for the calling thread. The group is created at the start of the
    /// log where it does not exist, so that it skips nothing.
    /// - Parameters:
    ///   - group: name of the consumer group.
    ///   - consumer: name of this member, `<instance>/<n>`; the instance's liveness decides whether
    ///     its pending entries may be claimed by others.
    ///   - types: event types that are delivered; others are acknowledged unseen.
    func join(group: String, consumer: ConsumerName, types: Set<String>) throws(LogFailure)
        -> any CompetingSubscription

    /// All events of the given partitions in order, from after the given positions, for the calling thread.
    func follow(after positions: [LogPosition]) throws(LogFailure) -> any OrderedFeed

    /// Liveness marks for the calling thread.
    func liveness() throws(LogFailure) -> any Liveness

    /// Checkpoints kept beside the log, for the calling thread.
    func checkpoints() throws(LogFailure) -> any CheckpointStore

    /// Leases of the partitions of ordered subscriptions, for the calling thread.
    func leases() throws(LogFailure) -> any PartitionLeases

    /// What ordered subscriptions hold back, for the calling thread.
    func orderedParking() throws(LogFailure) -> any OrderedParking

    /// Values that a subscription of this name keeps beside the log, for the calling thread.
    func index(_ name: String) throws(LogFailure) -> any LogIndex

    /// How often somebody has accepted, while this process ran, that the log has lost events. What was read
    /// before may not have happened.
    var liftings: Int { get }
}
