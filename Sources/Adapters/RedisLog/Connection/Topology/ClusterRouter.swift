internal import Base
internal import EventSourcing

/// Commands to the nodes of a cluster, for one thread: one connection for each node, a pipeline split by
/// node, sent to all of them before any answer is awaited, and its replies put back in order.
///
/// MOVED, ASK, TRYAGAIN and CLUSTERDOWN are dealt with here for a bounded time; what is left then is a
/// transient failure. Replies that came are handed on even when another node failed: they may be
/// deliveries that nobody would hand out again.
final class ClusterRouter {
    /// How long commands are sent again before the cluster's own answer is given up to the caller.
    static let patienceMilliseconds = 2000

    /// How many connections were made.
    private(set) var generation = 0

    private let seeds: [RedisAddress]
    private let dialer: Dialer
    private let check: HistoryCheck?
    private var nodes: [RedisAddress: Node] = [:]
    private var attempts: [RedisAddress: Attempt] = [:]
    private var map = SlotMap()
    private var isMapStale = true
    private var isHistoryChecked = false
    private var generator = SystemRandomNumberGenerator()

    private struct Attempt {
        var backoff = Backoff(firstMilliseconds: 20, limitMilliseconds: 1000)
        var next = 0
    }

    init(_ seeds: [RedisAddress], _ dialer: Dialer, _ check: HistoryCheck?) {
        self.seeds = seeds
        self.dialer = dialer
        self.check = check
    }

    func disconnect() {
        nodes.removeAll()
        isMapStale = true
    }

    func pipeline(
        _ operation: String, _ key: String, _ commands: CommandBuffer, _ demand: ReplicaDemand?,
        _ accepting: (String) -> Bool, _ body: (Int, ReplyView) throws(LogFailure) -> Void
    ) throws(LogFailure) -> ReplicaShortfall? {
        var batch = ClusterBatch(commands, demand)
        run(&batch, operation, key, checking: check != nil)
        var failure = batch.failure
        for index in batch.replies.indices {
            guard let reply = batch.replies[index] else { continue }
            if let text = reply.errorText, !accepting(text) {
                failure = failure ?? ServerError.failure(text, operation: operation, key: key)
            } else {
                try reply.lend { view throws(LogFailure) in try body(index, view) }
            }
        }
        if let failure {
            if failure.kind == .lostHistory || failure.isOfRecord { throw failure }
            throw LogFailure(failure.kind, operation: operation, key: key, text: failure.text)
        }
        return batch.shortfall
    }

    func onEachMaster(
        _ operation: String, _ commands: CommandBuffer, _ accepting: (String) -> Bool
    ) throws(LogFailure) -> [(RedisAddress, [Reply])] {
        var all: [(RedisAddress, [Reply])] = []
        for master in try masters() {
            all.append((master, try on(master, operation, commands, accepting)))
        }
        return all
    }

    /// The nodes that serve slots.
    func masters() throws(LogFailure) -> [RedisAddress] {
        if isMapStale { try refresh() }
        return map.masters
    }

    /// Sends commands to one node, whatever their keys.
    func on(
        _ address: RedisAddress, _ operation: String, _ commands: CommandBuffer,
        _ accepting: (String) -> Bool
    ) throws(LogFailure) -> [Reply] {
        var replies: [Reply] = []
        var answered = 0
        do throws(LogFailure) {
            try node(at: address).connection.exchange(
                operation, "\(address)", commands, accepting, &answered
            ) {
                replies.append(Reply($1))
            }
        } catch {
            // Another node may have taken its place.
            lost(address, error)
            throw error
        }
        return replies
    }

    // MARK: - Rounds

    /// Sends and sends again until everything is answered, given up or out of time.
    private func run(_ batch: inout ClusterBatch, _ operation: String, _ key: String, checking: Bool) {
        let deadline = monotonicMilliseconds() + Self.patienceMilliseconds
        var delay = Backoff(firstMilliseconds: 5, limitMilliseconds: 100)
        while !batch.isSettled {
            do throws(LogFailure) {
                if isMapStale { try refresh() }
                if checking, !isHistoryChecked, let noted = try checkHistory() {
                    return batch.giveUp(noted)
                }
            } catch {
                guard error.isTransient, monotonicMilliseconds() < deadline else {
                    return batch.giveUp(error)
                }
                isMapStale = true
                pause(milliseconds: delay.next())
                continue
            }
            round(&batch, checking: checking)
            guard batch.mustWait else { continue }
            guard monotonicMilliseconds() < deadline else {
                return batch.giveUp(
                    LogFailure(
                        .refusingWrites, operation: operation, key: key,
                        text: "the cluster did not take it in time: \(batch.lastRefusal)"))
            }
            isMapStale = true
            pause(milliseconds: delay.next())
        }
    }

    private func round(_ batch: inout ClusterBatch, checking: Bool) {
        let groups = batch.groups { slot in
            guard let slot else { return self.map.masters.first }
            return self.map.master(of: slot)
        }
        var sent: [(Node, ClusterBatch.Group, isNew: Bool)] = []
        for group in groups {
            let isNew = nodes[group.target] == nil
            do throws(LogFailure) {
                let node = try node(at: group.target)
                // It may not know what we know: that is asked before anything else.
                if isNew, checking {
                    batch.putBack(group)
                    continue
                }
                // A replica that was promoted has its functions from its master; a new node may have none.
                if batch.callsFunctions { try node.seeToFunctions() }
                try batch.send(group, to: node)
                sent.append((node, group, isNew))
            } catch {
                lost(group.target, error)
                batch.failed(group, error, mayRepeat: error.kind == .unreachable)
            }
        }
        for (node, group, isNew) in sent {
            do throws(LogFailure) {
                if try batch.receive(group, from: node) { isMapStale = true }
                if batch.functionsMissing {
                    batch.functionsMissing = false
                    dialer.options.notify(.functionsReloaded)
                    try node.loadFunctions()
                }
            } catch {
                lost(group.target, error)
                batch.failed(group, error, mayRepeat: !isNew && error.kind == .unreachable)
            }
        }
        for move in batch.takeMoves() { map.set(move.slot, to: move.master) }
    }

    /// Whatever is known of the history is asked of the nodes that serve it now.
    /// - Returns: the failure of the call in hand when partitions turned out to be halted.
    private func checkHistory() throws(LogFailure) -> LogFailure? {
        guard let check else { return nil }
        let halted = try check.verify(check.watch.known) { commands, body throws(LogFailure) in
            var batch = ClusterBatch(commands, nil)
            self.run(&batch, "connect", check.place, checking: false)
            if let failure = batch.failure { throw failure }
            for index in batch.replies.indices {
                guard let reply = batch.replies[index] else { continue }
                if let text = reply.errorText, !HistoryCheck.isAnswer(text) {
                    throw ServerError.failure(text, operation: "connect", key: check.place)
                }
                try reply.lend { view throws(LogFailure) in try body(index, view) }
            }
        }
        // Nodes that were connected for this very check have answered it.
        isHistoryChecked = true
        return halted.isEmpty || check.onlyLooks ? nil : check.notedOnly(halted)
    }

    // MARK: - Nodes

    private func node(at address: RedisAddress) throws(LogFailure) -> Node {
        if let node = nodes[address] { return node }
        var attempt = attempts[address] ?? Attempt()
        pause(milliseconds: min(attempt.next - monotonicMilliseconds(), 100))
        defer { attempts[address] = attempt }
        do throws(LogFailure) {
            let node = try dialer.connect(to: address)
            nodes[address] = node
            isHistoryChecked = false
            generation += 1
            attempt.backoff.reset()
            return node
        } catch {
            attempt.next = monotonicMilliseconds() + attempt.backoff.next()
            throw LogFailure(
                error.kind, operation: "connect", key: "\(address)",
                text: "connecting to \(address): \(error.text)")
        }
    }

    private func lost(_ address: RedisAddress, _ failure: LogFailure) {
        isMapStale = true
        if nodes[address]?.connection.isBroken == true { drop(address, "\(failure)") }
    }

    private func drop(_ address: RedisAddress, _ reason: String) {
        nodes[address] = nil
        isMapStale = true
        dialer.options.notify(.disconnected(reason))
    }

    /// Asks known masters and the nodes of the URL, in random order, for the map; a node that says that
    /// its cluster is well goes before one that does not.
    private func refresh() throws(LogFailure) {
        var candidates: [RedisAddress] = []
        for address in map.masters.shuffled(using: &generator) + seeds.shuffled(using: &generator)
        where !candidates.contains(address) { candidates.append(address) }
        var second: SlotMap?
        var failure: LogFailure?
        var commands = CommandBuffer()
        commands.command("CLUSTER", "INFO")
        commands.command("CLUSTER", "SLOTS")
        for address in candidates {
            do throws(LogFailure) {
                let node = try node(at: address)
                var replies: [Reply] = []
                var answered = 0
                try node.connection.exchange(
                    "cluster slots", "\(address)", commands, { _ in false }, &answered
                ) {
                    replies.append(Reply($1))
                }
                guard replies.count == 2, let found = SlotMap(replies[1], asked: address),
                    !found.masters.isEmpty
                else { continue }
                if replies[0].text?.contains("cluster_state:ok") == true { return adopt(found) }
                second = second ?? found
            } catch {
                // A password that is refused, or no cluster at all, won't change by asking elsewhere.
                if error.remedy == .operators { throw error }
                if nodes[address]?.connection.isBroken == true { nodes[address] = nil }
                failure = failure ?? error
            }
        }
        if let second { return adopt(second) }
        throw failure
            ?? LogFailure(
                .unreachable, operation: "cluster slots", key: "\(seeds[0])", text: "no node serves any slot")
    }

    private func adopt(_ found: SlotMap) {
        // Another master may not have what the old one had.
        if found != map { isHistoryChecked = false }
        map = found
        isMapStale = false
        for address in nodes.keys where !found.masters.contains(address) && !seeds.contains(address) {
            nodes[address] = nil
        }
    }
}
