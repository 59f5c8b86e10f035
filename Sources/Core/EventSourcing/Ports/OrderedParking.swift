/// A partition key whose events an ordered subscription holds back, from one event on.
package struct HeldKey: Sendable, Hashable {
    /// The partition key.
    package var partitionKey: String
    /// The event that could not be handled.
    package var position: LogPosition
    /// Its sequence; what comes behind it waits. 0 when it cannot be read.
    package var sequence: UInt64
    /// Whether nobody can tell whose event it is: it holds back nothing but itself.
    package var isNameless: Bool { partitionKey == Self.name(of: position) }
    /// What stands for the partition key of an entry whose own cannot be read; no history has such a key.
    package static func name(of position: LogPosition) -> String { "entry/\(position)" }
    /// Whether somebody asked to try it again.
    package var isRetryAsked: Bool
    package init(partitionKey: String, position: LogPosition, sequence: UInt64, isRetryAsked: Bool) {
        self.partitionKey = partitionKey
        self.position = position
        self.sequence = sequence
        self.isRetryAsked = isRetryAsked
    }
}

/// What an ordered subscription holds back in one partition.
package struct HeldBack: Sendable, Hashable {
    /// Keys that wait behind an event that was set aside.
    package var keys: [HeldKey]
    /// Keys that were given up: their events are passed over.
    package var givenUp: Set<String>
    package init(keys: [HeldKey] = [], givenUp: Set<String> = []) {
        self.keys = keys
        self.givenUp = givenUp
    }
}

/// Events that ordered subscriptions set aside, kept beside the log so that they outlive owners and
/// restarts. Calls block; one thread.
///
/// The later events of a key that is held back are not copied: they stand in the log, and are read from
/// there by the key's history once it goes on.
package protocol OrderedParking: AnyObject {
    /// What is held back in a partition.
    func heldBack(_ subscription: String, in partition: Int) throws(LogFailure) -> HeldBack

    /// Counts a try of an event that failed, and answers how many did, by whichever owner. The count ends
    /// when the event is parked or released.
    func countTry(_ subscription: String, of position: LogPosition) throws(LogFailure) -> Int

    /// Sets an event aside, and so holds back its partition key. One event for each key.
    /// - Parameter fence: without it, or while it holds; otherwise `fenced` is thrown.
    func park(
        _ subscription: String, _ event: RecordedEvent, _ reason: ParkedReason, under fence: Fence?
    ) throws(LogFailure)

    /// What can be made out of an entry that does not follow the log's format: its partition key, or a name
    /// of its own that is nobody's key, and its sequence, or 0.
    func identify(_ position: LogPosition) throws(LogFailure) -> HeldKey

    /// Sets an entry aside that cannot be read, and so holds back its partition key.
    /// - Parameters:
    ///   - key: what `identify` answers for it, or the partition key that its history gave.
    ///   - fence: without it, or while it holds; otherwise `fenced` is thrown.
    func parkUnreadable(
        _ subscription: String, _ key: HeldKey, _ reason: ParkedReason, under fence: Fence?
    ) throws(LogFailure)

    /// Ends the holding back that began with this event.
    func release(_ subscription: String, _ position: LogPosition, under fence: Fence?) throws(LogFailure)
}
