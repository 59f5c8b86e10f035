internal import Base
package import EventSourcing

/// How far a stage, or a subscription, is behind in one partition. Counted from our own ranks; ages are by
/// the server's clock, which also gave the entries their time.
package struct PartitionLag: Sendable, Hashable {
    /// Partition of the log.
    package var partition: Int
    /// Events that were not taken up yet.
    package var behind = 0
    /// Events that were delivered and are not finished; 0 for subscriptions that need order.
    package var pending = 0
    /// Events that were set aside.
    package var parked = 0
    /// Milliseconds since the oldest event that is not finished was appended; nil when all are.
    package var oldestMilliseconds: Int?
    /// Milliseconds since the oldest event that was delivered and is not finished was appended.
    package var oldestPendingMilliseconds: Int?
    /// Who owns the partition; empty when nobody does. Nil for stages, whose workers share all.
    package var owner: String?
    /// How often the partition has changed its owner. Nil for stages.
    package var generation: UInt64?

    /// A partition in which nothing is behind.
    package init(partition: Int) { self.partition = partition }
}

extension RedisGroups {
    /// How far a stage's group is behind in each partition; nil when no partition knows it.
    package func lag(ofGroup group: String) throws(LogFailure) -> [PartitionLag]? {
        var lags = Dictionary(uniqueKeysWithValues: partitions.map { ($0, PartitionLag(partition: $0)) })
        var known: [LogPosition] = []
        var pendingFrom: [Int: UInt64] = [:]
        var commands = CommandBuffer()
        for partition in partitions {
            commands.command("XINFO", "GROUPS", LogKeys.log(partition))
            commands.command("XPENDING", LogKeys.log(partition), group)
            commands.command("HLEN", LogKeys.parked(partition, group))
        }
        let missing = { (text: String) in text.contains("no such key") || text.hasPrefix("NOGROUP") }
        try client.pipeline("lag", group, commands, accepting: missing) { index, reply throws(LogFailure) in
            let partition = self.partitions[index / 3]
            switch index % 3 {
            case 0:
                try reply.forEach { item throws(LogFailure) in
                    let facts = Self.facts(of: Reply(item))
                    guard facts["name"]?.text == group else { return }
                    let delivered = facts["last-delivered-id"]?.text.flatMap {
                        LogPosition(partition: partition, entryID: $0)
                    }
                    if let delivered { known.append(delivered) }
                }
            case 1:
                lags[partition]?.pending = reply[0]?.quantity ?? 0
                if let first = reply[1]?.string {
                    pendingFrom[partition] =
                        LogPosition(partition: partition, entryID: first)?.milliseconds
                }
            default: lags[partition]?.parked = reply.quantity ?? 0
            }
        }
        guard !known.isEmpty else { return nil }
        try fill(&lags, after: known, pendingFrom)
        return partitions.compactMap { lags[$0] }
    }

    /// How far an ordered subscription is behind in each partition.
    /// - Parameters:
    ///   - positions: its checkpoints; partitions that are absent start at their beginning.
    ///   - holders: who owns what.
    package func lag(
        ofSubscription subscription: String, after positions: [Int: LogPosition], _ holders: [LeaseHolder]
    ) throws(LogFailure) -> [PartitionLag] {
        var lags = Dictionary(uniqueKeysWithValues: partitions.map { ($0, PartitionLag(partition: $0)) })
        for holder in holders {
            lags[holder.partition]?.owner = holder.owner
            lags[holder.partition]?.generation = holder.generation
        }
        var commands = CommandBuffer()
        for partition in partitions {
            commands.command("HLEN", LogKeys.parked(partition, subscription))
        }
        try client.pipeline("lag", subscription, commands) { index, reply throws(LogFailure) in
            lags[self.partitions[index]]?.parked = reply.quantity ?? 0
        }
        try fill(&lags, after: partitions.map { positions[$0] ?? .start(of: $0) }, [:])
        return partitions.compactMap { lags[$0] }
    }

    /// Counts what stands after the positions, and finds the age of the first of it.
    private func fill(
        _ lags: inout [Int: PartitionLag], after positions: [LogPosition], _ pendingFrom: [Int: UInt64]
    ) throws(LogFailure) {
        for (position, count) in zip(positions, try remaining(after: positions)) {
            lags[position.partition]?.behind = count
        }
        var commands = CommandBuffer()
        for position in positions {
            commands.command(
                "XRANGE", LogKeys.log(position.partition), "(" + position.entryID, "+", "COUNT", "1")
        }
        commands.command("TIME")
        var first = pendingFrom
        var now: UInt64 = 0
        try client.pipeline("lag", "\(client.address)", commands) { index, reply throws(LogFailure) in
            guard positions.indices.contains(index) else {
                let seconds = UInt64(reply[0]?.quantity ?? 0)
                return now = seconds *| 1000 +| UInt64(reply[1]?.quantity ?? 0) / 1000
            }
            let partition = positions[index].partition
            guard let text = reply[0]?[0]?.string,
                let entry = LogPosition(partition: partition, entryID: text)
            else { return }
            first[partition] = min(first[partition] ?? .max, entry.milliseconds)
        }
        for (partition, oldest) in first { lags[partition]?.oldestMilliseconds = Self.age(oldest, now) }
        for (partition, oldest) in pendingFrom {
            lags[partition]?.oldestPendingMilliseconds = Self.age(oldest, now)
        }
    }

    /// Entries may be ahead of a clock that was set back.
    private static func age(_ entry: UInt64, _ now: UInt64) -> Int { Int(clamping: now -| entry) }
}
