internal import EventSourcing

/// The log in Redis, for one thread.
final class RedisEventStore: EventStore {
    let partitioning: Partitioning
    private let client: RedisClient
    private var commands = CommandBuffer()

    /// Bytes that leave in one pipeline; more are sent in several, so that neither side buffers it all.
    private static let bytesPerPipeline = 4 << 20

    init(_ client: RedisClient, _ partitioning: Partitioning) {
        self.client = client
        self.partitioning = partitioning
    }

    func append(_ batches: [AppendBatch]) throws(LogFailure) -> [AppendOutcome] {
        for batch in batches { try batch.requireWithinLimits(partitioning) }
        try requireIntact(batches)
        var outcomes: [AppendOutcome?] = Array(repeating: nil, count: batches.count)
        var at = 0
        while at < batches.count {
            commands.removeAll()
            let start = at
            while at < batches.count, commands.bytes.count < Self.bytesPerPipeline {
                encode(batches[at])
                at += 1
            }
            try client.pipeline("append", "\(client.address)", commands, confirming: true) {
                offset, reply throws(LogFailure) in
                outcomes[start + offset] = try self.outcome(of: batches[start + offset], reply)
            }
        }
        client.history?.witness(
            outcomes.compactMap {
                if case .appended(let events) = $0 { events.last?.position } else { nil }
            })
        return outcomes.compactMap { $0 }
    }

    private func requireIntact(_ batches: [AppendBatch]) throws(LogFailure) {
        guard let history = client.history, history.hasHalted else { return }
        for batch in batches {
            try history.requireIntact(partitioning.partition(of: batch.partitionKey), "append")
        }
    }

    private func encode(_ batch: AppendBatch) {
        let partition = partitioning.partition(of: batch.partitionKey)
        let fence = batch.fence
        commands.begin((fence == nil ? 9 : 12) + EntryCoding.argumentsPerEvent * batch.events.count)
        commands.add("FCALL")
        commands.add("reel_append")
        commands.add(fence == nil ? "4" : "5")
        commands.add(LogKeys.log(partition))
        commands.add(LogKeys.index(partition, batch.partitionKey))
        commands.add(LogKeys.ids(partition, batch.partitionKey))
        commands.add(LogKeys.ranks(partition))
        if let fence { commands.add(LogKeys.lease(partition, fence.subscription)) }
        switch batch.expected {
        case .any: commands.add("*")
        case .absent: commands.add("0")
        case .exactly(let version): commands.add(String(version))
        }
        commands.add(batch.partitionKey)
        for event in batch.events { EntryCoding.encode(event, into: &commands) }
        if let fence {
            commands.add(fence.owner)
            commands.add(String(fence.generation))
        }
    }

    private func outcome(of batch: AppendBatch, _ reply: ReplyView) throws(LogFailure) -> AppendOutcome {
        let partition = partitioning.partition(of: batch.partitionKey)
        let detail = reply[1]?.integer ?? 0
        switch reply[0]?.integer {
        case 1: return .conflict(actual: UInt64(detail))
        case 2 where batch.events.indices.contains(detail - 1):
            return .idTaken(eventID: batch.events[detail - 1].id)
        case 3: return .fenced(generation: UInt64(detail))
        case 0 where reply.count == 1 + 2 * batch.events.count:
            var appended: [AppendedEvent] = []
            appended.reserveCapacity(batch.events.count)
            for index in batch.events.indices {
                let sequence = reply[1 + 2 * index]?.integer ?? 0
                let position = try EntryCoding.position(
                    reply[2 + 2 * index], partition: partition, operation: "append")
                appended.append(
                    AppendedEvent(
                        sequence: UInt64(sequence.magnitude), position: position, wasPresent: sequence < 0))
            }
            return .appended(appended)
        default:
            throw LogFailure(
                .corrupt, operation: "append", key: batch.partitionKey, text: "an unexpected answer")
        }
    }

    func load(_ partitionKey: String, after sequence: UInt64, limit: Int) throws(LogFailure)
        -> [RecordedEvent]
    {
        guard limit > 0, sequence < UInt64(Int.max) else { return [] }
        let partition = partitioning.partition(of: partitionKey)
        let index = LogKeys.index(partition, partitionKey)
        commands.removeAll()
        commands.command("LRANGE", index, String(sequence), String(Int(sequence) + min(limit, 1 << 30) - 1))
        var entries: [String] = []
        try client.pipeline("load", partitionKey, commands) { _, reply throws(LogFailure) in
            reply.forEach { entries.append($0.string ?? "") }
        }
        var events: [RecordedEvent] = []
        events.reserveCapacity(entries.count)
        let log = LogKeys.log(partition)
        var at = 0
        while at < entries.count {
            let end = min(at + 1000, entries.count)
            commands.removeAll()
            for entry in entries[at..<end] { commands.command("XRANGE", log, entry, entry) }
            try client.pipeline("load", partitionKey, commands) { offset, reply throws(LogFailure) in
                guard let entry = reply[0] else {
                    throw LogFailure(
                        .corrupt, operation: "load", key: partitionKey,
                        text: "entry \(entries[at + offset]) of \(log) is missing")
                }
                events.append(try EntryCoding.decode(entry, partition: partition, operation: "load"))
            }
            at = end
        }
        return events
    }

    func version(of partitionKey: String) throws(LogFailure) -> UInt64 {
        let index = LogKeys.index(partitioning.partition(of: partitionKey), partitionKey)
        let reply = try client.command("version", partitionKey, ["LLEN", index])
        return UInt64(reply.integer ?? 0)
    }

    func read(after position: LogPosition, limit: Int) throws(LogFailure) -> [RecordedEvent] {
        guard limit > 0 else { return [] }
        let key = LogKeys.log(position.partition)
        commands.removeAll()
        commands.command("XRANGE", key, "(" + position.entryID, "+", "COUNT", String(limit))
        var events: [RecordedEvent] = []
        try client.pipeline("read", key, commands) { _, reply throws(LogFailure) in
            events.reserveCapacity(reply.count)
            try reply.forEach { entry throws(LogFailure) in
                events.append(
                    try EntryCoding.decode(entry, partition: position.partition, operation: "read"))
            }
        }
        return events
    }

    func end(of partition: Int) throws(LogFailure) -> LogPosition {
        let key = LogKeys.log(partition)
        let reply = try client.command("end", key, ["XREVRANGE", key, "+", "-", "COUNT", "1"])
        guard let entry = reply.elements.first?.elements.first?.text else { return .start(of: partition) }
        guard let position = LogPosition(partition: partition, entryID: entry) else {
            throw LogFailure(.corrupt, operation: "end", key: key, text: "not an entry id")
        }
        return position
    }
}
