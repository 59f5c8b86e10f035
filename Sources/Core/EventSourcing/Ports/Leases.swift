/// Proof that a member owned a partition of an ordered subscription when it was given out. Whatever the
/// member writes carries it, and is refused once somebody else owns the partition.
package struct Fence: Sendable, Hashable, CustomStringConvertible {
    /// Name of the ordered subscription.
    package var subscription: String
    /// Partition of the log.
    package var partition: Int
    /// The member that the partition was given to, `<instance>/<n>`. It is checked beside the generation:
    /// a server that lost its last writes might give the same generation out twice.
    package var owner: String
    /// Grows by one with every change of owner and never goes back; from 1.
    package var generation: UInt64
    package init(subscription: String, partition: Int, owner: String, generation: UInt64) {
        self.subscription = subscription
        self.partition = partition
        self.owner = owner
        self.generation = generation
    }

    /// `projector p007 generation 3`.
    package var description: String {
        "\(subscription) \(LogPosition.partitionName(partition)) generation \(generation)"
    }
}

/// Who owns a partition of an ordered subscription, as the log says at one moment.
package struct LeaseHolder: Sendable, Hashable {
    /// Partition of the log.
    package var partition: Int
    /// The member that holds it; empty when nobody does.
    package var owner: String
    /// Generation of the present or, when nobody holds it, of the last owner; 0 when there was none yet.
    package var generation: UInt64
    /// Milliseconds until the lease is free for others unless it is renewed; 0 when nobody holds it.
    package var remainingMilliseconds: Int

    /// Whether nobody holds the partition: it was released, or its lease has run out.
    package var isFree: Bool { remainingMilliseconds <= 0 }
    package init(partition: Int, owner: String, generation: UInt64, remainingMilliseconds: Int) {
        self.partition = partition
        self.owner = owner
        self.generation = generation
        self.remainingMilliseconds = remainingMilliseconds
    }
}

/// Membership in ordered subscriptions, and leases of their partitions. Calls block; one thread.
///
/// Times are the log's, so that members' clocks need not agree. A member's name is used by one worker of
/// one process and never again after it has ended.
package protocol PartitionLeases: AnyObject {
    /// Says that `member` takes part for the given time, and answers all who do, sorted.
    func attend(_ subscription: String, as member: String, forMilliseconds: Int) throws(LogFailure)
        -> [String]

    /// Ends the membership at once. Leases are released apart.
    func leave(_ subscription: String, as member: String) throws(LogFailure)

    /// Who holds each partition of the log, in the order of partitions.
    func holders(_ subscription: String) throws(LogFailure) -> [LeaseHolder]

    /// Takes those of the partitions that are free, each with a new generation, and answers the fences.
    /// One that this member holds already is extended, with the generation that it has: so the call may be
    /// made again when its answer was lost.
    func acquire(
        _ subscription: String, _ partitions: [Int], as member: String, forMilliseconds: Int
    ) throws(LogFailure) -> [Fence]

    /// Extends leases and answers which of them are still held. One that has run out is held as long as
    /// nobody else took it.
    func renew(_ fences: [Fence], forMilliseconds: Int) throws(LogFailure) -> [Fence]

    /// Gives leases back; others may take them at once. Those that are lost already are let be.
    func release(_ fences: [Fence]) throws(LogFailure)
}
