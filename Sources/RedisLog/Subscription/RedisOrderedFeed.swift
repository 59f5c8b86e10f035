internal import EventSourcing

/// Ordered reading of some partitions, for one thread.
///
/// A position that the log does not have means that the server has lost events that were read already
/// (a failover to a replica that lagged, a restored backup). Going on there would skip in silence what
/// took their place, so it is an error when the feed is opened, and halts the partition: feeds give
/// nothing of a halted partition, and all of the others.
final class RedisOrderedFeed: OrderedFeed {
    private let client: RedisClient
    private var positions: [LogPosition]
    private var places: [Int: Int] = [:]
    private var commands = CommandBuffer()

    init(_ client: RedisClient, _ positions: [LogPosition]) throws(LogFailure) {
        self.client = client
        self.positions = positions
        for (index, position) in positions.enumerated() { places[position.partition] = index }
        guard places.count == positions.count else {
            throw LogFailure(.invalid, operation: "follow", key: "", text: "a partition stands twice")
        }
        try requireIntact()
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
        let wait = min(waitMilliseconds, 1000)
        let together = client.readsStreamsTogether
        // BLOCK 0 would wait for ever.
        let command = StreamRead(words: ["XREAD"], count: max(1, limit), wait: wait > 0 ? wait : nil)
        var poll = PollPause(waitMilliseconds: together ? 0 : wait, streams: positions.count)
        var events: [RecordedEvent] = []
        repeat {
            let streams = positions.filter { client.history?.reason($0.partition) == nil }
            guard !streams.isEmpty else {
                pause(milliseconds: max(wait, 0))
                return []
            }
            commands.removeAll()
            command.encode(
                streams.map { ($0.partition, $0.entryID) }, together: together, into: &commands)
            try read(into: &events)
        } while events.isEmpty && poll.again()
        for event in events { seek(to: event.position) }
        client.history?.witness(events.lazy.map(\.position))
        return events
    }

    private func read(into events: inout [RecordedEvent]) throws(LogFailure) {
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
    }

    private func requireIntact() throws(LogFailure) {
        // An entry id of another time than ours is nobody's memory of this log.
        let now = SystemClock().now().milliseconds + 60_000
        for position in positions where position.milliseconds > now {
            throw LogFailure(
                .lostHistory, operation: "follow", key: "\(position)",
                text: "the partition ends before it: the server has lost events; rebuild what was derived "
                    + "from them")
        }
        try client.verify(positions)
        client.history?.witness(positions)
    }
}
