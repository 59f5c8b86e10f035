internal import EventSourcing

/// Checkpoints in one hash per partition, beside its log.
final class RedisCheckpointStore: CheckpointStore {
    private let client: RedisClient
    private let partitioning: Partitioning

    init(_ client: RedisClient, _ partitioning: Partitioning) {
        self.client = client
        self.partitioning = partitioning
    }

    func load(_ subscription: String) throws -> [Int: LogPosition] {
        var commands = CommandBuffer()
        for partition in 0..<partitioning.count {
            commands.command("HGET", LogKeys.checkpoints(partition), subscription)
        }
        var positions: [Int: LogPosition] = [:]
        try client.pipeline("load checkpoints", subscription, commands) {
            partition, reply throws(LogFailure) in
            guard !reply.isNil else { return }
            positions[partition] = try EntryCoding.position(
                reply, partition: partition, operation: "load checkpoints")
        }
        return positions
    }

    func save(_ subscription: String, _ positions: [LogPosition], under fences: [Fence]) throws {
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
