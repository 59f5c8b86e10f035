internal import Base
package import EventSourcing

/// What the log takes in the server.
package struct LogMemory: Sendable, Hashable {
    /// Keys of the log's partitions.
    package var keys: Int
    /// Bytes of these keys, as the server counts them.
    package var bytes: Int
}

extension RedisEventLog {
    /// Bytes that the server uses for data of any kind (`used_memory`): cheap enough to be asked often.
    package func serverMemory() throws(LogFailure) -> Int {
        let text = try client("memory").command("memory", "\(address)", ["INFO", "memory"]).text ?? ""
        for line in text.split(whereSeparator: \.isNewline) where line.hasPrefix("used_memory:") {
            if let bytes = Int(line.dropFirst("used_memory:".count)) { return bytes }
        }
        throw LogFailure(
            .server, operation: "memory", key: "\(address)", text: "the server does not say what it uses")
    }

    /// The share of its memory that the fullest server uses; 0 where none has a limit, or tells.
    package func memoryShare() throws(LogFailure) -> Double {
        let settings = try ServerSettings.read(client("memory"))
        return settings.map {
            $0.1.maxmemoryBytes > 0 ? Double($0.1.usedBytes) / Double($0.1.maxmemoryBytes) : 0
        }
        .max() ?? 0
    }

    /// Adds up what the log's keys take in the server, or in all masters of a cluster: for measurements, it
    /// asks for each key. Blocks.
    package func memory() throws(LogFailure) -> LogMemory {
        let client = client("memory")
        var memory = LogMemory(keys: 0, bytes: 0)
        try client.forEachPage(ofKeys: "reel:{*", "memory") { keys throws(LogFailure) in
            var commands = CommandBuffer()
            for key in keys { commands.command("MEMORY", "USAGE", key, "SAMPLES", "0") }
            try client.pipeline("memory", "\(self.address)", commands) { _, reply throws(LogFailure) in
                // One that has gone meanwhile takes nothing.
                guard let bytes = reply.quantity else { return }
                memory.keys += 1
                memory.bytes +|= bytes
            }
        }
        return memory
    }
}
