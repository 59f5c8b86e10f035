internal import EventSourcing

/// Something that a partition has lost, or that contradicts what it says of itself.
struct PartitionLoss: Sendable, Equatable {
    var partition: Int
    /// What, in a sentence that begins with a small letter.
    var text: String
    /// The newest position that is known to be missing; nil where no position tells.
    var missing: LogPosition?
    /// Whether it is known that events are missing; else nobody can tell.
    var isKnown = true
    /// Whether it is for others to do something about it: then this process alone keeps off the partition.
    var isLocal = false
}

/// Looks at what partitions say of themselves, for one thread. Writes nothing.
struct PartitionInspector {
    let client: RedisClient
    /// Entries that are looked up before it is only said that there are more.
    private static let maximumLooked = 200_000
    /// Names of histories in a sentence.
    private static let maximumNamed = 8

    /// What each of some partitions says.
    func states(_ partitions: [Int]) throws(LogFailure) -> [PartitionState] {
        var commands = CommandBuffer()
        for partition in partitions { commands.run(.state, PartitionState.keys(partition), []) }
        commands.command("HGET", LogKeys.meta, "epoch")
        var states: [PartitionState] = []
        states.reserveCapacity(partitions.count)
        try client.pipeline(
            "look at partitions", "\(client.address)", commands,
            accepting: { ServerError.kind(of: $0) == .corrupt }
        ) { index, reply throws(LogFailure) in
            guard partitions.indices.contains(index) else {
                return try client.requireEpoch(reply, "look at partitions")
            }
            if let text = reply.errorText {
                let damage = ServerError.finding(in: text)
                return states.append(PartitionState(damage: damage, partition: partitions[index]))
            }
            do throws(LogFailure) {
                states.append(try PartitionState(reply, partition: partitions[index]))
            } catch  where error.kind == .corrupt {
                states.append(
                    PartitionState(damage: "\(error.key): \(error.text)", partition: partitions[index]))
            }
        }
        for index in states.indices where !states[index].damage.isEmpty {
            let keys = PartitionState.keys(states[index].partition)
            guard let first = (try? client.overwritten(among: keys))?.first else { continue }
            states[index].damage = "\(first)"
        }
        return states
    }

    /// What a partition has lost, with what can be told of it; nil when it has lost nothing.
    func loss(_ state: PartitionState) throws(LogFailure) -> PartitionLoss? {
        let findings = state.findings
        guard !findings.isEmpty else { return nil }
        var gaps = Gaps()
        do throws(LogFailure) { gaps = try self.gaps(state) } catch {
            // Without the permission to look through the keys it is known all the same that something is
            // lost.
            if error.remedy == .time { throw error }
        }
        return PartitionLoss(
            partition: state.partition, text: findings.joined(separator: "; ") + gaps.sentence,
            missing: gaps.newest)
    }

    /// Entries that partition keys' indexes have and the stream lacks.
    private struct Gaps {
        var entries = 0
        var oldest: LogPosition?
        var newest: LogPosition?
        var keys: [String: Int] = [:]
        var isComplete = true

        var sentence: String {
            guard let oldest, let newest, entries > 0 else { return "" }
            let names = keys.keys.sorted().prefix(maximumNamed).joined(separator: ", ")
            let others = keys.count - min(keys.count, maximumNamed)
            return "; missing are \(isComplete ? "" : "at least ")\(entries) from \(oldest.entryID) to "
                + "\(newest.entryID) of \(names)" + (others > 0 ? " and \(others) more" : "")
        }
    }

    /// Finds out by the indexes of partition keys what is missing: each has the entries of its events.
    private func gaps(_ state: PartitionState) throws(LogFailure) -> Gaps {
        var gaps = Gaps()
        var looked = 0
        let prefix = LogKeys.index(state.partition, "")
        // Names may hold what means something to a pattern; ours begin the same way and are compared.
        try client.forEachPage(ofKeys: prefix + "*", "find what is lost") { keys throws(LogFailure) in
            guard looked < Self.maximumLooked else {
                gaps.isComplete = false
                return
            }
            var commands = CommandBuffer()
            for key in keys { commands.command("LRANGE", key, "0", "-1") }
            var entries: [(key: String, place: LogPosition)] = []
            try client.pipeline("find what is lost", prefix, commands) { index, reply in
                reply.forEach { entry in
                    guard let id = entry.string,
                        let place = LogPosition(partition: state.partition, entryID: id),
                        place > state.through
                    else { return }
                    entries.append((String(keys[index].dropFirst(prefix.count)), place))
                }
            }
            looked += entries.count
            try note(entries, in: state.partition, &gaps)
        }
        return gaps
    }

    private func note(
        _ entries: [(key: String, place: LogPosition)], in partition: Int, _ gaps: inout Gaps
    ) throws(LogFailure) {
        let absent = try absent(entries.map(\.place), in: partition)
        for (key, place) in entries where absent.contains(place) {
            gaps.entries += 1
            gaps.keys[key, default: 0] += 1
            gaps.oldest = min(gaps.oldest ?? place, place)
            gaps.newest = max(gaps.newest ?? place, place)
        }
    }

    /// Whether a partition has the entry of a place, in its stream or in its archive; nil where this process
    /// can't tell. That the place lies before the end is not enough: others may have written on where it was
    /// lost, and archived what they wrote.
    func has(
        _ place: LogPosition, in state: PartitionState, _ archive: Archive?
    ) throws(LogFailure) -> Bool? {
        guard place.milliseconds > 0 else { return true }
        guard place <= state.end else { return false }
        if place > state.through { return try absent([place], in: state.partition).isEmpty }
        guard let archive else { return nil }
        let access = ArchiveAccess(client, archive)
        try access.ask([state.partition], "look at archive")
        do throws(LogFailure) {
            let found = try access.read(after: place.predecessor, limit: 1, "look at archive")
            return found.first?.position == place
        } catch {
            // A segment that is damaged or away tells nothing.
            guard error.remedy != .time else { throw error }
            return nil
        }
    }

    /// Those of some places in a partition where no entry stands.
    func absent(_ places: [LogPosition], in partition: Int) throws(LogFailure) -> Set<LogPosition> {
        var absent: Set<LogPosition> = []
        var rest = places[...]
        while !rest.isEmpty {
            var commands = CommandBuffer()
            for start in stride(
                from: rest.startIndex, to: min(rest.endIndex, rest.startIndex + 10_000), by: 500)
            {
                let some = rest[start..<min(rest.endIndex, start + 500)]
                commands.run(.absent, [LogKeys.log(partition)], some.map(\.entryID))
            }
            rest = rest.dropFirst(10_000)
            try client.pipeline("find what is lost", LogKeys.log(partition), commands) { _, reply in
                reply.forEach { entry in
                    guard let id = entry.string else { return }
                    if let place = LogPosition(partition: partition, entryID: id) { absent.insert(place) }
                }
            }
        }
        return absent
    }
}
