internal import Base
internal import EventSourcing

/// Ordered reading of some partitions, for one thread.
///
/// A position that the log does not have means that the server has lost events that were read already
/// (a failover to a replica that lagged, a restored backup). Going on there would skip in silence what
/// took their place, so it is an error when the feed is opened, and halts the partition: feeds give
/// nothing of a halted partition, and all of the others. A position below where its partition was trimmed
/// goes on in the archive.
final class RedisOrderedFeed: OrderedFeed {
    private let client: RedisClient
    private let archive: ArchiveAccess
    private var positions: [LogPosition]
    private var places: [Int: Int] = [:]
    private var commands = CommandBuffer()
    private let liftings: Int
    /// When what a partition says of itself was looked at last.
    private var inspected: [Int: Int] = [:]
    private var decoder = EntryDecoder()

    init(_ client: RedisClient, _ positions: [LogPosition], _ archive: Archive?) throws(LogFailure) {
        self.client = client
        self.archive = ArchiveAccess(client, archive)
        self.positions = positions
        liftings = client.history?.liftings ?? 0
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
        try client.history?.requireSame(liftings, "follow", "\(client.address)")
        let archived = try nextArchived(limit: limit)
        if !archived.isEmpty { return archived }
        let (events, unreadable) = try nextLive(limit: limit, waitMilliseconds: waitMilliseconds)
        guard !events.isEmpty || !unreadable.isEmpty else { return [] }
        // Asked afterwards: whatever was trimmed before the events were read shows up here. A partition of
        // which nothing came has nothing behind its position: its newest event is never trimmed.
        let touched = Set(events.map(\.position.partition) + unreadable.keys).sorted()
        try archive.ask(touched, "follow")
        try requireWhole(touched)
        let found = events.map(\.position) + unreadable.values.map(\.position)
        let confirmation = try client.confirm(found.filter { !isArchived($0.partition) }, "follow")
        for (partition, entry) in unreadable.sorted(by: { $0.key < $1.key })
        where !isArchived(partition) && confirmation.covers(partition)
            && !events.contains(where: { $0.position.partition == partition })
        {
            // Nothing was passed over: what came of other partitions comes again.
            throw entry.failure
        }
        let live = events.filter {
            !isArchived($0.position.partition) && confirmation.covers($0.position.partition)
        }
        if live.isEmpty, !confirmation.isWhole {
            pause(milliseconds: RedisClient.unconfirmedPauseMilliseconds)
        }
        for event in live { seek(to: event.position) }
        client.history?.witness(live.lazy.map(\.position), liftings: liftings)
        return live.isEmpty ? try nextArchived(limit: limit) : live
    }

    /// Milliseconds between two looks at whether something is gone from a partition that events come from.
    private static let inspectionMilliseconds = 1_000

    /// Looks whether something is gone from partitions: what came stands behind it, and would pass it over.
    private func requireWhole(_ partitions: [Int]) throws(LogFailure) {
        let now = monotonicMilliseconds()
        let due = partitions.filter { inspected[$0].map { now - $0 >= Self.inspectionMilliseconds } ?? true }
        guard !due.isEmpty, client.readsStreamsTogether else { return }
        try client.requireWhole(due, "follow")
        for partition in due { inspected[partition] = now }
    }

    private func isArchived(_ partition: Int) -> Bool {
        guard let place = places[partition] else { return false }
        return positions[place] < archive.known(partition)
    }

    /// Events of one of the partitions whose position is below where they were trimmed. One partition
    /// after the other, so that each archived segment is read once.
    private func nextArchived(limit: Int) throws(LogFailure) -> [RecordedEvent] {
        let behind = positions.first {
            $0 < archive.known($0.partition) && client.history?.reason($0.partition) == nil
        }
        guard let behind else { return [] }
        let events = try archive.read(after: behind, limit: max(1, limit), "follow")
        if let last = events.last { seek(to: last.position) }
        return events
    }

    /// An entry that cannot be read.
    private struct Unreadable {
        let position: LogPosition
        let failure: LogFailure
    }

    /// Events as far as they can be read, and for each partition the entry that cannot.
    private func nextLive(
        limit: Int, waitMilliseconds: Int
    ) throws(LogFailure) -> ([RecordedEvent], [Int: Unreadable]) {
        let wait = min(waitMilliseconds, 1000)
        let together = client.readsStreamsTogether
        // BLOCK 0 would wait for ever.
        let command = StreamRead(words: ["XREAD"], count: max(1, limit), wait: wait > 0 ? wait : nil)
        var poll = PollPause(waitMilliseconds: together ? 0 : wait, streams: positions.count)
        var events: [RecordedEvent] = []
        var unreadable: [Int: Unreadable] = [:]
        repeat {
            let streams = positions.filter { client.history?.reason($0.partition) == nil }
            guard !streams.isEmpty else {
                pause(milliseconds: max(wait, 0))
                return ([], [:])
            }
            commands.removeAll()
            command.encode(
                streams.map { ($0.partition, $0.entryID) }, together: together, into: &commands)
            try read(into: &events, &unreadable)
        } while events.isEmpty && unreadable.isEmpty && poll.again()
        return (events, unreadable)
    }

    private func read(
        into events: inout [RecordedEvent], _ unreadable: inout [Int: Unreadable]
    ) throws(LogFailure) {
        try client.pipeline("follow", "\(client.address)", commands, accepting: { $0.hasPrefix("UNBLOCKED") })
        {
            _, reply throws(LogFailure) in
            try reply.forEach { stream throws(LogFailure) in
                guard let partition = stream[0]?.string.flatMap(LogKeys.partition(of:)) else {
                    throw LogFailure(
                        .corrupt, operation: "follow", key: "\(client.address)", text: "an unknown stream")
                }
                try stream[1]?.forEach { entry throws(LogFailure) in
                    guard unreadable[partition] == nil else { return }
                    do throws(LogFailure) {
                        events.append(
                            try decoder.decode(entry, partition: partition, operation: "follow"))
                    } catch {
                        guard error.kind == .unreadable else { throw error }
                        unreadable[partition] = Unreadable(
                            position: try EntryCoding.position(
                                entry[0], partition: partition, operation: "follow"), failure: error)
                    }
                }
            }
        }
    }

    private func requireIntact() throws(LogFailure) {
        try requireKnownTimes()
        try client.verify(positions)
        let partitions = positions.map(\.partition)
        try client.requireWhole(partitions, "follow")
        client.history?.witness(try confirmed(positions), liftings: liftings)
    }

    /// Those positions that no failover takes back; of the others nothing is known until events come behind
    /// them.
    private func confirmed(_ positions: [LogPosition]) throws(LogFailure) -> [LogPosition] {
        guard client.confirmsReads else { return positions }
        let intact = positions.filter { client.history?.reason($0.partition) == nil }
        try archive.ask(intact.map(\.partition), "follow")
        // A place that is archived stands in no stream.
        let live = intact.filter { $0.milliseconds > 0 && $0 > archive.known($0.partition) }
        let confirmation = try client.confirm(live, "follow")
        return intact.filter { confirmation.covers($0.partition) }
    }

    /// A place beyond its partition's end, of a time that has not come yet, is nobody's memory of this log:
    /// whoever names it is refused, and the partition does not halt for it. By the server's clock, which
    /// made the entry ids: this machine's may be wrong by hours.
    private func requireKnownTimes() throws(LogFailure) {
        let now = try client.serverMilliseconds("follow") +| 60_000
        // There are none unless that clock was set back.
        for position in positions where position.milliseconds > now {
            let key = LogKeys.log(position.partition)
            let newest = try client.command("follow", key, ["XREVRANGE", key, "+", "-", "COUNT", "1"])
                .elements.first?.elements.first?.text
                .flatMap { LogPosition(partition: position.partition, entryID: $0) }
            if let newest, newest >= position { continue }
            throw LogFailure(
                .lostHistory, operation: "follow", key: "\(position)",
                text: "the partition ends before it: the server has lost events; rebuild what was derived "
                    + "from them")
        }
    }
}
