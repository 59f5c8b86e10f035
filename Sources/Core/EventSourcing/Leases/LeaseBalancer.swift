/// Decides for one member of an ordered subscription which partitions it gives back and which it takes,
/// so that all members come to own equally many, and no partition moves without need.
///
/// Each member decides by itself, from what the log says at that moment; no leader is needed. With N
/// partitions and M members each owns N/M, rounded down, and the rest go one each to those who own most
/// already. A member gives back only what is above its share, and takes only what is free; so a partition
/// has one owner at any time, and once everybody owns its share nothing moves. A pure value: what it
/// decides is carried out by others, who tell it the outcome.
package struct LeaseBalancer: Sendable {
    /// What is to be done now.
    package struct Moves: Sendable, Hashable {
        /// Leases that were taken by others meanwhile; they are not held any more.
        package var lost: [Fence] = []
        /// Leases above the share, to be given back.
        package var release: [Fence] = []
        /// Partitions to ask for.
        package var acquire: [Int] = []

        /// Whether there is nothing to do.
        package var isEmpty: Bool { lost.isEmpty && release.isEmpty && acquire.isEmpty }
    }

    /// The subscription whose partitions are shared.
    package let subscription: String
    /// The member that it decides for.
    package let member: String
    /// What the member holds, by partition.
    package private(set) var held: [Int: Fence] = [:]

    /// A balancer of a member that holds nothing.
    package init(subscription: String, member: String) {
        self.subscription = subscription
        self.member = member
    }

    /// The fences of what is held, by partition.
    package var fences: [Fence] { held.values.sorted { $0.partition < $1.partition } }

    /// Decides by what the log says.
    /// - Parameters:
    ///   - members: all members that are alive; this one counts in any case.
    ///   - holders: who holds each partition of the log.
    package mutating func decide(members: [String], holders: [LeaseHolder]) -> Moves {
        var moves = Moves()
        for holder in holders {
            guard let fence = held[holder.partition], !isMine(fence, holder) else { continue }
            held[holder.partition] = nil
            moves.lost.append(fence)
        }
        let members = Set(members).union([member]).sorted()
        let mine = holders.filter { held[$0.partition] != nil || $0.owner == member }
        let share = share(of: holders, mine: mine.count, members)
        if mine.count > share {
            moves.release = mine.suffix(mine.count - share).map { holder in
                held[holder.partition]
                    ?? Fence(
                        subscription: subscription, partition: holder.partition, owner: member,
                        generation: holder.generation)
            }
        }
        // Leases in this member's name that it knows nothing of, because the answer that gave them was lost,
        // and those that have run out while nobody else took them.
        moves.acquire = mine.prefix(share).filter { held[$0.partition] == nil || $0.isFree }.map(\.partition)
        let wanted = share - mine.count
        if wanted > 0 {
            let free = holders.filter { $0.isFree && held[$0.partition] == nil }.map(\.partition)
            // Members begin at different places, so that they seldom ask for the same.
            let start = free.isEmpty ? 0 : (members.firstIndex(of: member) ?? 0) * share % free.count
            moves.acquire += (free[start...] + free[..<start]).prefix(wanted)
        }
        return moves
    }

    /// Takes in what was acquired.
    package mutating func acquired(_ fences: [Fence]) {
        for fence in fences { held[fence.partition] = fence }
    }

    /// Forgets leases that were given back or are lost.
    package mutating func forget(_ fences: [Fence]) {
        for fence in fences where held[fence.partition] == fence { held[fence.partition] = nil }
    }

    /// A lease that has run out is this member's until somebody else takes it.
    private func isMine(_ fence: Fence, _ holder: LeaseHolder) -> Bool {
        holder.generation == fence.generation && (holder.isFree || holder.owner == member)
    }

    /// How many partitions this member may own.
    private func share(of holders: [LeaseHolder], mine: Int, _ members: [String]) -> Int {
        var owned: [String: Int] = [:]
        for holder in holders where !holder.isFree { owned[holder.owner, default: 0] += 1 }
        owned[member] = mine
        let (whole, rest) = holders.count.quotientAndRemainder(dividingBy: members.count)
        let before = members.count { other in
            let (theirs, ours) = (owned[other] ?? 0, mine)
            return other != member && (theirs > ours || theirs == ours && other < member)
        }
        return whole + (before < rest ? 1 : 0)
    }
}
