package import Base

/// Name of a consumer: the process it lives in and its number there.
package struct ConsumerName: Sendable, Hashable, CustomStringConvertible {
    /// Id of the process, new at every start. Its liveness mark is `worker/<instance>`.
    package var instance: String
    /// Number of the worker in its process.
    package var number: Int
    package init(instance: String, number: Int) {
        self.instance = instance
        self.number = number
    }

    /// `<instance>/<number>`.
    package var description: String { "\(instance)/\(number)" }

    /// The liveness mark of an instance.
    package static func mark(ofInstance instance: some StringProtocol) -> String { "worker/\(instance)" }
}

/// One event handed to one member of a group. It stays pending until it is acknowledged or parked.
package struct Delivery: Sendable, Hashable {
    /// The event.
    package var event: RecordedEvent
    /// How often it was delivered, this time included.
    package var attempt: Int
    package init(event: RecordedEvent, attempt: Int) {
        self.event = event
        self.attempt = attempt
    }
}

/// Why an event was set aside.
package struct ParkedReason: Sendable, Hashable {
    /// The stage that gave up.
    package var stage: String
    /// What went wrong, outermost first.
    package var errors: [String]
    /// How often it was tried; 2,147,483,647 stands for any more.
    package var attempts: Int
    /// When it was given up.
    package var time: Timestamp
    package init(stage: String, errors: [String], attempts: Int, time: Timestamp) {
        self.stage = stage
        self.errors = errors
        self.attempts = min(max(0, attempts), Int(Int32.max))
        self.time = time
    }
}

/// Membership of a consumer group over all partitions, for items that are independent of each other.
///
/// At least once: what is not acknowledged is delivered again, to this member after a reconnect or a
/// restart, or to another one when this member's process is gone. Calls block; one thread.
package protocol CompetingSubscription: AnyObject {
    /// The next deliveries, at most `limit`: first what this member or a dead one has pending, then new
    /// events. Waits at most `waitMilliseconds` (1000 at most) and then answers an empty batch.
    func next(limit: Int, waitMilliseconds: Int) throws(LogFailure) -> [Delivery]

    /// Acknowledges deliveries whose effects are durable.
    func acknowledge(_ positions: [LogPosition]) throws(LogFailure)

    /// Hands a delivery back: it is delivered again by a later `next`, not before `delayMilliseconds`
    /// (measured in this process).
    func retry(_ delivery: Delivery, afterMilliseconds: Int) throws(LogFailure)

    /// Counts a try of a delivery that failed, and answers how many did, by whichever member and across
    /// restarts. The count ends when the delivery is acknowledged or parked.
    func countTry(of delivery: Delivery) throws(LogFailure) -> Int

    /// Sets a delivery aside with its reason, and acknowledges it, atomically. Without effect when the
    /// delivery is not this member's any more: whoever has it now will decide.
    func park(_ delivery: Delivery, _ reason: ParkedReason) throws(LogFailure)
}

/// All events of some partitions, in order. Calls block; one thread.
package protocol OrderedFeed: AnyObject {
    /// The next events, at most `limit` per partition, in order within a partition. Waits at most
    /// `waitMilliseconds` (1000 at most) and then answers an empty batch.
    ///
    /// An entry that does not follow the log's format ends what comes of its partition; when it is the
    /// next one there, an `unreadable` failure names it and nothing is passed over.
    func next(limit: Int, waitMilliseconds: Int) throws(LogFailure) -> [RecordedEvent]

    /// Goes back (or forward) to after `position` in its partition: also behind an unreadable entry.
    func seek(to position: LogPosition)
}

/// Marks by which a process says that it, or something it holds, is alive.
package protocol Liveness: AnyObject {
    /// Sets the mark for `milliseconds`.
    func beat(_ mark: String, forMilliseconds: Int) throws(LogFailure)
    /// Which of the marks are set.
    func alive(_ marks: [String]) throws(LogFailure) -> [Bool]
    /// Takes the mark away at once.
    func end(_ mark: String) throws(LogFailure)
}

/// How far a subscription has come in each partition.
package protocol CheckpointStore: AnyObject {
    /// Saved positions by partition; partitions without one are absent.
    func load(_ subscription: String) throws -> [Int: LogPosition]
    /// Saves positions. Everything up to them is durable.
    /// - Parameter fences: where there is one for a position's partition, the position is saved only while
    ///   it holds. Positions that are refused are thrown as a `fenced` failure after the others were saved.
    func save(_ subscription: String, _ positions: [LogPosition], under fences: [Fence]) throws
}

extension CheckpointStore {
    /// Saves positions whoever owns their partitions.
    package func save(_ subscription: String, _ positions: [LogPosition]) throws {
        try save(subscription, positions, under: [])
    }
}
