internal import EventSourcing

/// Looking after the entries of members that are gone or stuck.
extension RedisCompetingSubscription {
    /// Orphans younger than this are left alone: their member may be about to set its first liveness mark.
    private static let orphanMilliseconds = 500

    /// Does what is due; takes over at most `room` entries.
    func survey(room: Int) throws(LogFailure) {
        var generator = SystemRandomNumberGenerator()
        let due = schedule.due(at: monotonicMilliseconds(), using: &generator)
        guard due.orphans else { return }
        if due.stalled { try showWaiting() }
        let pending = try pendingByMember()
        let gone = try goneInstances(among: pending.map(\.instance))
        var room = room
        for member in pending where gone.contains(member.instance) {
            guard room > 0 else {
                schedule.again()
                break
            }
            room -= try takeOver(
                from: member.name, member.partition, idle: Self.orphanMilliseconds, limit: min(room, 100))
        }
        if due.stalled, room > 0 {
            let partitions = Set(pending.filter { !gone.contains($0.instance) }.map(\.partition))
            for partition in partitions.sorted() where room > 0 {
                room -= try takeOver(
                    from: "", partition, idle: client.options.processingMilliseconds, limit: min(room, 100))
            }
        }
        if due.names { try forgetGoneMembers() }
    }

    private struct PendingMember {
        let partition: Int
        let name: String
        var instance: Substring { name.prefix { $0 != "/" } }
    }

    /// The other members that have entries pending.
    private func pendingByMember() throws(LogFailure) -> [PendingMember] {
        commands.removeAll()
        for partition in 0..<partitioning.count {
            commands.command("XPENDING", LogKeys.log(partition), group)
        }
        let me = consumer.description
        var members: [PendingMember] = []
        try run("survey") { partition, reply throws(LogFailure) in
            // What is pending in a halted partition stays where it is until the halt is lifted.
            guard self.client.history?.reason(partition) == nil else { return }
            reply[3]?.forEach { item in
                if let name = item[0]?.string, name != me {
                    members.append(PendingMember(partition: partition, name: name))
                }
            }
        }
        return members
    }

    private func goneInstances(among instances: [Substring]) throws(LogFailure) -> Set<Substring> {
        let others = Set(instances).subtracting([Substring(consumer.instance)]).sorted()
        guard !others.isEmpty else { return [] }
        let alive = try RedisLiveness.alive(others.map { ConsumerName.mark(ofInstance: $0) }, client)
        return Set(zip(others, alive).filter { !$0.1 }.map(\.0))
    }

    /// Moves entries to this member, atomically: between two members that try, each entry moves once.
    /// - Parameter from: the member, or empty for whoever has held entries longer than `idle`.
    private func takeOver(
        from: String, _ partition: Int, idle: Int, limit: Int
    ) throws(LogFailure) -> Int {
        commands.removeAll()
        commands.call(
            "reel_claim", [LogKeys.log(partition)],
            [group, from, consumer.description, String(idle), String(limit)])
        commands.command("HGET", LogKeys.meta, "epoch")
        var deliveries: [LogPosition: Int] = [:]
        var moved = 0
        var malformed: [UnreadableEntry] = []
        try run("claim") { index, reply throws(LogFailure) in
            guard index == 0 else { return try self.client.requireEpoch(reply, "claim") }
            try reply[0]?.forEach { item throws(LogFailure) in
                let position = try EntryCoding.position(item[0], partition: partition, operation: "claim")
                deliveries[position] = item[1]?.quantity ?? 1
            }
            try reply[1]?.forEach { entry throws(LogFailure) in
                let position = try EntryCoding.position(entry[0], partition: partition, operation: "claim")
                guard entry[1]?.isArray == true, let count = deliveries.removeValue(forKey: position) else {
                    return
                }
                moved += 1
                try self.accept(entry, partition: partition, attempt: count + 1, malformed: &malformed)
            }
        }
        // What was pending and did not come along is no longer in the log.
        try dismiss(deliveries.keys.sorted())
        if moved > 0 {
            client.options.notify(
                .claimed(group: group, from: from.isEmpty ? "members that are stuck" : from, entries: moved))
        }
        try setAside(malformed)
        return moved
    }

    /// Shows that this member still has what waits here, and learns what others have taken over.
    func showWaiting() throws(LogFailure) {
        let waiting = Dictionary(grouping: book.waiting, by: \.partition).sorted { $0.key < $1.key }
        guard !waiting.isEmpty else { return }
        commands.removeAll()
        for (partition, positions) in waiting {
            commands.call(
                "reel_touch", [LogKeys.log(partition)],
                [group, consumer.description] + positions.map(\.entryID))
        }
        var lost: [LogPosition] = []
        try run("touch") { index, reply throws(LogFailure) in
            try reply.forEach { id throws(LogFailure) in
                lost.append(
                    try EntryCoding.position(id, partition: waiting[index].key, operation: "touch"))
            }
        }
        for position in lost { forget(position) }
    }

    /// Removes the names of members whose process is gone. A name that has entries pending stays:
    /// removing it would lose them, so the server checks once more.
    private func forgetGoneMembers() throws(LogFailure) {
        commands.removeAll()
        for partition in 0..<partitioning.count {
            commands.command("XINFO", "CONSUMERS", LogKeys.log(partition), group)
        }
        var idle: [PendingMember] = []
        try run("survey names") { partition, reply throws(LogFailure) in
            reply.forEach { member in
                // Pairs of name and value; the server may add pairs, so they are looked up.
                var facts: [String: ReplyView] = [:]
                for index in stride(from: 0, to: member.count - 1, by: 2) {
                    if let name = member[index]?.string { facts[name] = member[index + 1] }
                }
                guard let name = facts["name"]?.string, facts["pending"]?.integer == 0 else { return }
                idle.append(PendingMember(partition: partition, name: name))
            }
        }
        let gone = try goneInstances(among: idle.map(\.instance))
        let names = idle.filter { gone.contains($0.instance) }
        guard !names.isEmpty else { return }
        commands.removeAll()
        for member in names {
            commands.call("reel_forget", [LogKeys.log(member.partition)], [group, member.name])
        }
        var removed: Set<String> = []
        try run("remove names") { index, reply throws(LogFailure) in
            if reply.integer == 1 { removed.insert(names[index].name) }
        }
        for name in removed.sorted() { client.options.notify(.memberRemoved(group: group, name)) }
    }
}
