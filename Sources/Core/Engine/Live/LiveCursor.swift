internal import Base
internal import EventSourcing

/// An event that the feed has read, or an entry that it could not read, with what followers need to know
/// about it.
final class LiveStep: Sendable {
    let entry: LogEntry
    /// The position before it in its partition; nil when it comes from the history.
    let previous: LogPosition?
    /// The feed's places after it; empty when nobody follows everything.
    let places: [LogPosition]
    private let made = Lock<LiveEvent?>(nil)
    private let word = Lock<String?>(nil)

    init(_ entry: LogEntry, previous: LogPosition?, places: [LogPosition] = []) {
        self.entry = entry
        self.previous = previous
        self.places = places
    }

    /// The event as followers get it: encoded when the first of them wants it.
    var shared: LiveEvent {
        made.withLock { made in
            if let made { return made }
            let event =
                switch entry {
                case .event(let event): LiveEvent(event)
                case .unreadable(let hole): LiveEvent(hole)
                }
            made = event
            return event
        }
    }

    /// The feed's places after it in one word.
    var place: String {
        word.withLock { word in
            if let word { return word }
            let text = LivePlace.encode(places)
            word = text
            return text
        }
    }
}

/// What was read from the history for one follower.
struct LivePage {
    let entries: [LogEntry]
    /// Partition that it is of; nil for one history's.
    var partition: Int?
    /// Whether nothing stood behind it when it was read.
    let isLast: Bool
}

/// How far a follower has come.
enum LiveCursor {
    /// In one history: the next sequence; nil when it is whatever the feed brings first. And the highest that
    /// the feed has shown, which may still have to come from the history.
    case history(next: UInt64?, shown: UInt64, isBehind: Bool)
    /// In everything, place by place: the partitions that have to be read from the history, each with the
    /// highest position that the feed has shown there and that was not taken.
    case places([LogPosition], unread: [Int: LogPosition])
    /// In everything, exactly where the feed is: ids are the feed's, made once for all.
    case joined(String)

    enum Verdict {
        case known, next, later
    }

    /// Whether something has to be read from the history.
    var isBehind: Bool {
        switch self {
        case .history(_, _, let isBehind): isBehind
        case .places(_, let unread): !unread.isEmpty
        case .joined: false
        }
    }

    /// Whether an event that the feed has read is the next one.
    func judge(_ step: LiveStep) -> Verdict {
        switch self {
        case .history(let next, _, _):
            guard let next else { return .next }
            let sequence = step.entry.sequence
            return sequence < next ? .known : sequence == next ? .next : .later
        case .places(let places, _):
            let place = places[step.entry.position.partition]
            if step.entry.position <= place { return .known }
            return step.previous == place ? .next : .later
        case .joined: return .next
        }
    }

    /// Whether an entry of the history is one that was not delivered. There are no gaps in what is read.
    func isNextOfHistory(_ entry: LogEntry) -> Bool {
        switch self {
        case .history(let next, _, _): entry.sequence == next
        case .places(let places, _): entry.position > places[entry.position.partition]
        case .joined: false
        }
    }

    /// Goes past an event.
    mutating func advance(_ step: LiveStep) {
        switch self {
        case .history(_, let shown, let isBehind):
            self = .history(next: step.entry.sequence + 1, shown: shown, isBehind: isBehind)
        case .places(var places, let unread):
            // Emptied first, so that changing one place does not copy all of them.
            self = .joined("")
            places[step.entry.position.partition] = step.entry.position
            self = .places(places, unread: unread)
        case .joined: self = .joined(step.place)
        }
    }

    /// Notes that an event was not taken, and will have to come from the history.
    mutating func fallBehind(_ step: LiveStep) {
        switch self {
        case .history(let next, let shown, _):
            let sequence = step.entry.sequence
            self = .history(next: next ?? sequence, shown: max(shown, sequence), isBehind: true)
        case .places(let places, var unread):
            let position = step.entry.position
            unread[position.partition] = max(position, unread[position.partition] ?? position)
            self = .places(places, unread: unread)
        case .joined:
            var places = step.places
            let partition = step.entry.position.partition
            if places.indices.contains(partition) { places[partition] = step.previous ?? places[partition] }
            self = .places(places, unread: [partition: step.entry.position])
        }
    }

    /// Is where the feed is, if so; answers whether.
    mutating func join(_ feed: [LogPosition]) -> Bool {
        switch self {
        case .places(let places, let unread):
            guard unread.isEmpty, places == feed else { return false }
            self = .joined("")
            return true
        case .history, .joined: return true
        }
    }

    /// Notes that a page was taken to its end.
    mutating func finish(_ page: LivePage) {
        guard page.isLast else { return }
        switch self {
        case .history(let next, let shown, _):
            // What the feed has shown meanwhile has to be read too.
            self = .history(next: next, shown: shown, isBehind: next.map { shown >= $0 } ?? false)
        case .places(let places, var unread):
            // A page that was read before the feed showed something does not have it.
            if let partition = page.partition, let shown = unread[partition], shown <= places[partition] {
                unread[partition] = nil
            }
            self = .places(places, unread: unread)
        case .joined: break
        }
    }

    /// The id of an event that was just gone past.
    func id(of event: LiveEvent) -> String {
        switch self {
        case .history: String(event.sequence)
        case .places(let places, _): LivePlace.encode(places)
        case .joined(let word): word
        }
    }
}
