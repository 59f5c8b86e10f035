internal import EventSourcing

/// Checkpoints in one hash per partition, beside its log.
final class RedisCheckpointStore: CheckpointStore {
    private let client: RedisClient
    private let partitions: [Int]
    private let subscriptions: SubscriptionRegistry?

    init(_ client: RedisClient, _ partitions: [Int], _ subscriptions: SubscriptionRegistry?) {
        self.client = client
        self.partitions = partitions
        self.subscriptions = subscriptions
    }

    func load(_ subscription: String) throws -> [Int: LogPosition] {
        var commands = CommandBuffer()
        for partition in partitions {
            commands.command("HGET", LogKeys.checkpoints(partition), subscription)
        }
        var positions: [Int: LogPosition] = [:]
        try client.pipeline("load checkpoints", subscription, commands) {
            index, reply throws(LogFailure) in
            guard !reply.isNil else { return }
            positions[partitions[index]] = try EntryCoding.position(
                reply, partition: partitions[index], operation: "load checkpoints",
                key: LogKeys.checkpoints(partitions[index]))
        }
        return positions
    }

    func save(_ subscription: String, _ positions: [LogPosition], under fences: [Fence]) throws {
        try subscriptions?.require(subscription, .log)
        var commands = CommandBuffer()
        for position in positions {
            let key = LogKeys.checkpoints(position.partition)
            if let fence = fences.first(where: { $0.partition == position.partition }) {
                commands.call(
                    "reel_checkpoint", [key, LogKeys.lease(position.partition, fence.subscription)],
                    [subscription, position.entryID, fence.owner, String(fence.generation)])
            } else {
                commands.run(.set, [key], [subscription, position.entryID])
            }
        }
        var refused: LogFailure?
        try client.pipeline("save checkpoints", subscription, commands) { index, reply throws(LogFailure) in
            guard reply.isArray, reply[0]?.integer == 0 else { return }
            refused = .fenced(
                "save checkpoints",
                "\(subscription) \(LogPosition.partitionName(positions[index].partition))",
                generation: UInt64(clamping: reply[1]?.integer ?? 0))
        }
        if let refused { throw refused }
    }
}
