internal import Base
internal import EventSourcing

final class InMemoryEventStore: EventStore {
    private let log: InMemoryEventLog

    init(_ log: InMemoryEventLog) { self.log = log }

    var partitioning: Partitioning { log.partitioning }
    var level: FormatLevel { log.level }

    func append(_ batches: [AppendBatch]) throws(LogFailure) -> [AppendOutcome] {
        for batch in batches { try batch.requireWithinLimits(partitioning) }
        return try log.call("append") { state in
            let now = log.clock.now()
            let outcomes = batches.map { state.append($0, at: now) }
            log.watcher?.appended(batches, outcomes)
            return outcomes
        }
    }

    func load(_ partitionKey: String, after sequence: UInt64, limit: Int) throws(LogFailure)
        -> [RecordedEvent]
    {
        try log.call("load") { state throws(LogFailure) in
            let history = state.histories[partitionKey] ?? []
            guard sequence < UInt64(history.count), limit > 0 else { return [] }
            let found = Array(history[Int(sequence)...].prefix(limit))
            try state.requireReadable(found, "load")
            return found
        }
    }

    func version(of partitionKey: String) throws(LogFailure) -> UInt64 {
        try log.call("version") { UInt64($0.histories[partitionKey]?.count ?? 0) }
    }

    func read(after position: LogPosition, limit: Int) throws(LogFailure) -> [RecordedEvent] {
        try log.call("read") { state throws(LogFailure) in
            let found = state.read(after: position, limit: limit)
            try state.requireReadable(found, "read")
            return found
        }
    }

    func end(of partition: Int) throws(LogFailure) -> LogPosition {
        try log.call("end") { state in
            guard state.partitions.indices.contains(partition) else { return .start(of: partition) }
            return state.partitions[partition].last?.position ?? .start(of: partition)
        }
    }
}

final class InMemoryFeed: OrderedFeed {
    private let log: InMemoryEventLog
    private var positions: [LogPosition]
    private let liftings: Int

    init(_ log: InMemoryEventLog, _ positions: [LogPosition]) throws(LogFailure) {
        self.log = log
        self.positions = positions
        liftings = log.liftings
        try log.call("follow") { state throws(LogFailure) in
            guard Set(positions.map(\.partition)).count == positions.count else {
                throw LogFailure(.invalid, operation: "follow", key: "", text: "a partition stands twice")
            }
            for position in positions {
                let last =
                    state.partitions.indices.contains(position.partition)
                    ? state.partitions[position.partition].last?.position : nil
                guard position <= last ?? .start(of: position.partition) else {
                    throw LogFailure(
                        .lostHistory, operation: "follow", key: "\(position)",
                        text: "the partition ends before it")
                }
            }
        }
    }

    func next(limit: Int, waitMilliseconds: Int) throws(LogFailure) -> [RecordedEvent] {
        guard let watcher = log.watcher else { return try look(limit, waitMilliseconds) }
        let limit = watcher.readLimit(limit)
        func lookOnce() throws(LogFailure) -> [RecordedEvent] {
            try log.watched("follow", isNothing: \.isEmpty) { () throws(LogFailure) in try look(limit, 0) }
        }
        let found = try lookOnce()
        if !found.isEmpty { return found }
        watcher.idle()
        return try lookOnce()
    }

    private func look(_ limit: Int, _ waitMilliseconds: Int) throws(LogFailure) -> [RecordedEvent] {
        // Faults strike a call once, not each look while it waits.
        try log.faulty("follow") { _ in }
        guard liftings == log.liftings else {
            throw LogFailure(
                .lostHistory, operation: "follow", key: "", text: "what was read before may be lost")
        }
        let positions = positions
        let wait = log.blocks ? min(waitMilliseconds, 1000) : 0
        var unreadable: LogPosition?
        let events =
            log.state.wait(milliseconds: wait) { state -> [RecordedEvent]? in
                let found = positions.flatMap { position in
                    let page = state.read(after: position, limit: max(1, limit))
                    let readable = page.prefix { state.spoiled[$0.position] == nil }
                    if readable.isEmpty, let first = page.first { unreadable = first.position }
                    return readable
                }
                return found.isEmpty && unreadable == nil ? nil : found
            } ?? []
        if let unreadable { throw .unreadable("follow", unreadable, "it was spoiled") }
        for event in events { seek(to: event.position) }
        return events
    }

    func seek(to position: LogPosition) {
        guard let place = positions.firstIndex(where: { $0.partition == position.partition }) else { return }
        positions[place] = position
    }
}

final class InMemoryLiveness: Liveness {
    private let log: InMemoryEventLog

    init(_ log: InMemoryEventLog) { self.log = log }

    func beat(_ mark: String, forMilliseconds: Int) throws(LogFailure) {
        try log.call("beat") { state in
            let now = log.clock.now()
            state.marks[mark] = Timestamp(milliseconds: now.milliseconds + Int64(max(1, forMilliseconds)))
        }
    }

    func alive(_ marks: [String]) throws(LogFailure) -> [Bool] {
        try log.call("alive") { state in
            let now = log.clock.now()
            return marks.map { state.isAlive($0, at: now) }
        }
    }

    func end(_ mark: String) throws(LogFailure) { try log.call("beat") { $0.marks[mark] = nil } }
}

final class InMemoryCheckpoints: CheckpointStore {
    private let log: InMemoryEventLog

    init(_ log: InMemoryEventLog) { self.log = log }

    func load(_ subscription: String) throws -> [Int: LogPosition] {
        try log.call("load checkpoints") { $0.checkpoints[subscription] ?? [:] }
    }

    func save(_ subscription: String, _ positions: [LogPosition], under fences: [Fence]) throws {
        try log.call("save checkpoints") { state throws(LogFailure) in
            var refused: LogFailure?
            for position in positions {
                if let fence = fences.first(where: { $0.partition == position.partition }),
                    !state.holds(fence)
                {
                    refused = .fenced(
                        "save checkpoints", fence.description, generation: state.generation(fence))
                } else {
                    state.checkpoints[subscription, default: [:]][position.partition] = position
                }
            }
            if let refused { throw refused }
        }
    }
}
