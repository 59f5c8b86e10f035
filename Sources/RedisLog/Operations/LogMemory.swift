public import EventSourcing

/// What the log takes in the server.
public struct LogMemory: Sendable, Hashable {
    /// Keys of the log's partitions.
    public var keys: Int
    /// Bytes of these keys, as the server counts them.
    public var bytes: Int
}

extension RedisEventLog {
    /// Adds up what the log's keys take in the server: for measurements, it asks for each key. Blocks.
    public func memory() throws(LogFailure) -> LogMemory {
        let client = client("memory")
        var memory = LogMemory(keys: 0, bytes: 0)
        var cursor = "0"
        repeat {
            let page = try client.command(
                "memory", "\(address)", ["SCAN", cursor, "MATCH", "reel:{*", "COUNT", "1000"])
            cursor = page.elements.first?.text ?? "0"
            var commands = CommandBuffer()
            for key in page.elements.last?.elements ?? [] {
                commands.command("MEMORY", "USAGE", key.text ?? "", "SAMPLES", "0")
            }
            try client.pipeline("memory", "\(address)", commands) { _, reply throws(LogFailure) in
                memory.keys += 1
                memory.bytes += reply.integer ?? 0
            }
        } while cursor != "0"
        return memory
    }
}
