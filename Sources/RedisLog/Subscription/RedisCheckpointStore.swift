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

    func save(_ subscription: String, _ positions: [LogPosition]) throws {
        var commands = CommandBuffer()
        for position in positions {
            commands.command("HSET", LogKeys.checkpoints(position.partition), subscription, position.entryID)
        }
        try client.pipeline("save checkpoints", subscription, commands) { _, _ in }
    }
}
