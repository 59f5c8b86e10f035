package import EventSourcing

/// The log's format level, for whoever raises it or looks at it. For one thread. Blocks.
///
/// A level is raised only when every live process reads it, and no process of an earlier build begins
/// meanwhile: whoever raises first says so in a key of its own, and whoever begins first sets its liveness
/// mark and then looks at both. So of two that do so at once at least one sees the other.
package final class RedisFormatLevel {
    /// What keeps the level where it is.
    package struct Laggard: Sendable, Hashable, CustomStringConvertible {
        /// Its liveness mark: `worker/<id>`, or one with another word in front.
        package var mark: String
        /// The level that it reads.
        package var level: FormatLevel
        /// Host and process id, where the build says them.
        package var place: String

        /// `worker/01J… on host:4711 reads level 1`.
        package var description: String {
            "\(mark)\(place.isEmpty ? "" : " on \(place)") reads level \(level)"
        }
    }

    /// Marks that outlive this are no process's: what rests is marked for days.
    private static let longestMilliseconds = 3_600_000
    /// After so long without an end, an attempt to raise the level counts as given up.
    private static let attemptMilliseconds = 30_000
    private static let pendingKey = "reel:level:pending"

    private let client: RedisClient
    private let watch: LevelWatch

    init(_ client: RedisClient, _ watch: LevelWatch) {
        self.client = client
        self.watch = watch
    }

    /// Reads the level again.
    /// - Throws: `unsuitable` when it is beyond what this build reads.
    @discardableResult
    package func refresh() throws(LogFailure) -> FormatLevel {
        let reply = try client.command("read level", LogKeys.meta, ["HGET", LogKeys.meta, LevelWatch.field])
        return try watch.learn(reply.text)
    }

    /// Whether a process whose mark is set may go on: false while somebody is raising the level beyond what
    /// this build reads, and may not have seen the mark.
    /// - Throws: `unsuitable` when the level is beyond what this build reads.
    package func isAdmitted() throws(LogFailure) -> Bool {
        let pending = try client.command("read level", Self.pendingKey, ["GET", Self.pendingKey])
        try refresh()
        guard let asked = pending.text.flatMap({ FormatLevel($0) }) else { return true }
        return asked <= .newest
    }

    /// Live processes that read less than this build does.
    package func laggards() throws(LogFailure) -> [Laggard] {
        var marks: [String] = []
        try client.forEachPage(ofKeys: LogKeys.alive("*"), "find processes") { marks += $0 }
        var found: [Laggard] = []
        for key in marks {
            var commands = CommandBuffer()
            commands.command("GET", key)
            commands.command("PTTL", key)
            var value: String?
            var rest = 0
            try client.pipeline("find processes", key, commands) { index, reply throws(LogFailure) in
                if index == 0 { value = reply.string } else { rest = reply.integer ?? 0 }
            }
            guard let value, (1...Self.longestMilliseconds).contains(rest) else { continue }
            let parts = value.split(separator: " ", maxSplits: 1)
            let level = parts.first.flatMap { FormatLevel(String($0)) } ?? .first
            guard level < .newest else { continue }
            found.append(
                Laggard(
                    mark: String(key.dropFirst(LogKeys.alive("").count)), level: level,
                    place: parts.count == 2 ? String(parts[1]) : ""))
        }
        return found.sorted { $0.mark < $1.mark }
    }

    /// Raises the level as far as every live process reads it.
    /// - Returns: the processes that keep it below what this build reads; empty when it is there.
    package func raise() throws(LogFailure) -> [Laggard] {
        guard try refresh() < .newest else { return [] }
        _ = try client.command(
            "raise level", Self.pendingKey,
            [
                "SET", Self.pendingKey, "\(FormatLevel.newest)", "PX", String(Self.attemptMilliseconds),
            ])
        let laggards = try laggards()
        let reached = laggards.map(\.level).min() ?? .newest
        if reached > watch.level {
            let reply = try client.call(
                "raise level", LogKeys.meta, "reel_raise", [LogKeys.meta], ["\(reached)"])
            try watch.learn(reply.integer.map(String.init))
        }
        _ = try client.command("raise level", Self.pendingKey, ["DEL", Self.pendingKey])
        return laggards
    }
}
