internal import Base
package import EventSourcing

/// How far a group is behind.
package struct GroupBacklog: Sendable, Hashable {
    /// Name of the group.
    package var group: String
    /// Events that were not yet delivered to any member.
    package var behind: Int
    /// Events that were delivered and not yet acknowledged.
    package var pending: Int
    /// Events that were set aside.
    package var parked: Int
    /// `behind` by partition.
    package var behindByPartition: [Int]
}

/// Exact figures about consumer groups. Blocks; one thread.
///
/// The server's own `lag` is not used: it is nil or wrong after deletions, and for groups that were made
/// in the middle of a stream. Here a rank is counted from the nearest milestone that the append
/// function left (about every 256th entry), so the cost does not grow with the backlog.
package final class RedisGroups {
    let client: RedisClient
    /// Those that are counted.
    let partitions: [Int]
    private let archive: ArchiveAccess

    init(_ client: RedisClient, _ partitions: [Int], _ archive: Archive?) {
        self.client = client
        self.partitions = partitions
        self.archive = ArchiveAccess(client, archive)
    }

    /// How far a group is behind; nil when no partition knows it. Appends that happen meanwhile may or
    /// may not be counted.
    package func backlog(of group: String) throws(LogFailure) -> GroupBacklog? {
        var known: [LogPosition] = []
        var backlog = GroupBacklog(
            group: group, behind: 0, pending: 0, parked: 0,
            behindByPartition: Array(repeating: 0, count: (partitions.max() ?? -1) + 1))
        var commands = CommandBuffer()
        for partition in partitions {
            commands.command("XINFO", "GROUPS", LogKeys.log(partition))
            commands.command("HLEN", LogKeys.parked(partition, group))
        }
        try client.pipeline("backlog", group, commands, accepting: { $0.contains("no such key") }) {
            index, reply throws(LogFailure) in
            let partition = self.partitions[index / 2]
            if !index.isMultiple(of: 2) { return backlog.parked +|= reply.quantity ?? 0 }
            try reply.forEach { item throws(LogFailure) in
                let facts = Self.facts(of: Reply(item))
                guard facts["name"]?.text == group else { return }
                backlog.pending +|= facts["pending"]?.quantity ?? 0
                let delivered = facts["last-delivered-id"]?.text.flatMap {
                    LogPosition(partition: partition, entryID: $0)
                }
                if let delivered { known.append(delivered) }
            }
        }
        guard !known.isEmpty else { return nil }
        for (position, count) in zip(known, try remaining(after: known)) {
            backlog.behindByPartition[position.partition] = count
            backlog.behind +|= count
        }
        return backlog
    }

    /// How many events stand after each of the positions in its partition, those in the archive included.
    package func remaining(after positions: [LogPosition]) throws(LogFailure) -> [Int] {
        try archive.ask(Set(positions.map(\.partition)).sorted(), "rank")
        let few = 200
        var counts = try count(positions.map { ($0, "+") }, limit: few)
        let far = positions.indices.filter {
            counts[$0] >= few || positions[$0] < archive.known(positions[$0].partition)
        }
        guard !far.isEmpty else { return counts }
        var milestones: [(LogPosition, Int)] = []
        var totals: [Int] = []
        var trimmed = 0
        var commands = CommandBuffer()
        for index in far {
            let position = positions[index]
            let ranks = LogKeys.ranks(position.partition)
            commands.command("ZSCORE", ranks, "trimmed")
            commands.command("XLEN", LogKeys.log(position.partition))
            commands.command(
                "ZREVRANGEBYSCORE", ranks, "(\(position.milliseconds)", "0", "LIMIT", "0", "1")
        }
        try client.pipeline("rank", "\(client.address)", commands) { index, reply throws(LogFailure) in
            switch index % 3 {
            case 0: trimmed = max(0, 0 -| (reply.integer ?? 0))
            case 1: totals.append(trimmed +| (reply.quantity ?? 0))
            default:
                let partition = positions[far[index / 3]].partition
                let parts = reply[0]?.string?.split(separator: ":") ?? []
                if parts.count == 2, let rank = Int(parts[1]),
                    let place = LogPosition(partition: partition, entryID: parts[0])
                {
                    milestones.append((place, rank))
                } else {
                    milestones.append((.start(of: partition), trimmed))
                }
            }
        }
        let ranges = zip(milestones, far).map { ($0.0, positions[$1].entryID) }
        for (offset, steps) in try count(ranges, limit: Int(Int32.max)).enumerated() {
            let position = positions[far[offset]]
            let through = archive.known(position.partition)
            if position >= through {
                counts[far[offset]] = max(0, totals[offset] -| milestones[offset].1 -| steps)
            } else if position.milliseconds == 0 {
                counts[far[offset]] = totals[offset]
            } else {
                counts[far[offset]] = totals[offset] - (try archive.rank(of: position))
            }
        }
        return counts
    }

    /// Entries after a position, up to an entry id, at most `limit`.
    private func count(_ ranges: [(LogPosition, String)], limit: Int) throws(LogFailure) -> [Int] {
        var commands = CommandBuffer()
        for (position, end) in ranges {
            commands.run(.count, [LogKeys.log(position.partition)], [position.entryID, end, String(limit)])
        }
        var counts = Array(repeating: 0, count: ranges.count)
        try client.pipeline("count", "\(client.address)", commands) { index, reply throws(LogFailure) in
            counts[index] = reply.quantity ?? 0
        }
        return counts
    }

    static func facts(of reply: Reply) -> [String: Reply] {
        let pairs = reply.elements
        var facts: [String: Reply] = [:]
        for index in stride(from: 0, to: pairs.count - 1, by: 2) {
            if let name = pairs[index].text { facts[name] = pairs[index + 1] }
        }
        return facts
    }
}
