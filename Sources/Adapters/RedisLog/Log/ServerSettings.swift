internal import EventSourcing

/// What a server is set to, and how it is, as far as that decides what an append is worth.
package struct ServerSettings: Sendable, Hashable {
    /// The server's version, such as `7.0.15`; empty when the server does not tell.
    package var version: String
    /// `yes` or `no`; empty when the server does not tell.
    package var appendOnly: String
    /// `always`, `everysec` or `no`; empty when the server does not tell.
    package var appendFsync: String
    /// `noeviction` or an evicting policy; empty when the server does not tell.
    package var maxmemoryPolicy: String
    /// Limit of memory in bytes, 0 for none.
    package var maxmemoryBytes: Int
    /// Bytes that it uses, 0 when it does not tell.
    package var usedBytes: Int
    /// Good replicas that it wants before it takes a write, 0 for none; nil when the server does not tell.
    package var minReplicasToWrite: Int?
    /// What it says when it is asked to write something; nil when it takes writes.
    package var refusal: String?
    /// Commands that it does not let this user ask, so that what they would tell is not known.
    package var untold: [String] = []

    /// What is demanded of an append, and what the places it goes to add to it.
    package var demands = Durability()
    /// Whether another server may take this one's place.
    package var isReplicated = false

    /// What an acknowledged append has survived, in a sentence.
    package var durability: String { onDisk + demands.sentence(isReplicated: isReplicated) }

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
                + (untold.isEmpty ? "" : " (its user may not call \(untold.joined(separator: ", ")))")
        }
    }

    /// Whether an append is on disk when it is acknowledged.
    package var isDurable: Bool { appendOnly == "yes" && appendFsync == "always" }

    /// How much is on disk, for comparing servers: 3 everything, 2 all but a second, 1 less, 0 unknown.
    var rank: Int {
        switch (appendOnly, appendFsync) {
        case ("yes", "always"): 3
        case ("yes", "everysec"): 2
        case ("yes", _), ("no", _): 1
        default: 0
        }
    }

    /// Why nothing may be appended to a server that is set like this; nil when it may. At the start such a
    /// server is refused; when its settings change later, appends wait until they are right again.
    package var objection: String? {
        if !maxmemoryPolicy.isEmpty, maxmemoryPolicy != "noeviction" {
            return "maxmemory-policy is \(maxmemoryPolicy): the server may evict events; "
                + "set maxmemory-policy noeviction"
        }
        guard demands.level == .durable, !isDurable else { return nil }
        return "durable appends are demanded, and the server has appendonly "
            + "\(appendOnly.isEmpty ? "unknown" : appendOnly) and appendfsync "
            + "\(appendFsync.isEmpty ? "unknown" : appendFsync); set appendonly yes and appendfsync always, "
            + "or REEL_DURABILITY=unconfirmed"
            + (untold.isEmpty ? "" : "; its user may not call \(untold.joined(separator: ", "))")
    }

    /// Refuses a server that would throw events away to make room, or does not give what is demanded.
    func requireSuitable(at address: String) throws(LogFailure) {
        if let objection {
            throw LogFailure(.unsuitable, operation: "open", key: address, text: objection)
        }
        // A server that does not tell its version shows with the first function what it can do.
        if let major = Int(version.prefix { $0 != "." }), major < 7 {
            throw LogFailure(
                .unsuitable, operation: "open", key: address,
                text: "Redis \(version) has no functions; 7.0 or later is needed")
        }
    }

    /// The settings of every master.
    static func read(_ client: RedisClient) throws(LogFailure) -> [(RedisAddress, ServerSettings)] {
        var commands = CommandBuffer()
        commands.command("INFO")
        commands.command("CONFIG", "GET", "appendfsync", "min-replicas-to-write")
        // Runs and writes nothing, but could: whoever takes no writes refuses it.
        commands.run(.probe, [], [])
        // INFO and CONFIG are often forbidden on managed servers; what is known without them is enough.
        let masters = try client.onEachMaster("inspect", commands) { text in
            text.hasPrefix("NOPERM") || text.contains("unknown")
                || ServerError.kind(of: text) == .refusingWrites
        }
        return masters.map { address, replies in (address, ServerSettings(replies, client)) }
    }

    /// The settings of the master whose appends are worth least, or who takes none.
    static func weakest(_ client: RedisClient) throws(LogFailure) -> ServerSettings {
        let all = try read(client).map(\.1)
        guard let weakest = all.min(by: { $0.worth < $1.worth }) else {
            throw LogFailure(
                .unreachable, operation: "inspect", key: "\(client.address)", text: "there is no master")
        }
        return weakest
    }

    private var worth: (Int, Int, Int, Int) {
        (objection == nil ? 1 : 0, refusal == nil ? 1 : 0, rank, minReplicasToWrite ?? 0)
    }

    private init(_ replies: [Reply], _ client: RedisClient) {
        var facts: [Substring: Substring] = [:]
        for line in (replies[0].text ?? "").split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            facts[line[..<colon]] = line[line.index(after: colon)...]
        }
        var config: [String: String] = [:]
        let pairs = replies[1].elements
        for index in stride(from: 0, to: pairs.count - 1, by: 2) {
            if let name = pairs[index].text { config[name] = pairs[index + 1].text }
        }
        for (reply, command) in zip(replies, ["INFO", "CONFIG GET", "EVAL"]) {
            guard case .error(let text) = reply, ServerError.kind(of: text) != .refusingWrites else {
                continue
            }
            untold.append(command)
        }
        version = String(facts["redis_version"] ?? "")
        appendOnly = facts["aof_enabled"].map { $0 == "1" ? "yes" : "no" } ?? ""
        appendFsync = config["appendfsync"] ?? ""
        minReplicasToWrite = config["min-replicas-to-write"].flatMap { Int($0) }
        maxmemoryPolicy = String(facts["maxmemory_policy"] ?? "")
        maxmemoryBytes = facts["maxmemory"].flatMap { Int($0) } ?? 0
        usedBytes = facts["used_memory"].flatMap { Int($0) } ?? 0
        if case .error(let text) = replies[2], ServerError.kind(of: text) == .refusingWrites {
            refusal = ServerError.failure(text, operation: "", key: "").text
        }
        demands = client.options.durability
        if case .single = client.address { isReplicated = false } else { isReplicated = true }
    }
}
