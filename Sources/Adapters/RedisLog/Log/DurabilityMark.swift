package import EventSourcing

/// The most that the log's server ever gave an append, kept with the log: a process that starts knows by it
/// that the server gives less now. It never falls by itself; only people accept less.
struct DurabilityMark: Equatable {
    /// Field of `reel:meta`; logs that no build looked after that knows of it lack it.
    static let field = "durability"

    /// As `ServerSettings.rank`.
    var disk: Int
    /// Good replicas that the server wanted before it took a write.
    var replicas: Int

    /// Words for ranks, in their order.
    private static let words = ["unknown", "less", "everysec", "always"]

    init(_ settings: ServerSettings) {
        disk = settings.rank
        replicas = settings.minReplicasToWrite ?? 0
    }

    /// What stands in the log; nil where nothing does, or nothing that a mark can be.
    init?(_ text: String?) {
        let parts = text?.split(separator: " ", omittingEmptySubsequences: false) ?? []
        guard parts.count == 2, let disk = Self.words.firstIndex(of: String(parts[0])),
            let replicas = Int(parts[1]), replicas >= 0
        else { return nil }
        self.disk = disk
        self.replicas = replicas
    }

    /// How it stands in the log.
    var text: String { "\(Self.words[disk]) \(replicas)" }

    /// The better of both in each respect.
    func joined(_ other: DurabilityMark) -> DurabilityMark {
        var best = self
        best.disk = max(disk, other.disk)
        best.replicas = max(replicas, other.replicas)
        return best
    }

    /// What the server gives less of now; nil where it gives as much.
    func lacking(_ settings: ServerSettings) -> String? {
        var found: [String] = []
        if settings.rank < disk {
            let once = disk > 1 ? "appendfsync was \(Self.words[disk]) once" : "it was known once"
            found.append("\(settings.durability); \(once)")
        }
        // What a server does not tell is said above.
        if let now = settings.minReplicasToWrite, now < replicas {
            found.append(
                "min-replicas-to-write is \(now), and was \(replicas) once: writes are taken with fewer "
                    + "replicas at hand")
        }
        guard !found.isEmpty else { return nil }
        return "the server's settings have become worse: \(found.joined(separator: "; "))"
    }
}

extension RedisClient {
    /// The most that the log's server ever gave; nil where nobody has written that down.
    func durabilityMark() throws(LogFailure) -> DurabilityMark? {
        DurabilityMark(
            try command("inspect", LogKeys.meta, ["HGET", LogKeys.meta, DurabilityMark.field]).text)
    }

    /// Writes it down, also on a server that is out of memory.
    func keep(_ mark: DurabilityMark) throws(LogFailure) {
        _ = try run("inspect", LogKeys.meta, .set, [LogKeys.meta], [DurabilityMark.field, mark.text])
    }
}

extension RedisEventLog {
    /// Takes what the server's settings give now for what this log is to have.
    /// - Returns: what was said of the settings until then; nil where they were as good as ever, and nothing
    ///   changed.
    package func acceptDurability() throws(LogFailure) -> String? {
        let client = client("inspect")
        let settings = try ServerSettings.weakest(client)
        guard let worsened = try client.durabilityMark()?.lacking(settings) else { return nil }
        try client.keep(DurabilityMark(settings))
        return worsened
    }
}
