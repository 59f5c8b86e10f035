internal import EventSourcing

/// Leases as one hash per partition and subscription, beside the partition's log, so that an append can
/// look at them; members in one sorted set per subscription.
final class RedisPartitionLeases: PartitionLeases {
    private let client: RedisClient
    private let partitions: [Int]

    init(_ client: RedisClient, _ partitions: [Int]) {
        self.client = client
        self.partitions = partitions
    }

    func attend(
        _ subscription: String, as member: String, forMilliseconds: Int
    ) throws(LogFailure) -> [String] {
        let key = LogKeys.members(subscription)
        let reply = try client.call(
            "attend", subscription, "reel_attend", [key], [member, String(max(1, forMilliseconds))])
        return reply.elements.compactMap(\.text).sorted()
    }

    func leave(_ subscription: String, as member: String) throws(LogFailure) {
        _ = try client.command("leave", subscription, ["ZREM", LogKeys.members(subscription), member])
    }

    func holders(_ subscription: String) throws(LogFailure) -> [LeaseHolder] {
        var commands = CommandBuffer()
        for partition in partitions {
            commands.run(.leaseRead, [LogKeys.lease(partition, subscription)], [])
        }
        var holders: [LeaseHolder] = []
        try client.pipeline("holders", subscription, commands) { index, reply throws(LogFailure) in
            holders.append(
                LeaseHolder(
                    partition: self.partitions[index], owner: reply[0]?.string ?? "",
                    generation: UInt64(clamping: reply[1]?.integer ?? 0),
                    remainingMilliseconds: reply[2]?.quantity ?? 0))
        }
        return holders
    }

    func acquire(
        _ subscription: String, _ partitions: [Int], as member: String, forMilliseconds: Int
    ) throws(LogFailure) -> [Fence] {
        var commands = CommandBuffer()
        for partition in partitions {
            commands.call(
                "reel_lease_acquire", [LogKeys.lease(partition, subscription)],
                [member, String(max(1, forMilliseconds))])
        }
        var fences: [Fence] = []
        try client.pipeline("acquire", subscription, commands) { index, reply throws(LogFailure) in
            guard let generation = reply.integer, generation > 0 else { return }
            fences.append(
                Fence(
                    subscription: subscription, partition: partitions[index], owner: member,
                    generation: UInt64(generation)))
        }
        return fences
    }

    func renew(_ fences: [Fence], forMilliseconds: Int) throws(LogFailure) -> [Fence] {
        var commands = CommandBuffer()
        for fence in fences {
            commands.call(
                "reel_lease_renew", [LogKeys.lease(fence.partition, fence.subscription)],
                [fence.owner, String(fence.generation), String(max(1, forMilliseconds))])
        }
        var held: [Fence] = []
        try client.pipeline("renew", fences.first?.subscription ?? "", commands) {
            index, reply throws(LogFailure) in
            if reply.integer == 1 { held.append(fences[index]) }
        }
        return held
    }

    func release(_ fences: [Fence]) throws(LogFailure) {
        var commands = CommandBuffer()
        for fence in fences {
            commands.call(
                "reel_lease_release", [LogKeys.lease(fence.partition, fence.subscription)],
                [fence.owner, String(fence.generation)])
        }
        try client.pipeline("release", fences.first?.subscription ?? "", commands) { _, _ in }
    }
}
