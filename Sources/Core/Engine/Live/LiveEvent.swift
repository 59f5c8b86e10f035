internal import Base
package import EventSourcing

/// An event on its way to followers: encoded once, shared by all of them.
package final class LiveEvent: Sendable {
    /// Type of what stands for an entry that cannot be read.
    package static let unreadableType = "unreadable"

    private let sent = Lock<(id: String, bytes: [UInt8])?>(nil)

    /// Partition key of the history that it stands in; empty for an
    /// entry that cannot be read.
    package let partitionKey: String
    /// Its sequence there; 0 for an entry of which nobody knows whose it is.
    package let sequence: UInt64
    /// CloudEvents type, or `unreadableType`.
    package let type: String
    /// Its place in the log.
    package let position: LogPosition
    /// The event in CloudEvents 1.0 JSON form, UTF-8, on one line. Of an entry that cannot be read: an object
    /// with `position`, `sequence` where it is known, and `text`.
    package let json: [UInt8]

    init(_ event: RecordedEvent) {
        var writer = JSONWriter(reserving: event.data.count + 640)
        event.encodeCloudEvent(into: &writer)
        partitionKey = event.partitionKey
        sequence = event.sequence
        type = event.type
        position = event.position
        json = writer.bytes
    }

    init(_ hole: UnreadableHole) {
        var writer = JSONWriter()
        hole.encode(into: &writer)
        partitionKey = ""
        sequence = hole.sequence
        type = Self.unreadableType
        position = hole.position
        json = writer.bytes
    }

    /// What is sent for it to followers for whom it has this id: made for the first of them, and shared by
    /// those who come next with the same one.
    package func sent(as id: String, _ make: () -> [UInt8]) -> [UInt8] {
        sent.withLock { sent in
            if let sent, sent.id == id { return sent.bytes }
            let bytes = make()
            sent = (id, bytes)
            return bytes
        }
    }
}

/// An event as one follower gets it.
package struct LiveItem: Sendable {
    /// The event.
    package let event: LiveEvent
    /// Where to go on after it: what `Last-Event-ID` brings back. It is a sequence number when one history
    /// is followed, and all of the log's places in one word when everything is.
    package let id: String
}

/// What a follower wants to see.
package struct LiveFilter: Sendable {
    /// How much of the log.
    package enum Scope: Sendable, Hashable {
        /// The history of one partition key.
        case history(String)
        /// All of it.
        case everything
    }

    /// How much of the log.
    package var scope: Scope
    /// Event types; nil for all.
    package var types: Set<String>?
    /// Whether the events of a history are left out, by its partition key.
    package var hides: @Sendable (_ partitionKey: String) -> Bool

    package init(
        _ scope: Scope, types: Set<String>? = nil,
        hiding hides: @escaping @Sendable (_ partitionKey: String) -> Bool = { _ in false }
    ) {
        self.scope = scope
        self.types = types
        self.hides = hides
    }

    func passes(_ event: RecordedEvent) -> Bool {
        if hides(event.partitionKey) { return false }
        return types?.contains(event.type) ?? true
    }

    /// Whatever cannot be read may be what somebody waits for: everybody is told of it.
    func passes(_ entry: LogEntry) -> Bool { entry.event.map(passes) ?? true }
}

/// Where a follower begins.
package enum LiveStart: Sendable, Hashable {
    /// At the beginning of what it follows.
    case beginning
    /// With what comes from now on.
    case now
    /// After the item with this id: `Last-Event-ID`.
    case after(String)
}

/// Why nobody can follow.
package enum LiveRefusal: Error, Sendable, Hashable, CustomStringConvertible {
    /// The id is none that was given out for what is followed.
    case unknownID
    /// As many follow as may.
    case tooMany(limit: Int)
    /// The log has not been reached yet, or the feed has ended.
    case unavailable

    /// One line for people.
    package var description: String {
        switch self {
        case .unknownID: "Last-Event-ID is none that was given out here"
        case .tooMany(let limit): "\(limit) followers are served already"
        case .unavailable: "the log cannot be followed now"
        }
    }
}

/// Why no more items come.
package enum LiveEnd: Sendable, Hashable {
    /// The follower did not want any more.
    case cancelled
    /// The process ends; go on elsewhere from the last item's id.
    case stopping
    /// The log ends before the place that the follower came with: it is of another log, or history was lost.
    case unknownPlace
    /// The log can't be read there; the text says why.
    case failed(String)
}

/// What a follower gets at one look.
package enum LiveBatch: Sendable {
    /// Items in order; none when nothing has come.
    case items([LiveItem])
    /// No more will come.
    case ended(LiveEnd)
}
