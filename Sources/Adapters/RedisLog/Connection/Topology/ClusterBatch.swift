internal import EventSourcing

/// The commands of one pipeline on their way through a cluster: which are answered, and where the others
/// go next.
struct ClusterBatch {
    /// Commands for one node, in order.
    struct Group {
        let target: RedisAddress
        fileprivate(set) var items: [Item]
    }

    struct Item {
        let index: Int
        /// Sent behind ASKING: the slot is on its way to the target.
        var asking: RedisAddress?
        var repeats = 0
    }

    /// A slot's new master.
    struct Move {
        let slot: Int
        let master: RedisAddress
    }

    private let commands: CommandBuffer
    private let parts: [CommandScan.Part]
    private let demand: ReplicaDemand?
    private var waiting: [Item]
    private var moves: [Move] = []
    private var received = 0

    /// Replies by the commands' index.
    private(set) var replies: [OwnedReply?]
    /// The first failure that is not a server's reply.
    private(set) var failure: LogFailure?
    /// Answered commands of which too few replicas have what they wrote.
    private(set) var shortfall: ReplicaShortfall?
    /// Whether the next round should come a little later.
    private(set) var mustWait = false
    /// What the cluster said last when it sent a command away.
    private(set) var lastRefusal = ""
    /// Whether a node has lost the functions.
    var functionsMissing = false

    /// - Parameter demand: the replicas that are waited for on each node; nil for none.
    init(_ commands: CommandBuffer, _ demand: ReplicaDemand?) {
        self.commands = commands
        self.demand = demand
        parts = CommandScan.parts(of: commands)
        replies = Array(repeating: nil, count: parts.count)
        waiting = parts.indices.map { Item(index: $0) }
    }

    /// Whether a command calls a function, which must be there.
    var callsFunctions: Bool { commands.callsFunctions }

    /// Nothing is left to send.
    var isSettled: Bool { waiting.isEmpty }

    /// What waits, by the node it goes to. A command whose slot nobody serves keeps waiting.
    mutating func groups(_ master: (Int?) -> RedisAddress?) -> [Group] {
        mustWait = false
        received = 0
        var groups: [Group] = []
        var places: [RedisAddress: Int] = [:]
        var left: [Item] = []
        for item in waiting {
            guard let target = item.asking ?? master(parts[item.index].slot) else {
                left.append(item)
                mustWait = true
                lastRefusal = "no master serves slot \(parts[item.index].slot ?? 0)"
                continue
            }
            if let place = places[target] {
                groups[place].items.append(item)
            } else {
                places[target] = groups.count
                groups.append(Group(target: target, items: [item]))
            }
        }
        waiting = left
        return groups
    }

    /// Sends a group's commands without awaiting an answer.
    func send(_ group: Group, to node: Node) throws(LogFailure) {
        // Mostly one node has it all, in order.
        var out = commands
        if group.items.count < parts.count || group.items.contains(where: { $0.asking != nil }) {
            out = CommandBuffer()
            for item in group.items {
                if item.asking != nil { out.command("ASKING") }
                out.append(raw: commands.bytes[parts[item.index].range])
            }
        }
        if let demand { out.command("WAIT", String(demand.replicas), String(demand.milliseconds)) }
        try node.connection.send(out)
        try node.connection.flush()
    }

    /// Takes in the replies of a group.
    /// - Returns: whether the map is out of date.
    mutating func receive(_ group: Group, from node: Node) throws(LogFailure) -> Bool {
        received = 0
        var isStale = false
        for item in group.items {
            if item.asking != nil { _ = try node.connection.receiveOwned() }
            let reply = try node.connection.receiveOwned()
            received += 1
            if let text = reply.errorText, divert(item, text, node.address, &isStale) { continue }
            replies[item.index] = reply
        }
        if let demand {
            // Until the node says otherwise, no replica has it: it may die before it does.
            var count = 0
            defer { note(count, of: demand, group) }
            count = try node.connection.receiveOwned().integer ?? 0
        }
        return isStale
    }

    /// Takes in how many replicas have what a node has answered. One that sent everything away has nothing of
    /// it to hand on.
    private mutating func note(_ count: Int, of demand: ReplicaDemand, _ group: Group) {
        let answered = group.items.map(\.index).filter { replies[$0] != nil }
        guard count < demand.replicas, !answered.isEmpty else { return }
        shortfall = ReplicaShortfall(
            replicas: min(count, shortfall?.replicas ?? count),
            commands: (shortfall?.commands ?? []).union(answered))
    }

    /// Decides where a command goes that was sent away; false when the error is the caller's.
    private mutating func divert(
        _ item: Item, _ text: String, _ address: RedisAddress, _ isStale: inout Bool
    ) -> Bool {
        var next = item
        next.asking = nil
        switch Redirection(text) {
        case .moved(let slot, let host, let port):
            isStale = true
            lastRefusal = text
            // Nodes that disagree send commands in a circle while they make it up.
            next.repeats += 1
            if next.repeats > 3 { mustWait = true }
            moves.append(Move(slot: slot, master: address.moved(toHost: host, port: port)))
        case .ask(let host, let port):
            next.asking = address.moved(toHost: host, port: port)
            lastRefusal = text
        case .again:
            isStale = true
            mustWait = true
            lastRefusal = text
        case nil:
            guard ServerError.kind(of: text) == .functionMissing, item.repeats == 0 else { return false }
            next.asking = item.asking
            next.repeats += 1
            functionsMissing = true
        }
        waiting.append(next)
        return true
    }

    /// Sends a group in the next round.
    mutating func putBack(_ group: Group) { waiting += group.items }

    /// A node could not be reached, or its connection broke with commands on their way.
    mutating func failed(_ group: Group, _ error: LogFailure, mayRepeat: Bool) {
        for var item in group.items where replies[item.index] == nil {
            if waiting.contains(where: { $0.index == item.index }) { continue }
            if mayRepeat, received == 0, item.repeats == 0 {
                item.repeats += 1
                item.asking = nil
                waiting.append(item)
            } else {
                failure = failure ?? error
            }
        }
    }

    /// Nothing more is sent.
    mutating func giveUp(_ error: LogFailure) {
        waiting.removeAll()
        failure = failure ?? error
    }

    /// New masters that were told, once.
    mutating func takeMoves() -> [Move] {
        defer { moves.removeAll() }
        return moves
    }
}
