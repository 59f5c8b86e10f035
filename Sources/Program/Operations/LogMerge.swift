internal import RedisLog
package import EventSourcing

/// The events of all partitions, and what of them cannot be read, from the log's start, by the time of their
/// append. Memory is one page for each partition.
package struct LogMerge {
    private static let pageSize = 500

    private struct Lane {
        var page: ArraySlice<LogEntry> = []
        /// Of the last event that was read.
        var read: LogPosition
        /// Of the last event that was handed out.
        var given: LogPosition
        var isExhausted = false
    }

    private let store: any EventStore
    private var lanes: [Lane]

    package init(_ store: any EventStore) {
        self.store = store
        lanes = (0..<store.partitioning.count).map { Lane(read: .start(of: $0), given: .start(of: $0)) }
    }

    /// How far each partition was handed out.
    package var positions: [LogPosition] { lanes.map(\.given) }

    /// The next entry; nil at the log's end.
    package mutating func next() throws(LogFailure) -> LogEntry? {
        var best: (lane: Int, time: (UInt64, UInt64))?
        for index in lanes.indices {
            if lanes[index].page.isEmpty, !lanes[index].isExhausted { try fill(index) }
            guard let entry = lanes[index].page.first else { continue }
            let time = (entry.position.milliseconds, entry.position.counter)
            if let known = best, known.time <= time { continue }
            best = (index, time)
        }
        guard let best, let entry = lanes[best.lane].page.popFirst() else { return nil }
        lanes[best.lane].given = entry.position
        return entry
    }

    private mutating func fill(_ index: Int) throws(LogFailure) {
        let page = try store.entries(after: lanes[index].read, limit: Self.pageSize)
        lanes[index].page = page.entries[...]
        if let last = page.entries.last { lanes[index].read = last.position }
        lanes[index].isExhausted = page.isLast
    }
}
