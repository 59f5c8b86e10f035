internal import EventSourcing

/// Which master serves which slot, as one node of the cluster sees it.
struct SlotMap: Equatable {
    /// Masters that serve slots.
    private(set) var masters: [RedisAddress] = []
    /// Index into `masters` by slot; nobody serves a slot with `nobody`.
    private var owners = [UInt16](repeating: Self.nobody, count: KeySlot.count)
    private static let nobody = UInt16.max

    /// No slot is served.
    init() {}

    /// Reads the answer of CLUSTER SLOTS.
    /// - Parameter asked: the node that answered; it stands for a host that is not told.
    init?(_ reply: Reply, asked: RedisAddress) {
        for range in reply.elements {
            let parts = range.elements
            guard parts.count >= 3, let first = parts[0].integer, let last = parts[1].integer,
                (0..<KeySlot.count).contains(first), (first..<KeySlot.count).contains(last),
                parts[2].elements.count >= 2, let port = parts[2].elements[1].integer,
                RedisAddress.ports.contains(port)
            else { return nil }
            let host = parts[2].elements[0].text ?? ""
            let index = place(of: asked.moved(toHost: host, port: port))
            for slot in first...last { owners[slot] = index }
        }
    }

    /// The master of a slot; nil when nobody serves it.
    func master(of slot: Int) -> RedisAddress? {
        let owner = owners[slot]
        return owner == Self.nobody ? nil : masters[Int(owner)]
    }

    /// Takes one slot's new master into account, which a MOVED told.
    mutating func set(_ slot: Int, to master: RedisAddress) { owners[slot] = place(of: master) }

    private mutating func place(of master: RedisAddress) -> UInt16 {
        if let index = masters.firstIndex(of: master) { return UInt16(index) }
        masters.append(master)
        return UInt16(masters.count - 1)
    }
}

/// An error reply that says where to go instead.
enum Redirection: Equatable {
    /// The slot lives there now.
    case moved(slot: Int, host: String, port: Int)
    /// The slot is on its way there; this one command is to be sent there behind ASKING.
    case ask(host: String, port: Int)
    /// The cluster is busy with itself: the same command again, a little later.
    case again

    /// Reads `MOVED 3999 127.0.0.1:6381`, `ASK …`, TRYAGAIN and CLUSTERDOWN; nil for any other error.
    init?(_ text: String) {
        let words = text.split(separator: " ")
        switch words.first {
        case "TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY", "UNBLOCKED": self = .again
        case "MOVED", "ASK":
            guard words.count >= 3, let slot = Int(words[1]), (0..<KeySlot.count).contains(slot),
                let colon = words[2].lastIndex(of: ":"),
                let port = Int(words[2][words[2].index(after: colon)...]), RedisAddress.ports.contains(port)
            else { return nil }
            let host = String(words[2][..<colon])
            self =
                words[0] == "ASK" ? .ask(host: host, port: port) : .moved(slot: slot, host: host, port: port)
        default: return nil
        }
    }
}
