internal import Base
package import EventSourcing

/// Events that were set aside: listing them, giving them another try, or letting them go. Blocks;
/// one thread.
package final class RedisParkedEvents {
    /// What became of a parked event.
    package enum Outcome: Sendable, Hashable {
        /// Done.
        case done
        /// There is no such parked event.
        case notParked
        /// Its entry is no longer in the log, so it cannot be delivered again; it stays parked.
        case entryMissing
    }

    private let client: RedisClient
    private let partitioning: Partitioning

    init(_ client: RedisClient, _ partitioning: Partitioning) {
        self.client = client
        self.partitioning = partitioning
    }

    /// How many events a group has set aside.
    package func count(group: String) throws(LogFailure) -> Int {
        var commands = CommandBuffer()
        for partition in 0..<partitioning.count { commands.command("HLEN", LogKeys.parked(partition, group)) }
        var count = 0
        try client.pipeline("count parked", group, commands) { _, reply throws(LogFailure) in
            count +|= reply.quantity ?? 0
        }
        return count
    }

    /// Events that a group has set aside, oldest first within a partition, at most `limit`.
    package func list(group: String, limit: Int = 1000) throws(LogFailure) -> [ParkedEvent] {
        var events: [ParkedEvent] = []
        for partition in 0..<partitioning.count where events.count < limit {
            events += try all(group: group, partition: partition)
        }
        return Array(events.prefix(limit))
    }

    /// Everything that a group has set aside in one partition, oldest first.
    package func all(group: String, partition: Int) throws(LogFailure) -> [ParkedEvent] {
        let key = LogKeys.parked(partition, group)
        // The server may show a field twice while the hash grows.
        var found: [LogPosition: ParkedEvent] = [:]
        var cursor = "0"
        repeat {
            let reply = try client.command("list parked", key, ["HSCAN", key, cursor, "COUNT", "200"])
            cursor = reply.elements.first?.text ?? "0"
            let pairs = reply.elements.last?.elements ?? []
            for index in stride(from: 1, to: pairs.count, by: 2) {
                let event = try Self.decode(pairs[index], of: pairs[index - 1].text ?? "an entry", in: key)
                found[event.position] = event
            }
        } while cursor != "0"
        return found.values.sorted { $0.position < $1.position }
    }

    /// One parked event; nil when there is none.
    package func find(group: String, _ position: LogPosition) throws(LogFailure) -> ParkedEvent? {
        guard position.partition < partitioning.count else { return nil }
        let key = LogKeys.parked(position.partition, group)
        let reply = try client.command("show parked", key, ["HGET", key, position.entryID])
        if case .null = reply { return nil }
        return try Self.decode(reply, of: position.entryID, in: key)
    }

    private static func decode(
        _ reply: Reply, of entry: String, in key: String
    ) throws(LogFailure) -> ParkedEvent {
        if case .string(let bytes) = reply, let event = ParkedEvent(parsing: bytes) { return event }
        throw LogFailure(
            .corrupt, operation: "list parked", key: key, text: "the record of \(entry) cannot be read")
    }

    /// Gives a parked event back to its group: it is delivered again, its tries counted anew.
    package func retry(group: String, _ position: LogPosition) throws(LogFailure) -> Outcome {
        let nobody = ConsumerName(instance: "parked", number: 0)
        let reply = try client.call(
            "retry parked", "\(position)", "reel_unpark",
            [LogKeys.log(position.partition), LogKeys.parked(position.partition, group)],
            [group, position.entryID, nobody.description])
        switch reply.integer {
        case 1: return .done
        case -1: return .entryMissing
        default: return .notParked
        }
    }

    /// Forgets a parked event; it stays in the log and is not delivered to the group again.
    package func discard(group: String, _ position: LogPosition) throws(LogFailure) -> Outcome {
        let key = LogKeys.parked(position.partition, group)
        let reply = try client.command("discard parked", key, ["HDEL", key, position.entryID])
        return reply.integer == 1 ? .done : .notParked
    }

    /// Asks the owner of an ordered subscription's partition to take up a history again that it set aside.
    package func retry(subscription: String, _ position: LogPosition) throws(LogFailure) -> Outcome {
        guard try find(group: subscription, position) != nil else { return .notParked }
        let key = LogKeys.parkedRetries(position.partition, subscription)
        _ = try client.command("retry parked", key, ["HSET", key, position.entryID, "asked"])
        return .done
    }

    /// Gives a history up in an ordered subscription: its events are passed over from here on.
    package func discard(
        subscription: String, _ position: LogPosition, partitionKey: String
    ) throws(LogFailure) -> Outcome {
        let partitionKey = partitionKey.isEmpty ? HeldKey.name(of: position) : partitionKey
        let given = LogKeys.givenUp(position.partition, subscription)
        let key = LogKeys.parked(position.partition, subscription)
        // First what keeps the history out, then what shows it as parked: in between it is both.
        _ = try client.command("discard parked", given, ["SADD", given, partitionKey])
        let reply = try client.command("discard parked", key, ["HDEL", key, position.entryID])
        return reply.integer == 1 ? .done : .notParked
    }
}
