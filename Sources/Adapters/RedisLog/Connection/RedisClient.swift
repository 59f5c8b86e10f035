internal import Base
internal import EventSourcing

/// Connections that are made again when they were lost, for one thread. Blocks.
///
/// Every call that goes through here may be made twice in effect: reads, and writes that are idempotent
/// by event id, entry id or value. So a connection that turns out to have died while it was idle is
/// replaced and the call repeated once; after a timeout it is not, the server may be busy with it. A
/// call whose function the server has lost is repeated once after loading the functions again.
///
/// One server and Sentinel's master have one connection; a cluster has one for each node, and its
/// commands are split by node (`ClusterRouter`).
final class RedisClient {
    let address: RedisLocation
    let options: RedisEventLog.Options
    /// What the process knows of the log; nil while the log is being found out.
    let history: HistoryWatch?

    private let dialer: Dialer
    /// The log that is expected behind the address; nil while it is being found out.
    private let epoch: String?
    private let cluster: ClusterRouter?
    private var sentinels: Sentinels?
    private var node: Node?
    private var made = 0
    private var askedSentinels = 0
    private var backoff = Backoff(firstMilliseconds: 20, limitMilliseconds: 1000)
    private var nextAttempt = 0

    init(
        _ address: RedisLocation, options: RedisEventLog.Options, epoch: String?, name: String,
        history: HistoryWatch? = nil
    ) {
        self.address = address
        self.options = options
        self.epoch = epoch
        self.history = history
        dialer = Dialer(options: options, name: name)
        switch address {
        case .single: cluster = nil
        case .sentinel(let nodes, let master):
            cluster = nil
            sentinels = Sentinels(nodes, master: master, options: options)
        case .cluster(let seeds):
            cluster = ClusterRouter(seeds, dialer, HistoryCheck(history, epoch, address, options))
        }
    }

    /// The server that commands go to; nil while there is none, and on a cluster, where there are several.
    var server: String? { cluster == nil ? node.map { "\($0.address)" } : nil }

    /// How many connections were made; a change tells a subscription that replies may have been lost.
    var generation: Int { cluster?.generation ?? made }

    /// Whether one command may read several streams, and wait for them. A cluster refuses keys of
    /// different slots in one command, even when they live on one node.
    var readsStreamsTogether: Bool { cluster == nil }

    /// Throws the connections away; the next call makes new ones.
    func disconnect() {
        node = nil
        cluster?.disconnect()
    }

    /// Sends commands in one go and lends each reply, in order and by its index, to `body`. Error
    /// replies are thrown as failures unless `accepting` says that `body` wants to see them. All
    /// replies are read before anything is thrown, so that the connections stay in step.
    /// - Parameter confirming: waits for as many replicas as the configuration wants; `unconfirmed` is
    ///   thrown when they don't answer in time, after `body` has seen the replies.
    func pipeline(
        _ operation: String, _ key: String, _ commands: CommandBuffer, confirming: Bool = false,
        accepting: (String) -> Bool = { _ in false },
        _ body: (Int, ReplyView) throws(LogFailure) -> Void
    ) throws(LogFailure) {
        do throws(LogFailure) {
            let demand = confirming ? options.durability.demand : nil
            let shortfall = try send(operation, key, commands, demand, accepting, body)
            guard let shortfall else { return }
            throw LogFailure(
                .unconfirmed, operation: operation, key: key,
                text: options.durability.shortfall(shortfall.replicas))
        } catch {
            guard ServerError.isOverwritten(error) else { throw error }
            throw named(error, commands)
        }
    }

    /// The failure with the key that holds something else in its place: the server does not say which one of
    /// a command's it is.
    private func named(_ failure: LogFailure, _ commands: CommandBuffer) -> LogFailure {
        let found = (try? overwritten(among: commands.ownKeys)) ?? []
        guard let first = found.first else { return failure }
        return LogFailure(.corrupt, operation: failure.operation, key: first.key, text: first.text)
    }

    private func send(
        _ operation: String, _ key: String, _ commands: CommandBuffer, _ demand: ReplicaDemand?,
        _ accepting: (String) -> Bool, _ body: (Int, ReplyView) throws(LogFailure) -> Void
    ) throws(LogFailure) -> ReplicaShortfall? {
        guard commands.count > 0 else { return nil }
        switch history?.standing ?? .same {
        case .same: break
        case .other(let failure):
            throw LogFailure(failure.kind, operation: operation, key: key, text: failure.text)
        // The next connection looks.
        case .doubtful: disconnect()
        }
        if let cluster { return try cluster.pipeline(operation, key, commands, demand, accepting, body) }
        guard let demand else {
            try direct(operation, key, commands, accepting, body)
            return nil
        }
        var all = commands
        all.command("WAIT", String(demand.replicas), String(demand.milliseconds))
        var found = 0
        try direct(operation, key, all, accepting) { index, reply throws(LogFailure) in
            guard index == commands.count else { return try body(index, reply) }
            found = reply.integer ?? 0
        }
        guard found < demand.replicas else { return nil }
        askSentinelsAgain()
        return ReplicaShortfall(replicas: found, commands: Set(0..<commands.count))
    }

    /// A master without replicas may be one that was deposed and has not heard of it: after a while the next
    /// call asks the sentinels.
    private func askSentinelsAgain() {
        let now = monotonicMilliseconds()
        guard sentinels != nil, now - askedSentinels >= 5_000 else { return }
        askedSentinels = now
        node = nil
    }

    /// The same; waits for as many replicas as the configuration wants, and says which commands fewer have.
    /// On a cluster, what one node refuses because it takes no writes is for `body` to see: the others go on.
    func confirming(
        _ operation: String, _ key: String, _ commands: CommandBuffer, within milliseconds: Int,
        _ body: (Int, ReplyView) throws(LogFailure) -> Void
    ) throws(LogFailure) -> ReplicaShortfall? {
        let isAnswer: (String) -> Bool = { [isCluster = cluster != nil] text in
            isCluster && ServerError.kind(of: text) == .refusingWrites
        }
        let demand = ReplicaDemand(replicas: options.durability.minReplicas, milliseconds: milliseconds)
        return try send(operation, key, commands, demand, isAnswer, body)
    }

    /// Sends one command and answers its reply, copied out.
    func command(
        _ operation: String, _ key: String, _ arguments: [String],
        accepting: (String) -> Bool = { _ in false }
    ) throws(LogFailure) -> Reply {
        var commands = CommandBuffer()
        commands.command(arguments)
        var reply = Reply.null
        try pipeline(operation, key, commands, accepting: accepting) { _, view in reply = Reply(view) }
        return reply
    }

    /// Counts a try of a position in a hash beside the log. Where something else than a count stands there,
    /// or something else than a hash, nobody knows how often it was tried: as often as can be counted.
    func countTry(_ key: String, of position: LogPosition) throws(LogFailure) -> Int {
        let reply = try command("count try", "\(position)", ["HINCRBY", key, position.entryID, "1"]) {
            $0.contains("overflow") || $0.contains("not an integer") || ServerError.kind(of: $0) == .corrupt
        }
        guard let count = reply.integer, count > 0 else { return Int(Int32.max) }
        return min(count, Int(Int32.max))
    }

    /// Sends the same commands to every master and answers their replies, copied out.
    func onEachMaster(
        _ operation: String, _ commands: CommandBuffer, accepting: (String) -> Bool
    ) throws(LogFailure) -> [(RedisAddress, [Reply])] {
        if let cluster { return try cluster.onEachMaster(operation, commands, accepting) }
        var replies: [Reply] = []
        try direct(operation, "\(address)", commands, accepting) { replies.append(Reply($1)) }
        return [(node?.address ?? address.first, replies)]
    }

    /// Calls `body` with every key on every master that matches a pattern, a page at a time. A key that
    /// moves to another node meanwhile may come twice, or not at all.
    func forEachPage(
        ofKeys pattern: String, _ operation: String, _ body: ([String]) throws(LogFailure) -> Void
    ) throws(LogFailure) {
        for master in try cluster?.masters() ?? [address.first] {
            var cursor = "0"
            repeat {
                var commands = CommandBuffer()
                commands.command("SCAN", cursor, "MATCH", pattern, "COUNT", "1000")
                var page = Reply.null
                if let cluster {
                    page = try cluster.on(master, operation, commands, { _ in false }).first ?? .null
                } else {
                    try direct(operation, "\(address)", commands, { _ in false }) { page = Reply($1) }
                }
                cursor = page.elements.first?.text ?? "0"
                let keys = page.elements.last?.elements.compactMap(\.text) ?? []
                if !keys.isEmpty { try body(keys) }
            } while cursor != "0"
        }
    }

    /// Takes in an answer to `HGET reel:meta epoch`.
    /// - Throws: `otherLog`.
    func requireEpoch(_ reply: ReplyView, _ operation: String) throws(LogFailure) {
        guard let epoch, reply.string != epoch else { return }
        throw otherLog(found: reply.string, operation)
    }

    /// The failure of whoever finds another log, or none, where this one was.
    func otherLog(found: String?, _ operation: String) -> LogFailure {
        HistoryCheck(history, epoch, address, options)?.otherLog(found: found, operation)
            ?? LogFailure(
                .otherLog, operation: operation, key: "\(address)", text: "another log stands there")
    }

    /// Halts the partitions that lack the event at a position that somebody has kept, and throws
    /// `lostHistory` when there is one.
    func verify(_ positions: [LogPosition]) throws(LogFailure) {
        guard let check = HistoryCheck(history, epoch, address, options) else { return }
        let halted = try check.verify(positions) { commands, body throws(LogFailure) in
            try self.pipeline(
                "verify", "\(self.address)", commands, accepting: HistoryCheck.isAnswer, body)
        }
        for partition in halted { try history?.requireIntact(partition, "verify") }
    }

    /// Halts those of some partitions from which something is gone that the archive does not have, and throws
    /// `lostHistory` when there is one.
    func requireWhole(_ partitions: [Int], _ operation: String) throws(LogFailure) {
        let intact = history?.intact(partitions) ?? partitions
        let inspector = PartitionInspector(client: self)
        let odd = try inspector.states(intact).filter { !$0.findings.isEmpty }
        if !odd.isEmpty { try halt(odd.map(\.partition), operation) }
    }

    /// Halts partitions that lack something, unless it can be taken back.
    func halt(_ partitions: [Int], _ operation: String) throws(LogFailure) {
        guard let history, let check = HistoryCheck(history, epoch, address, options) else { return }
        var losses = try history.recovery?.run(partitions) ?? []
        let inspector = PartitionInspector(client: self)
        for state in try inspector.states(partitions)
        where !losses.contains(where: { $0.partition == state.partition }) {
            if let loss = try inspector.loss(state) { losses.append(loss) }
        }
        try halt(losses, check)
        for partition in partitions { try history.requireIntact(partition, operation) }
    }

    /// Halts the partitions that have lost something.
    func halt(_ losses: [PartitionLoss], _ check: HistoryCheck? = nil) throws(LogFailure) {
        guard !losses.isEmpty, let check = check ?? HistoryCheck(history, epoch, address, options) else {
            return
        }
        let run: HistoryCheck.Run = { commands, body throws(LogFailure) in
            try self.pipeline(
                "halt", "\(self.address)", commands, accepting: HistoryCheck.isAnswer, body)
        }
        let book = HaltRegistry(try command("halt", LogKeys.halted, ["HGETALL", LogKeys.halted]).elements)
        try check.halt(losses, book, run)
    }

    private func direct(
        _ operation: String, _ key: String, _ commands: CommandBuffer, _ accepting: (String) -> Bool,
        _ body: (Int, ReplyView) throws(LogFailure) -> Void
    ) throws(LogFailure) {
        var repeats = node != nil
        var reloads = true
        while true {
            let node = try ready(operation)
            var answered = 0
            do throws(LogFailure) {
                if commands.callsFunctions { try node.seeToFunctions() }
                try node.connection.exchange(operation, key, commands, accepting, &answered, body)
                return
            } catch {
                if error.kind == .functionMissing, reloads, !node.connection.isBroken {
                    reloads = false
                    options.notify(.functionsReloaded)
                    try node.loadFunctions()
                    continue
                }
                // A master that has become a replica refuses writes: ask the sentinels again.
                if sentinels != nil, error.kind == .refusingWrites || error.kind == .noGroup {
                    self.node = nil
                }
                guard node.connection.isBroken else { throw error }
                self.node = nil
                options.notify(.disconnected("\(error)"))
                guard repeats, answered == 0, error.kind == .unreachable else {
                    throw LogFailure(error.kind, operation: operation, key: key, text: error.text)
                }
                repeats = false
            }
        }
    }

    /// A server that was started again may be an older copy: what the archive has beyond its end is taken
    /// back before anybody appends there.
    /// - Returns: partitions that are halted because that can't be.
    private func takeBack(
        from node: Node, _ history: HistoryWatch, _ check: HistoryCheck, _ run: HistoryCheck.Run
    ) throws(LogFailure) -> [Int] {
        guard let recovery = history.recovery else { return [] }
        let before = history.halted
        let losses = try recovery.run(onServer: try node.run())
        if !losses.isEmpty {
            var commands = CommandBuffer()
            commands.command("HGETALL", LogKeys.halted)
            var book = HaltRegistry()
            try run(commands) { _, reply in book = HaltRegistry(Reply(reply).elements) }
            try check.halt(losses, book, run)
        }
        return history.halted.subtracting(before).sorted()
    }

    private func connect() throws(LogFailure) -> Node {
        guard let made = try sentinels?.connect(dialer) else {
            return try dialer.connect(to: address.first)
        }
        return made
    }

    private func ready(_ operation: String) throws(LogFailure) -> Node {
        if let node { return node }
        pause(milliseconds: nextAttempt - monotonicMilliseconds())
        do throws(LogFailure) {
            let made = try connect()
            if let history, let check = HistoryCheck(history, epoch, address, options) {
                let run: HistoryCheck.Run = { commands, body throws(LogFailure) in
                    var answered = 0
                    try made.connection.exchange(
                        "connect", "\(made.address)", commands, HistoryCheck.isAnswer, &answered, body)
                }
                let halted = try check.verify(history.known, run) + takeBack(from: made, history, check, run)
                if !halted.isEmpty, !check.onlyLooks { throw check.notedOnly(halted) }
            }
            node = made
            self.made += 1
            backoff.reset()
            return made
        } catch {
            if error.kind == .lostHistory || error.kind == .otherLog { throw error }
            nextAttempt = monotonicMilliseconds() + backoff.next()
            throw LogFailure(
                error.kind, operation: operation, key: error.isOfRecord ? error.key : "\(address)",
                text: "connecting: \(error.text)")
        }
    }
}
