internal import Base
internal import EventSourcing

/// What ordered subscriptions hold back, in a few hashes per partition beside its log.
final class RedisOrderedParking: OrderedParking {
    private let client: RedisClient

    init(_ client: RedisClient) { self.client = client }

    func heldBack(_ subscription: String, in partition: Int) throws(LogFailure) -> HeldBack {
        let parked = LogKeys.parked(partition, subscription)
        var commands = CommandBuffer()
        // Read in this order: whoever gives a key up writes it down as such before it is no longer parked.
        commands.command("HGETALL", parked)
        commands.command("HKEYS", LogKeys.parkedRetries(partition, subscription))
        commands.command("SMEMBERS", LogKeys.givenUp(partition, subscription))
        var held = HeldBack()
        var asked: Set<String> = []
        var unknown: [LogPosition] = []
        var entryID = ""
        try client.pipeline("held back", parked, commands) { index, reply in
            var isName = true
            reply.forEach { item in
                switch index {
                case 0 where isName: entryID = item.string ?? ""
                case 0:
                    if let event = item.bytes.flatMap(ParkedEvent.init(parsing:)) {
                        held.keys.append(event.held)
                    } else if let position = LogPosition(partition: partition, entryID: entryID) {
                        unknown.append(position)
                    }
                case 1: asked.insert(item.string ?? "")
                default: held.givenUp.insert(item.string ?? "")
                }
                isName.toggle()
            }
        }
        // Somebody spoiled the record: the entry itself says whom it holds back.
        for position in unknown { held.keys.append(try identify(position)) }
        for index in held.keys.indices {
            held.keys[index].isRetryAsked = asked.contains(held.keys[index].position.entryID)
        }
        return held
    }

    func countTry(_ subscription: String, of position: LogPosition) throws(LogFailure) -> Int {
        let key = LogKeys.tries(position.partition, subscription)
        return try client.countTry(key, of: position)
    }

    func park(
        _ subscription: String, _ event: RecordedEvent, _ reason: ParkedReason, under fence: Fence?
    ) throws(LogFailure) {
        let position = event.position
        let record = ParkedEvent(event, group: subscription, reason: reason)
        try set(
            LogKeys.parked(position.partition, subscription), position, record.json, "park", under: fence)
        try forget(subscription, position, "park", alsoParked: false)
    }

    func identify(_ position: LogPosition) throws(LogFailure) -> HeldKey {
        ParkedEvent(
            try entry(position), group: "",
            reason: ParkedReason(stage: "", errors: [], attempts: 0, time: Timestamp(milliseconds: 0))
        ).held
    }

    func parkUnreadable(
        _ subscription: String, _ key: HeldKey, _ reason: ParkedReason, under fence: Fence?
    ) throws(LogFailure) {
        let position = key.position
        var record = ParkedEvent(try entry(position), group: subscription, reason: reason)
        record.partitionKey = key.isNameless ? "" : key.partitionKey
        try set(
            LogKeys.parked(position.partition, subscription), position, record.json, "park", under: fence)
        try forget(subscription, position, "park", alsoParked: false)
    }

    /// An entry as it stands in the stream, with no field where it was taken out. One that cannot be read is
    /// never archived.
    private func entry(_ position: LogPosition) throws(LogFailure) -> UnreadableEntry {
        let key = LogKeys.log(position.partition)
        let reply = try client.command(
            "read unreadable", key, ["XRANGE", key, position.entryID, position.entryID])
        return UnreadableEntry(position: position, text: "", entry: reply.elements.first)
    }

    func release(
        _ subscription: String, _ position: LogPosition, under fence: Fence?
    ) throws(LogFailure) {
        // Whoever is fenced off finds out here, before anything is removed.
        let retries = LogKeys.parkedRetries(position.partition, subscription)
        try set(retries, position, "released", "release parked", under: fence)
        try forget(subscription, position, "release parked", alsoParked: true)
    }

    private func forget(
        _ subscription: String, _ position: LogPosition, _ operation: String, alsoParked: Bool
    ) throws(LogFailure) {
        let partition = position.partition
        var commands = CommandBuffer()
        if alsoParked { commands.command("HDEL", LogKeys.parked(partition, subscription), position.entryID) }
        commands.command("HDEL", LogKeys.tries(partition, subscription), position.entryID)
        commands.command("HDEL", LogKeys.parkedRetries(partition, subscription), position.entryID)
        try client.pipeline(operation, "\(position)", commands) { _, _ in }
    }

    /// Sets one field, while the fence holds: `reel_checkpoint` does just that.
    private func set(
        _ key: String, _ position: LogPosition, _ value: String, _ operation: String, under fence: Fence?
    ) throws(LogFailure) {
        guard let fence else {
            _ = try client.command(operation, key, ["HSET", key, position.entryID, value])
            return
        }
        let reply = try client.call(
            operation, key, "reel_checkpoint",
            [key, LogKeys.lease(position.partition, fence.subscription)],
            [position.entryID, value, fence.owner, String(fence.generation)])
        guard reply.elements.first?.integer == 1 else {
            throw .fenced(
                operation, "\(position)", generation: UInt64(clamping: reply.elements.last?.integer ?? 0))
        }
    }
}
