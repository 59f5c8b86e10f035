package import Base

/// An entry of the log that cannot be read.
package struct UnreadableHole: Sendable, Hashable, CustomStringConvertible {
    /// Where it stands.
    package var position: LogPosition
    /// Its sequence in the history that was read; 0 where a partition was.
    package var sequence: UInt64
    /// What is wrong with it.
    package var text: String
    package init(position: LogPosition, sequence: UInt64, text: String) {
        self.position = position
        self.sequence = sequence
        self.text = text
    }

    /// An object with `position`, `sequence` where it is known, and `text`.
    package func encode(into writer: inout JSONWriter) {
        writer.object { json in
            json.member("position", position.description)
            if sequence > 0 { json.member("sequence", Int(clamping: sequence)) }
            json.member("text", text)
        }
    }

    /// `entry p003/1763-0 cannot be read: text`.
    package var description: String { "entry \(position) cannot be read: \(text)" }
}

/// What stands at one place of the log.
package enum LogEntry: Sendable, Hashable {
    /// An event.
    case event(RecordedEvent)
    /// Something that does not follow the log's format.
    case unreadable(UnreadableHole)

    /// Where it stands.
    package var position: LogPosition {
        switch self {
        case .event(let event): event.position
        case .unreadable(let hole): hole.position
        }
    }

    /// Its sequence in its history; 0 for a hole that was met in a partition.
    package var sequence: UInt64 {
        switch self {
        case .event(let event): event.sequence
        case .unreadable(let hole): hole.sequence
        }
    }

    /// The event; nil where there is none to be read.
    package var event: RecordedEvent? {
        if case .event(let event) = self { event } else { nil }
    }
}

/// Entries that were read at once.
package struct LogPage: Sendable {
    /// In the order of the log.
    package var entries: [LogEntry] = []
    /// Whether nothing stood behind them when they were read.
    package var isLast = false

    /// A page with nothing on it.
    package init() {}
}

extension EventStore {
    /// Like `load`, but what cannot be read stands among the entries and ends nothing.
    package func entries(
        of partitionKey: String, after sequence: UInt64, limit: Int
    ) throws(LogFailure) -> LogPage {
        try pastHoles(limit) { (last, limit) throws(LogFailure) in
            try load(partitionKey, after: last?.sequence ?? sequence, limit: limit)
        } hole: {
            UnreadableHole(position: $0, sequence: ($1?.sequence ?? sequence) +| 1, text: $2)
        }
    }

    /// Like `read`, but what cannot be read stands among the entries and ends nothing.
    package func entries(after position: LogPosition, limit: Int) throws(LogFailure) -> LogPage {
        try pastHoles(limit) { (last, limit) throws(LogFailure) in
            try read(after: last?.position ?? position, limit: limit)
        } hole: { place, _, text in
            UnreadableHole(position: place, sequence: 0, text: text)
        }
    }

    /// The whole history of a partition key, page by page into `body`, with what of it cannot be read.
    package func forEachEntry(
        of partitionKey: String, after sequence: UInt64 = 0, pageSize: Int = 500,
        _ body: (LogEntry) throws -> Void
    ) throws {
        var last = sequence
        while true {
            let page = try entries(of: partitionKey, after: last, limit: pageSize)
            for entry in page.entries { try body(entry) }
            guard !page.isLast, let end = page.entries.last else { return }
            last = end.sequence
        }
    }

    /// Reads a page in parts: a read that meets a hole answers nothing, so that less and less is read, up
    /// to the hole alone.
    private func pastHoles(
        _ limit: Int, _ read: (_ last: LogEntry?, _ limit: Int) throws(LogFailure) -> [RecordedEvent],
        hole: (_ position: LogPosition, _ last: LogEntry?, _ text: String) -> UnreadableHole
    ) throws(LogFailure) -> LogPage {
        var page = LogPage()
        var part = max(1, limit)
        while page.entries.count < limit {
            let wanted = min(part, limit - page.entries.count)
            do throws(LogFailure) {
                let events = try read(page.entries.last, wanted)
                page.entries += events.map(LogEntry.event)
                guard events.count == wanted else {
                    page.isLast = true
                    return page
                }
            } catch {
                guard let position = error.unreadableEntry else { throw error }
                part = wanted / 2
                guard part == 0 else { continue }
                page.entries.append(.unreadable(hole(position, page.entries.last, error.text)))
                part = limit
            }
        }
        return page
    }
}
