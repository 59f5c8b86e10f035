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

    /// What is demanded of an append, and what the places it goes to add to it.
    public var demands = Durability()
    /// Whether another server may take this one's place.
    public var isReplicated = false

    /// What an acknowledged append has survived, in a sentence.
    public var durability: String { onDisk + demands.sentence(isReplicated: isReplicated) }

    private var onDisk: String {
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

    private var isDurable: Bool { appendOnly == "yes" && appendFsync == "always" }

    /// How much is on disk, for comparing servers: 3 everything, 2 all but a second, 1 less, 0 unknown.
    private var rank: Int {
        switch (appendOnly, appendFsync) {
        case ("yes", "always"): 3
        case ("yes", "everysec"): 2
        case ("yes", _), ("no", _): 1
        default: 0
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
        guard demands.level == .unconfirmed || isDurable else {
            throw LogFailure(
                .unsuitable, operation: "open", key: address,
                text: "durable appends are demanded, and the server has appendonly "
                    + "\(appendOnly.isEmpty ? "unknown" : appendOnly) and appendfsync "
                    + "\(appendFsync.isEmpty ? "unknown" : appendFsync); set appendonly yes and appendfsync "
                    + "always, or REEL_DURABILITY=unconfirmed")
        }
        let major = Int(version.prefix { $0 != "." }) ?? 0
        guard major >= 7 else {
            throw LogFailure(
                .unsuitable, operation: "open", key: address,
                text: "Redis \(version) has no functions; 7.0 or later is needed")
        }
    }

    /// The settings of every master.
    static func read(_ client: RedisClient) throws(LogFailure) -> [(RedisAddress, ServerSettings)] {
        var commands = CommandBuffer()
        commands.command("INFO")
        commands.command("CONFIG", "GET", "appendfsync")
        // CONFIG is often forbidden on managed servers; what INFO knows is enough to go on.
        let masters = try client.onEachMaster(
            "inspect", commands, accepting: { $0.hasPrefix("NOPERM") || $0.contains("unknown") })
        return masters.map { address, replies in
            (address, ServerSettings(info: replies[0].text ?? "", replies[1].elements, client))
        }
    }

    /// The settings of the master whose appends are worth least.
    static func weakest(_ client: RedisClient) throws(LogFailure) -> ServerSettings {
        guard let weakest = try read(client).map(\.1).min(by: { $0.rank < $1.rank }) else {
            throw LogFailure(
                .unreachable, operation: "inspect", key: "\(client.address)", text: "there is no master")
        }
        return weakest
    }

    private init(info: String, _ config: [Reply], _ client: RedisClient) {
        var facts: [Substring: Substring] = [:]
        for line in info.split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            facts[line[..<colon]] = line[line.index(after: colon)...]
        }
        version = String(facts["redis_version"] ?? "")
        appendOnly = facts["aof_enabled"].map { $0 == "1" ? "yes" : "no" } ?? ""
        appendFsync = config.count == 2 ? config[1].text ?? "" : ""
        maxmemoryPolicy = String(facts["maxmemory_policy"] ?? "")
        maxmemoryBytes = Int(facts["maxmemory"] ?? "") ?? 0
        demands = client.options.durability
        if case .single = client.address { isReplicated = false } else { isReplicated = true }
    }
}
