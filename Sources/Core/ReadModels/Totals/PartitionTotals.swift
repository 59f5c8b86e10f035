internal import Base
package import EventSourcing

/// Sums over the histories of one partition, kept beside the projection's checkpoint so that nobody has to go
/// through all documents for them.
///
/// They are a function of the partition's log up to `position`, as a document is of its history up to its
/// version: whoever computes them for one position gets the same. That holds because an event behind
/// `position` is counted once, as the difference between its history's share before and after, and one that
/// is not behind it is not counted at all. It takes that the state before is the one at `position`; where
/// what is stored is ahead of it, it is folded again from the log (`ProjectionFolder.take`).
package struct PartitionTotals: Sendable, Hashable {
    /// The last event of the partition that is counted, or was left out.
    package var position: LogPosition
    /// As long as `position` is before it, the sums are being made anew and lack what stood up to it.
    package var wholeFrom: LogPosition?
    /// Ids of histories of which less is counted than stands in the partition up to `position`, because they
    /// were held back; each with the sequence of its last counted event.
    package var behind: [String: UInt64] = [:]
    /// Documents by group.
    package var groups: [String: Int] = [:]
    /// The sums, in the order of their names; none where nothing was counted yet.
    package var sums: [Int] = []
    /// The least of the measure; nil without any.
    package var least: Double?
    /// The greatest of the measure; nil without any.
    package var most: Double?

    /// Sums of nothing: those before the first event of a partition.
    package init(of partition: Int) {
        position = .start(of: partition)
    }

    /// What one document alone adds; nothing without one.
    package init(of share: TotalsShare?) {
        self.init(of: 0)
        if let share { count(from: nil, to: share) }
    }

    /// Whether nothing is missing from the sums.
    package var isWhole: Bool { wholeFrom.map { $0 <= position } ?? true }

    /// Counts an event that changed a document; nil stands for no document.
    package mutating func count(from before: TotalsShare?, to after: TotalsShare) {
        if before?.group != after.group {
            if let before { add(-1, before.group) }
            add(1, after.group)
        }
        if sums.isEmpty { sums = Array(repeating: 0, count: after.sums.count) }
        for place in sums.indices where place < after.sums.count {
            let less = before.map { place < $0.sums.count ? $0.sums[place] : 0 } ?? 0
            sums[place] +|= after.sums[place] -| less
        }
        if let value = after.least { least = min(least ?? value, value) }
        if let value = after.most { most = max(most ?? value, value) }
    }

    private mutating func add(_ change: Int, _ group: String) {
        let count = (groups[group] ?? 0) +| change
        groups[group] = count == 0 ? nil : count
    }

    /// Whether the same is counted, whatever it was counted up to.
    package func agrees(with other: PartitionTotals) -> Bool {
        let count = max(sums.count, other.sums.count)
        return groups == other.groups && padded(to: count) == other.padded(to: count) && least == other.least
            && most == other.most
    }

    private func padded(to count: Int) -> [Int] {
        sums + Array(repeating: 0, count: max(0, count - sums.count))
    }
}

/// The sums of all partitions that a projection has to do with.
package struct ProjectedTotals: Sendable, Hashable {
    /// Which rebuild they come from; empty for none. Those of another one are not known.
    package var lineage: String
    /// What is known.
    package var known: [Int: PartitionTotals]
    /// Partitions that were read in part without being counted.
    package var unknown: Set<Int>

    /// A book from what is kept.
    package init(lineage: String, known: [Int: PartitionTotals], unknown: Set<Int>) {
        self.lineage = lineage
        self.known = known
        self.unknown = unknown
    }

    /// The sums of a partition, those before its first event where it was never read; nil where they are
    /// not known.
    package subscript(partition: Int) -> PartitionTotals? {
        if let totals = known[partition] { return totals }
        return unknown.contains(partition) ? nil : PartitionTotals(of: partition)
    }

    /// Whether there are sums, and nothing is missing from them.
    package var isWhole: Bool { unknown.isEmpty && !known.isEmpty && known.values.allSatisfy(\.isWhole) }

    /// Says that a partition's sums are not known any more.
    package mutating func lose(_ partition: Int) {
        known[partition] = nil
        unknown.insert(partition)
    }

    /// Nothing up to there is left to be counted.
    package mutating func pass(_ position: LogPosition) {
        guard var totals = self[position.partition], totals.position < position else { return }
        totals.position = position
        if totals.isWhole { totals.wholeFrom = nil }
        known[position.partition] = totals
    }
}
