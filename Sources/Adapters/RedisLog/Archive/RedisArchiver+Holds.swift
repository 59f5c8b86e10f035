internal import EventSourcing

/// What keeps events in the server, and how indexes follow when they go.
extension RedisArchiver {
    func groupNames(_ partition: Int) throws(LogFailure) -> [String] {
        let key = LogKeys.log(partition)
        let groups = try client.command(
            "archive", key, ["XINFO", "GROUPS", key], accepting: { $0.contains("no such key") }
        ).elements.compactMap { facts -> String? in
            let pairs = facts.elements
            return pairs.firstIndex { $0.text == "name" }.flatMap { pairs.dropFirst($0 + 1).first?.text }
        }
        return Set(groups + holding(.group)).sorted()
    }

    func keys(_ partition: Int, _ groups: [String]) -> [String] {
        [
            LogKeys.log(partition), LogKeys.archive(partition), LogKeys.ranks(partition),
            LogKeys.checkpoints(partition),
        ] + groups.map { LogKeys.parked(partition, $0) }
    }

    func required(_ groups: [String]) -> [String] {
        let checkpoints = holding(.log)
        return [String(groups.count)] + groups + [String(checkpoints.count)] + checkpoints
    }

    /// Names of those that hold events back even where they have never begun.
    private func holding(_ checkpoint: Subscription.Checkpoint) -> [String] {
        let all = log.options.subscriptions?.all ?? []
        return all.filter { $0.holdsBack && $0.checkpoint == checkpoint }.map(\.name)
    }

    /// What keeps parts of a partition in the server.
    func holds(of partition: Int, upTo limit: LogPosition?) throws(LogFailure) -> [ArchiveHold] {
        let known = try groupNames(partition)
        let key = LogKeys.log(partition)
        let reply = try client.run("archive", key, .holds, keys(partition, known), required(known))
        var holds: [ArchiveHold] = []
        for item in reply.elements { holds.append(try hold(item.elements[...], partition)) }
        if let limit {
            holds.append(
                ArchiveHold(kind: "checkpoint", name: "read models", position: limit, holdsItself: false))
        }
        return holds
    }

    func hold(_ facts: ArraySlice<Reply>, _ partition: Int) throws(LogFailure) -> ArchiveHold {
        let facts = Array(facts)
        guard facts.count >= 3, let kind = facts[0].text, let name = facts[1].text, let id = facts[2].text
        else {
            throw LogFailure(
                .corrupt, operation: "archive", key: LogKeys.log(partition), text: "an unexpected answer")
        }
        // A checkpoint that cannot be read holds everything.
        return ArchiveHold(
            kind: kind, name: name,
            position: LogPosition(partition: partition, entryID: id) ?? .start(of: partition),
            holdsItself: facts.count > 3 && facts[3].integer == 1)
    }

    /// Lets indexes and ids follow the stream.
    func shrink(_ events: [RecordedEvent], _ shrunk: LogPosition) throws(LogFailure) {
        guard let through = events.last?.position else { return }
        var last: [String: RecordedEvent] = [:]
        for event in events { last[event.partitionKey] = event }
        var rest = last.values.sorted { $0.position < $1.position }[...]
        let partition = through.partition
        while !rest.isEmpty {
            let some = rest.prefix(50)
            let keys = some.flatMap {
                [LogKeys.index(partition, $0.partitionKey), LogKeys.ids(partition, $0.partitionKey)]
            }
            _ = try halting(partition) { () throws(LogFailure) in
                try client.run(
                    "shrink", LogKeys.log(partition), .shrink,
                    [LogKeys.ranks(partition), LogKeys.archive(partition)] + keys,
                    some.flatMap { [String($0.sequence), $0.position.entryID] })
            }
            rest = rest.dropFirst(50)
            try reachedStep(.shrinking)
        }
        try reachedStep(.shrunk)
        let key = LogKeys.archive(partition)
        _ = try client.run("shrink", key, .set, [key], ["shrunk", through.entryID])
    }
}
