internal import Base
internal import EventSourcing

extension InMemoryState {
    /// Whether the fence's owner is still the last that the partition was given to.
    func holds(_ fence: Fence) -> Bool {
        let lease = leases[fence.subscription]?[fence.partition]
        return lease?.owner == fence.owner && lease?.generation == fence.generation
    }

    func generation(_ fence: Fence) -> UInt64 {
        leases[fence.subscription]?[fence.partition]?.generation ?? 0
    }
}

final class InMemoryLeases: PartitionLeases {
    private let log: InMemoryEventLog

    init(_ log: InMemoryEventLog) { self.log = log }

    private func end(_ now: Timestamp, _ milliseconds: Int) -> Timestamp {
        Timestamp(milliseconds: now.milliseconds + Int64(max(1, milliseconds)))
    }

    func attend(
        _ subscription: String, as member: String, forMilliseconds: Int
    ) throws(LogFailure) -> [String] {
        try log.call("attend") { state in
            let now = log.clock.now()
            let until = end(now, forMilliseconds)
            var members = state.members[subscription, default: [:]].filter { $0.value > now }
            members[member] = until
            state.members[subscription] = members
            return members.keys.sorted()
        }
    }

    func leave(_ subscription: String, as member: String) throws(LogFailure) {
        try log.call("leave") { $0.members[subscription]?[member] = nil }
    }

    func holders(_ subscription: String) throws(LogFailure) -> [LeaseHolder] {
        try log.call("holders") { state in
            let now = log.clock.now()
            return (0..<state.partitioning.count).map { partition in
                let lease = state.leases[subscription]?[partition] ?? InMemoryState.Lease()
                let remaining = max(0, lease.until.milliseconds - now.milliseconds)
                return LeaseHolder(
                    partition: partition, owner: remaining > 0 ? lease.owner : "",
                    generation: lease.generation, remainingMilliseconds: Int(remaining))
            }
        }
    }

    func acquire(
        _ subscription: String, _ partitions: [Int], as member: String, forMilliseconds: Int
    ) throws(LogFailure) -> [Fence] {
        try log.call("acquire") { state in
            let now = log.clock.now()
            let until = end(now, forMilliseconds)
            return partitions.compactMap { partition in
                var lease = state.leases[subscription]?[partition] ?? InMemoryState.Lease()
                if lease.owner != member {
                    guard lease.owner.isEmpty || lease.until <= now else { return nil }
                    lease.owner = member
                    lease.generation += 1
                }
                lease.until = until
                state.leases[subscription, default: [:]][partition] = lease
                return Fence(
                    subscription: subscription, partition: partition, owner: member,
                    generation: lease.generation)
            }
        }
    }

    func renew(_ fences: [Fence], forMilliseconds: Int) throws(LogFailure) -> [Fence] {
        try log.call("renew") { state in
            let until = end(log.clock.now(), forMilliseconds)
            return fences.filter { fence in
                guard state.holds(fence) else { return false }
                state.leases[fence.subscription]?[fence.partition]?.until = until
                return true
            }
        }
    }

    func release(_ fences: [Fence]) throws(LogFailure) {
        try log.call("release") { state in
            for fence in fences where state.holds(fence) {
                state.leases[fence.subscription]?[fence.partition]?.owner = ""
                state.leases[fence.subscription]?[fence.partition]?.until = Timestamp(milliseconds: 0)
            }
        }
    }
}
