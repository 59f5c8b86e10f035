package import EventSourcing

/// Events of the whole log, page by page, with the places that followers of everything come back with.
package enum LiveHistory {
    /// A page.
    package struct Page: Sendable {
        /// The events, partition by partition, in the log's order within each.
        package var events: [RecordedEvent] = []
        /// Entries among them that cannot be read, in the same order.
        package var unreadable: [UnreadableHole] = []
        /// Where the next page, or a follower, goes on.
        package var place = ""
        /// Whether the log goes on behind it; also when much was read that is left out.
        package var hasMore = false
    }

    /// Events that are looked at for one page, at most.
    private static let eventsScanned = 20_000

    /// The page behind `place`; nil when it is none of this log, or the log ends before it.
    /// - Parameters:
    ///   - place: nil for the beginning of the log.
    ///   - limit: events on the page, at most.
    ///   - filter: of everything; what it leaves out is passed over.
    package static func page(
        after place: String?, limit: Int, filter: LiveFilter, from store: any EventStore
    ) throws(LogFailure) -> Page? {
        let count = store.partitioning.count
        var places = (0..<count).map { LogPosition.start(of: $0) }
        if let place {
            guard let given = LivePlace.decode(place, partitions: count) else { return nil }
            places = given
        }
        var page = Page()
        var scanned = 0
        for partition in 0..<count {
            while true {
                let room = min(limit - page.events.count - page.unreadable.count, 500)
                guard room > 0, scanned < eventsScanned else {
                    page.hasMore = true
                    page.place = LivePlace.encode(places)
                    return page
                }
                let found = try store.entries(after: places[partition], limit: room)
                if found.entries.isEmpty, try store.end(of: partition) < places[partition] { return nil }
                scanned += found.entries.count
                for entry in found.entries {
                    places[partition] = entry.position
                    switch entry {
                    case .event(let event): if filter.passes(event) { page.events.append(event) }
                    case .unreadable(let hole): page.unreadable.append(hole)
                    }
                }
                if found.isLast { break }
            }
        }
        page.place = LivePlace.encode(places)
        return page
    }
}
