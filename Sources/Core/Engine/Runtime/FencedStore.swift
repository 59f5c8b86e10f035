package import EventSourcing

/// The log as a member of an ordered subscription sees it: it appends to the partitions that it owns, and
/// only while it owns them. Handlers get this store, so that none can forget the fence.
package final class FencedStore: EventStore {
    private let store: any EventStore
    private var fences: [Int: Fence] = [:]

    /// A store that may not append anything yet.
    package init(_ store: any EventStore) { self.store = store }

    /// From now on appends carry these fences.
    package func own(_ fences: [Fence]) {
        self.fences = Dictionary(fences.map { ($0.partition, $0) }, uniquingKeysWith: { $1 })
    }

    /// The log's partitions.
    package var partitioning: Partitioning { store.partitioning }

    /// The log's format level.
    package var level: FormatLevel { store.level }

    /// Appends under the fences of the batches' partitions. Throws a `fenced` failure when any of them
    /// does not hold; the other batches were appended then.
    package func append(_ batches: [AppendBatch]) throws(LogFailure) -> [AppendOutcome] {
        var fenced = batches
        for (index, batch) in batches.enumerated() {
            guard let fence = fences[partitioning.partition(of: batch.partitionKey)] else {
                throw LogFailure(
                    .fenced, operation: "append", key: batch.partitionKey,
                    text: "its partition belongs to another member")
            }
            fenced[index].fence = fence
        }
        let outcomes = try store.append(fenced)
        for (batch, outcome) in zip(batches, outcomes) {
            if case .fenced(let generation) = outcome {
                throw .fenced("append", batch.partitionKey, generation: generation)
            }
        }
        return outcomes
    }

    /// Events of one partition key.
    package func load(
        _ partitionKey: String, after sequence: UInt64, limit: Int
    ) throws(LogFailure) -> [RecordedEvent] {
        try store.load(partitionKey, after: sequence, limit: limit)
    }

    /// The last sequence of a partition key.
    package func version(of partitionKey: String) throws(LogFailure) -> UInt64 {
        try store.version(of: partitionKey)
    }

    /// Events of one partition.
    package func read(after position: LogPosition, limit: Int) throws(LogFailure) -> [RecordedEvent] {
        try store.read(after: position, limit: limit)
    }

    /// The position of the last event of a partition.
    package func end(of partition: Int) throws(LogFailure) -> LogPosition { try store.end(of: partition) }

    /// All of what vouches for a partition key's events outside of the log's server.
    package func verifyArchive(of partitionKey: String) throws(LogFailure) {
        try store.verifyArchive(of: partitionKey)
    }
}
