public import EventSourcing

/// A partition that is halted.
public struct HaltedPartition: Sendable, Hashable {
    /// Its number.
    public var partition: Int
    /// What was noticed, and when.
    public var reason: String
}

/// Partitions that are halted because they lack events that were acknowledged or read before. Blocks;
/// one thread.
public final class RedisHalts {
    private let client: RedisClient

    init(_ client: RedisClient) { self.client = client }

    /// The halted partitions in order.
    public func list() throws(LogFailure) -> [HaltedPartition] {
        let pairs = try client.command("list halts", LogKeys.halted, ["HGETALL", LogKeys.halted]).elements
        var halts: [HaltedPartition] = []
        for index in stride(from: 0, to: pairs.count - 1, by: 2) {
            if let partition = pairs[index].text.flatMap(LogKeys.partition(named:)) {
                halts.append(HaltedPartition(partition: partition, reason: pairs[index + 1].text ?? ""))
            }
        }
        return halts.sorted { $0.partition < $1.partition }
    }

    /// Accepts the loss: the partition is open again to processes that start from now on. What was
    /// derived from the lost events must be built again.
    /// - Returns: false when the partition is not halted.
    public func lift(_ partition: Int) throws(LogFailure) -> Bool {
        let name = LogPosition.partitionName(partition)
        return try client.command("lift halt", name, ["HDEL", LogKeys.halted, name]).integer == 1
    }
}
