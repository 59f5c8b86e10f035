internal import EventSourcing

/// Settings of the server that decide what an append is worth.
public struct ServerSettings: Sendable, Hashable {
    /// The server's version, such as `7.0.15`.
    public var version: String
    /// `yes` or `no`; empty when the server does not tell.
    public var appendOnly: String
    /// `always`, `everysec` or `no`; empty when the server does not tell.
    public var appendFsync: String
    /// `noeviction` or an evicting policy; empty when the server does not tell.
    public var maxmemoryPolicy: String
    /// Limit of memory in bytes, 0 for none.
    public var maxmemoryBytes: Int

    /// What an acknowledged append has survived, in a sentence.
    public var durability: String {
        switch (appendOnly, appendFsync) {
        case ("yes", "always"):
            "an acknowledged append is on disk: it survives a crash of the server and a loss of power"
        case ("yes", "everysec"):
            "an acknowledged append survives a crash of the server process; a loss of power can take the "
                + "last second (set appendfsync always)"
        case ("yes", "no"):
            "an acknowledged append survives a crash of the server process; a loss of power takes whatever "
                + "the system had not yet written (set appendfsync always)"
        case ("no", _):
            "an acknowledged append is in memory only: a crash of the server loses everything since its "
                + "last snapshot (set appendonly yes and appendfsync always)"
        default:
            "unknown: the server does not tell appendonly and appendfsync"
        }
    }

    /// Refuses a server that would throw events away to make room.
    func requireSuitable(at address: String) throws(LogFailure) {
        guard maxmemoryPolicy.isEmpty || maxmemoryPolicy == "noeviction" else {
            throw LogFailure(
                .unsuitable, operation: "open", key: address,
                text: "maxmemory-policy is \(maxmemoryPolicy): the server may evict events; "
                    + "set maxmemory-policy noeviction")
        }
        let major = Int(version.prefix { $0 != "." }) ?? 0
        guard major >= 7 else {
            throw LogFailure(
                .unsuitable, operation: "open", key: address,
                text: "Redis \(version) has no functions; 7.0 or later is needed")
        }
    }

    static func read(_ client: RedisClient) throws(LogFailure) -> ServerSettings {
        let info = try client.command("inspect", "INFO", ["INFO"])
        var facts: [Substring: Substring] = [:]
        for line in (info.text ?? "").split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            facts[line[..<colon]] = line[line.index(after: colon)...]
        }
        // CONFIG is often forbidden on managed servers; what INFO knows is enough to go on.
        let config = try client.command(
            "inspect", "CONFIG", ["CONFIG", "GET", "appendfsync"],
            accepting: { $0.hasPrefix("NOPERM") || $0.contains("unknown") })
        let values = config.elements
        return ServerSettings(
            version: String(facts["redis_version"] ?? ""),
            appendOnly: facts["aof_enabled"].map { $0 == "1" ? "yes" : "no" } ?? "",
            appendFsync: values.count == 2 ? values[1].text ?? "" : "",
            maxmemoryPolicy: String(facts["maxmemory_policy"] ?? ""),
            maxmemoryBytes: Int(facts["maxmemory"] ?? "") ?? 0)
    }
}
