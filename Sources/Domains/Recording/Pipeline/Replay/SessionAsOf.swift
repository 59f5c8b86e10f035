package import Base
package import EventSourcing
package import Recording
internal import ReadModels

/// A moment in a session's history.
package enum Moment: Sendable, Hashable {
    /// Everything up to and including this time.
    case time(Timestamp)
    /// Everything up to and including this place in the log.
    case position(LogPosition)
    /// Everything up to and including this event of the session.
    case sequence(UInt64)

    /// Reads an RFC 3339 time, a place like `p007/1700000000000-0`, or a sequence number.
    package init?(_ text: String) {
        if let position = LogPosition(text) {
            self = .position(position)
        } else if let number = UInt64(text), number > 0 {
            self = .sequence(number)
        } else if let time = Timestamp(rfc3339: text) {
            self = .time(time)
        } else {
            return nil
        }
    }

    /// Whether an entry that cannot be read surely stands behind this moment.
    func isBefore(_ hole: UnreadableHole) -> Bool {
        switch self {
        // Events are timed before they are appended; how long before nobody knows.
        case .time: false
        case .position(let position): hole.position > position
        case .sequence(let sequence): hole.sequence > sequence
        }
    }

    /// Whether an event belongs to what was before or at this moment.
    func includes(_ event: RecordedEvent) -> Bool {
        switch self {
        case .time(let time): event.time <= time
        case .position(let position): event.position <= position
        case .sequence(let sequence): event.sequence <= sequence
        }
    }
}

/// A session as it was, folded from the beginning of its history.
package struct SessionAsOf: Sendable {
    /// The session and its pipeline.
    package let fold: SessionFold
    /// Its chunks, by number.
    package let chunks: [ChunkView]

    /// Folds the events up to `moment`, which is where the first later event stands; nil when the session
    /// did not exist yet. Memory grows with the number of chunks.
    package init?(_ session: String, at moment: Moment, in store: any EventStore) throws {
        var fold: SessionFold?
        var chunks: [String: ChunkView] = [:]
        var last: UInt64 = 0
        reading: while true {
            let page = try store.entries(of: session, after: last, limit: 500).entries
            guard let end = page.last else { break }
            last = end.sequence
            for entry in page {
                let event: RecordedEvent
                switch entry {
                case .event(let found): event = found
                case .unreadable(let hole) where moment.isBefore(hole): break reading
                case .unreadable(let hole): throw LogFailure.unreadable("load", hole.position, hole.text)
                }
                guard moment.includes(event) else { break reading }
                let fact = try RecordingEvent(event)
                let stamp = EventStamp(event)
                if fold == nil { fold = SessionFold(fact, stamp) } else { fold?.evolve(fact, stamp) }
                guard case .chunk(let chunk) = fact else { continue }
                if chunks[chunk.chunk.chunkID] == nil {
                    chunks[chunk.chunk.chunkID] = ChunkView(chunk, stamp)
                } else {
                    chunks[chunk.chunk.chunkID]?.evolve(chunk, stamp)
                }
            }
        }
        guard let fold else { return nil }
        self.fold = fold
        self.chunks = chunks.values.sorted { $0.sequenceNumber < $1.sequenceNumber }
    }
}
