internal import EventSourcing

/// Ordered reading of some partitions, for one thread.
///
/// A position beyond the end of its partition means that the server has lost events that were read
/// already (a failover to a replica that lagged, a restored backup). Waiting there would be silence
/// for ever, so it is an error.
final class RedisOrderedFeed: OrderedFeed {
    private let client: RedisClient
    private var positions: [LogPosition]
    private var places: [Int: Int] = [:]
    private var commands = CommandBuffer()
    private var checkedGeneration = 0

    init(_ client: RedisClient, _ positions: [LogPosition]) throws(LogFailure) {
        self.client = client
        self.positions = positions
        for (index, position) in positions.enumerated() { places[position.partition] = index }
        guard places.count == positions.count else {
            throw LogFailure(.invalid, operation: "follow", key: "", text: "a partition stands twice")
        }
        try requireWithinLog()
    }

    func seek(to position: LogPosition) {
        guard let place = places[position.partition] else { return }
        positions[place] = position
    }

    func next(limit: Int, waitMilliseconds: Int) throws(LogFailure) -> [RecordedEvent] {
        guard !positions.isEmpty else {
            pause(milliseconds: min(max(waitMilliseconds, 0), 1000))
            return []
        }
        if client.generation != checkedGeneration { try requireWithinLog() }
        commands.removeAll()
        let wait = min(waitMilliseconds, 1000)
        commands.begin((wait > 0 ? 6 : 4) + 2 * positions.count)
        commands.add("XREAD")
        commands.add("COUNT")
        commands.add(max(1, limit))
        if wait > 0 {
            // BLOCK 0 would wait for ever.
            commands.add("BLOCK")
            commands.add(wait)
        }
        commands.add("STREAMS")
        for position in positions { commands.add(LogKeys.log(position.partition)) }
        for position in positions { commands.add(position.entryID) }
        var events: [RecordedEvent] = []
        try client.pipeline("follow", "\(client.address)", commands, accepting: { $0.hasPrefix("UNBLOCKED") })
        {
            _, reply throws(LogFailure) in
            try reply.forEach { stream throws(LogFailure) in
                guard let partition = stream[0]?.string.flatMap(LogKeys.partition(of:)) else {
                    throw LogFailure(
                        .corrupt, operation: "follow", key: "\(client.address)", text: "an unknown stream")
                }
                try stream[1]?.forEach { entry throws(LogFailure) in
                    events.append(try EntryCoding.decode(entry, partition: partition, operation: "follow"))
                }
            }
        }
        for event in events { seek(to: event.position) }
        return events
    }

    private func requireWithinLog() throws(LogFailure) {
        commands.removeAll()
        for position in positions {
            commands.command("XREVRANGE", LogKeys.log(position.partition), "+", "-", "COUNT", "1")
        }
        try client.pipeline("follow", "\(client.address)", commands) { index, reply throws(LogFailure) in
            let position = self.positions[index]
            var end = LogPosition.start(of: position.partition)
            if let entry = reply[0] {
                end = try EntryCoding.position(entry[0], partition: position.partition, operation: "follow")
            }
            guard position <= end else {
                throw LogFailure(
                    .corrupt, operation: "follow", key: "\(position)",
                    text: "the partition ends before it, at \(end): the server has lost events; "
                        + "rebuild what was derived from them")
            }
        }
        checkedGeneration = client.generation
    }
}
