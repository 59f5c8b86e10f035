/// What is known of each history of one kind beside the log: a fold of the few events that say it, small
/// enough for a value of an index (`LogIndex`). It comes from the log alone, and is made again from it.
package protocol HistoryFact: Sendable {
    /// The subscription that keeps it, with the names of its indexes: the first has the facts of all
    /// histories. Another form of the facts, or of their coding, is another name.
    static var subscription: Subscription { get }

    /// The types of events that say something; others change nothing.
    static var eventTypes: Set<String> { get }

    /// Whether histories under such a key can have the fact.
    static func concerns(_ partitionKey: String) -> Bool

    /// What an event does. One that was taken in before does nothing.
    /// - Parameter fact: of its history; nil where none is known.
    static func change(_ fact: Self?, by event: RecordedEvent) -> FactChange<Self>

    /// What is known of a history of which something cannot be read; nil where nothing is.
    static func unreadable(_ fact: Self?, at sequence: UInt64) -> Self?

    /// Whether the fact belongs into one of the indexes behind the first, by its name.
    func belongs(in index: String) -> Bool

    /// The fact in a few bytes.
    var bytes: [UInt8] { get }

    /// Reads them; nil for anything else.
    init?(bytes: [UInt8])
}

extension HistoryFact {
    /// All histories.
    package static func concerns(_ partitionKey: String) -> Bool { true }

    /// One index has all.
    package func belongs(in index: String) -> Bool { false }
}

/// What an event does to the fact of its history.
package enum FactChange<Fact: HistoryFact>: Sendable {
    /// Nothing.
    case none
    /// It is this now.
    case become(Fact)
    /// There is none any more: the history is at its end for good.
    case remove
    /// What the event says can't be read by this release.
    case unreadable
}
