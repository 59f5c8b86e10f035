internal import Base
internal import EventSourcing

/// What the in-memory log holds.
struct InMemoryState {
    struct Pending {
        var consumer: ConsumerName
        var deliveredAt: Timestamp
        var deliveries: Int
    }

    struct Group {
        /// Index of the first entry that was not delivered yet, by partition.
        var next: [Int]
        var pending: [LogPosition: Pending] = [:]
        var parked: [LogPosition: ParkedReason] = [:]
        var tries: [LogPosition: Int] = [:]
    }

    struct KnownID {
        var sequence: UInt64
        var digest: [UInt8]
    }

    struct Lease {
        var owner = ""
        var generation: UInt64 = 0
        var until = Timestamp(milliseconds: 0)
    }

    let partitioning: Partitioning
    var level = FormatLevel.newest
    var partitions: [[RecordedEvent]]
    var histories: [String: [RecordedEvent]] = [:]
    var ids: [String: [String: KnownID]] = [:]
    /// Entries that are told to be unreadable.
    var spoiled: [LogPosition: Spoiling] = [:]
    var groups: [String: Group] = [:]
    var shelves: [String: Shelf] = [:]
    var marks: [String: Timestamp] = [:]
    var checkpoints: [String: [Int: LogPosition]] = [:]
    var leases: [String: [Int: Lease]] = [:]
    var members: [String: [String: Timestamp]] = [:]
    var indexes: [String: [Int: InMemoryIndexPart]] = [:]
    var liftings = 0
    var fault: (@Sendable (String) -> InMemoryEventLog.Fault?)?

    init(_ partitioning: Partitioning) {
        self.partitioning = partitioning
        partitions = Array(repeating: [], count: partitioning.count)
    }

    mutating func append(_ batch: AppendBatch, at now: Timestamp) -> AppendOutcome {
        let key = batch.partitionKey
        if let fence = batch.fence, !holds(fence) { return .fenced(generation: generation(fence)) }
        var known = ids[key] ?? [:]
        var version = UInt64(histories[key]?.count ?? 0)
        let before = version
        var fresh: Set<Int> = []
        for (index, event) in batch.events.enumerated() {
            let digest = event.bodyDigest
            if let present = known[event.id] {
                guard present.digest == digest else { return .idTaken(eventID: event.id) }
            } else {
                version += 1
                known[event.id] = KnownID(sequence: version, digest: digest)
                fresh.insert(index)
            }
        }
        if !fresh.isEmpty {
            switch batch.expected {
            case .any: break
            case .absent: if before != 0 { return .conflict(actual: before) }
            case .exactly(let wanted): if before != wanted { return .conflict(actual: before) }
            }
        }
        ids[key] = known
        return .appended(
            batch.events.enumerated().map { index, event in
                let sequence = known[event.id]?.sequence ?? 0
                if fresh.contains(index) { write(event, key, sequence, now) }
                let position = histories[key]?[Int(sequence) - 1].position ?? .start(of: 0)
                return AppendedEvent(
                    sequence: sequence, position: position, wasPresent: !fresh.contains(index))
            })
    }

    /// Adds an entry that cannot be read to a history; answers where it stands.
    mutating func addUnreadable(
        to key: String, _ spoiling: Spoiling, at now: Timestamp
    ) -> LogPosition {
        let sequence = UInt64(histories[key]?.count ?? 0) + 1
        let stranger = ProposedEvent(
            id: "stranger-\(sequence)", type: "Stranger", version: 1, subject: key, time: now,
            context: EventContext(source: "/stranger", actor: .system("stranger")), data: [])
        write(stranger, key, sequence, now)
        let position = histories[key]?.last?.position ?? .start(of: partitioning.partition(of: key))
        spoiled[position] = spoiling
        return position
    }

    private mutating func write(
        _ event: ProposedEvent, _ key: String, _ sequence: UInt64, _ now: Timestamp
    ) {
        let partition = partitioning.partition(of: key)
        var position = LogPosition(
            partition: partition, milliseconds: UInt64(max(1, now.milliseconds)), counter: 0)
        // Ids ascend even when the clock steps back.
        if let last = partitions[partition].last?.position, last >= position {
            position = last
            position.counter += 1
        }
        let recorded = RecordedEvent(event: event, partitionKey: key, sequence: sequence, position: position)
        partitions[partition].append(recorded)
        histories[key, default: []].append(recorded)
    }

    /// Index of the first entry after a position.
    func index(after position: LogPosition) -> Int {
        let entries = partitions[position.partition]
        var (low, high) = (0, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].position <= position { low = middle + 1 } else { high = middle }
        }
        return low
    }

    func read(after position: LogPosition, limit: Int) -> [RecordedEvent] {
        guard partitions.indices.contains(position.partition), limit > 0 else { return [] }
        return Array(partitions[position.partition][index(after: position)...].prefix(limit))
    }

    /// Throws when one of the events is not to be read.
    func requireReadable(_ events: [RecordedEvent], _ operation: String) throws(LogFailure) {
        if spoiled.isEmpty { return }
        for event in events where spoiled[event.position] != nil {
            throw .unreadable(operation, event.position, "it was spoiled")
        }
    }

    func event(at position: LogPosition) -> RecordedEvent? {
        let index = index(after: position) - 1
        guard index >= 0, partitions[position.partition][index].position == position else { return nil }
        return partitions[position.partition][index]
    }

    func isAlive(_ mark: String, at now: Timestamp) -> Bool { marks[mark].map { $0 > now } ?? false }
}
