internal import EventSourcing

/// Liveness marks as keys that expire. A mark holds the format level that its process reads; each beat
/// brings the log's level back.
final class RedisLiveness: Liveness {
    private let client: RedisClient
    private let levels: LevelWatch

    init(_ client: RedisClient, _ levels: LevelWatch) {
        self.client = client
        self.levels = levels
    }

    func beat(_ mark: String, forMilliseconds: Int) throws(LogFailure) {
        let key = LogKeys.alive(mark)
        var commands = CommandBuffer()
        commands.run(.mark, [key], [LevelWatch.mark, String(max(1, forMilliseconds))])
        commands.command("HGET", LogKeys.meta, LevelWatch.field)
        let levels = levels
        try client.pipeline("beat", key, commands) { index, reply throws(LogFailure) in
            if index == 1 { try levels.learn(reply.string) }
        }
    }

    func alive(_ marks: [String]) throws(LogFailure) -> [Bool] {
        guard !marks.isEmpty else { return [] }
        return try Self.alive(marks, client)
    }

    func end(_ mark: String) throws(LogFailure) {
        let key = LogKeys.alive(mark)
        _ = try client.command("end", key, ["DEL", key])
    }

    /// Which marks are set. One command per key: on a cluster they live in different places.
    static func alive(_ marks: [String], _ client: RedisClient) throws(LogFailure) -> [Bool] {
        var commands = CommandBuffer()
        for mark in marks { commands.command("EXISTS", LogKeys.alive(mark)) }
        var answers: [Bool] = []
        try client.pipeline("alive", "\(client.address)", commands) { _, reply throws(LogFailure) in
            answers.append(reply.integer == 1)
        }
        return answers
    }
}
