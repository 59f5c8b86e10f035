internal import EventSourcing

/// The sums that are kept along while events are folded. One thread.
package final class TotalsKeeper {
    /// The sums by partition; nil where nobody keeps them.
    var book: ProjectedTotals?
    /// Whether the events are those of a history that was held back: what stands up to the counted position
    /// is counted now, and what stands behind it when it comes by itself.
    var isResuming = false

    init() {}

    /// Whether an event of this history has to be counted.
    func isCounted(_ event: RecordedEvent, of id: String) -> Bool {
        guard let book, !book.unknown.contains(event.position.partition) else { return false }
        let totals = book.known[event.position.partition]
        let position = totals?.position ?? .start(of: event.position.partition)
        guard isResuming else { return event.position > position }
        return event.position <= position && event.sequence > totals?.behind[id] ?? 0
    }

    /// Counts an event that changed what its history adds.
    func count(_ event: RecordedEvent, of id: String, from before: TotalsShare?, to after: TotalsShare) {
        let partition = event.position.partition
        guard book?.unknown.contains(partition) == false else { return }
        // In place, so that nothing is copied.
        book?.known[partition, default: PartitionTotals(of: partition)].count(from: before, to: after)
        if isResuming {
            book?.known[partition]?.behind[id] = event.sequence
        } else if book?.known[partition]?.behind.isEmpty == false {
            book?.known[partition]?.behind[id] = nil
        }
    }

    /// Says that a partition's sums are not known any more.
    func lose(_ partition: Int) { book?.lose(partition) }

    /// The sequence up to which a stored state of a history may go for what comes behind it to be counted
    /// once, and its last event among those that are taken in; nil when that is sound.
    func beginning(
        of id: String, _ key: String, _ stored: ViewIdentity, among events: [RecordedEvent]
    ) -> (event: RecordedEvent, end: UInt64)? {
        guard let counted = book?[stored.position.partition] else { return nil }
        let known = counted.behind[id]
        // So it is but after a crash, and with two owners at once.
        guard known != nil || stored.position > counted.position,
            let last = events.last(where: { $0.partitionKey == key })
        else { return nil }
        var end = last.sequence
        if let known {
            end = min(end, known)
        } else {
            let next = events.first { $0.partitionKey == key && $0.position > counted.position }
            if let next { end = next.sequence - 1 }
        }
        return end < stored.version ? (last, end) : nil
    }
}
