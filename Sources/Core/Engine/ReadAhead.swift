package import EventSourcing
internal import Supervision

/// What was read of one partition at once.
package struct ReplayPage: Sendable {
    /// In the order of the log.
    package var events: [RecordedEvent] = []
    /// Entries among them that cannot be read, in the same order.
    package var unreadable: [UnreadableHole] = []

    /// The last place that was read; nil on an empty page.
    package var end: LogPosition? {
        [events.last?.position, unreadable.last?.position].compactMap { $0 }.max()
    }

    /// The page after a place, whatever stands on it.
    init(after place: LogPosition, from store: any EventStore) throws(LogFailure) {
        do throws(LogFailure) {
            events = try store.read(after: place, limit: ReadAhead.pageSize)
        } catch {
            guard error.kind == .unreadable else { throw error }
            for entry in try store.entries(after: place, limit: ReadAhead.pageSize).entries {
                switch entry {
                case .event(let event): events.append(event)
                case .unreadable(let hole): unreadable.append(hole)
                }
            }
        }
    }

    fileprivate mutating func cut(behind end: LogPosition) {
        while let last = events.last, last.position > end { events.removeLast() }
        while let last = unreadable.last, last.position > end { unreadable.removeLast() }
    }
}

/// Reads partitions of the log ahead of whoever folds them: several threads, each with a store of its own,
/// each with one page on its way. The pages in memory are bounded by threads times page size.
///
/// Partitions are read one after the other, so that the states of the histories of one partition are all
/// that a cache has to hold.
package final class ReadAhead {
    /// Events of one page.
    package static let pageSize = 2_000

    private var lanes: [Lane]
    private var next = 0

    /// A reader of the events after `positions` up to `ends`, both by partition. Connects at the first page.
    package init(
        _ log: any EventLog, after positions: [Int: LogPosition], upTo ends: [LogPosition], threads: Int
    ) throws {
        let open = ends.filter { $0 > positions[$0.partition] ?? .start(of: $0.partition) }
        let count = max(1, min(threads, open.count))
        var shares: [[(LogPosition, LogPosition)]] = Array(repeating: [], count: count)
        for (index, end) in open.enumerated() {
            shares[index % count].append((positions[end.partition] ?? .start(of: end.partition), end))
        }
        lanes = try shares.filter { !$0.isEmpty }.map { try Lane(store: try log.open(), $0) }
    }

    /// The next page; nil after the last one. Blocks.
    package func nextPage() throws -> ReplayPage? {
        while !lanes.isEmpty {
            next %= lanes.count
            guard let page = try lanes[next].nextPage() else {
                lanes.remove(at: next)
                continue
            }
            next += 1
            return page
        }
        return nil
    }
}

/// One reading thread's work. Between two pages it has no thread at all: a page costs 2,000 events, a
/// thread 20 microseconds, and what has no queue needs no bound and no end.
private final class Lane: @unchecked Sendable {
    // Sendable because the one thread that reads is joined before anything here is touched again.
    private let store: any EventStore
    private var open: [(at: LogPosition, end: LogPosition)]
    private var reading: OwnThread<ReplayPage>?

    init(store: any EventStore, _ ranges: [(LogPosition, LogPosition)]) throws {
        self.store = store
        open = ranges.map { (at: $0.0, end: $0.1) }
        try start()
    }

    deinit {
        // The thread holds the store; whoever closes it must not be a thread that still reads.
        _ = try? reading?.join()
    }

    private func start() throws {
        guard let range = open.first else { return reading = nil }
        let box = StoreBox(store: store)
        reading = try OwnThread(name: "replay read") {
            try ReplayPage(after: range.at, from: box.store)
        }
    }

    func nextPage() throws -> ReplayPage? {
        while let reading, let range = open.first {
            var page = try reading.join()
            if let end = page.end, end < range.end {
                open[0].at = end
            } else {
                // What was appended after the end was named is for the next round.
                page.cut(behind: range.end)
                open.removeFirst()
            }
            try start()
            if page.end != nil { return page }
        }
        return nil
    }
}

private struct StoreBox: @unchecked Sendable {
    // Sendable because one thread at a time uses it: the one that `Lane` started last.
    let store: any EventStore
}
