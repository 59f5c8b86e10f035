internal import EventSourcing

/// Liveness marks as keys that expire.
final class RedisLiveness: Liveness {
    private let client: RedisClient

    init(_ client: RedisClient) { self.client = client }

    func beat(_ mark: String, forMilliseconds: Int) throws(LogFailure) {
        let key = LogKeys.alive(mark)
        _ = try client.command("beat", key, ["SET", key, "1", "PX", String(max(1, forMilliseconds))])
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
