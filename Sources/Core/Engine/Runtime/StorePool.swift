internal import Base
package import EventSourcing

/// A store that any number of threads share: it borrows one of its own for each call, and makes one more
/// where all are lent.
///
/// `@unchecked`: a store is either in `free` or with exactly one call.
package final class StorePool: EventStore, @unchecked Sendable {
    /// How keys are spread.
    package let partitioning: Partitioning
    /// The level of the log.
    package var level: FormatLevel { log.level }
    private let log: any EventLog
    private let free: Lock<[Holder]>

    /// A store between two calls.
    private final class Holder: @unchecked Sendable {
        let store: any EventStore
        init(_ store: any EventStore) { self.store = store }
    }

    /// A pool that opens its first store.
    package init(_ log: any EventLog) throws(LogFailure) {
        self.log = log
        let first = Holder(try log.open())
        partitioning = first.store.partitioning
        free = Lock([first])
    }

    private func lend<Answer>(
        _ body: (any EventStore) throws(LogFailure) -> Answer
    ) throws(LogFailure) -> Answer {
        let kept = free.withLock { $0.popLast() }
        let holder: Holder
        if let kept { holder = kept } else { holder = Holder(try log.open()) }
        defer { free.withLock { $0.append(holder) } }
        return try body(holder.store)
    }

    /// See `EventStore`.
    package func append(_ batches: [AppendBatch]) throws(LogFailure) -> [AppendOutcome] {
        try lend { store throws(LogFailure) in try store.append(batches) }
    }

    /// See `EventStore`.
    package func load(
        _ partitionKey: String, after sequence: UInt64, limit: Int
    ) throws(LogFailure) -> [RecordedEvent] {
        try lend { store throws(LogFailure) in try store.load(partitionKey, after: sequence, limit: limit) }
    }

    /// See `EventStore`.
    package func version(of partitionKey: String) throws(LogFailure) -> UInt64 {
        try lend { store throws(LogFailure) in try store.version(of: partitionKey) }
    }

    /// See `EventStore`.
    package func read(after position: LogPosition, limit: Int) throws(LogFailure) -> [RecordedEvent] {
        try lend { store throws(LogFailure) in try store.read(after: position, limit: limit) }
    }

    /// See `EventStore`.
    package func end(of partition: Int) throws(LogFailure) -> LogPosition {
        try lend { store throws(LogFailure) in try store.end(of: partition) }
    }

    /// See `EventStore`.
    package func verifyArchive(of partitionKey: String) throws(LogFailure) {
        try lend { store throws(LogFailure) in try store.verifyArchive(of: partitionKey) }
    }
}
