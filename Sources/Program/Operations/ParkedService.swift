package import Base
package import EventSourcing
internal import MongoViews
internal import Pipeline
internal import Recording
package import RedisLog

/// Which parked events are meant.
package struct ParkedSelection {
    var session: String?
    /// A stage, or an ordered subscription.
    var stage: String?
    /// Only what was parked before this time.
    var parkedBefore: Timestamp?

    package init(session: String? = nil, stage: String? = nil, parkedBefore: Timestamp? = nil) {
        self.session = session
        self.stage = stage
        self.parkedBefore = parkedBefore
    }

    func contains(_ event: ParkedEvent) -> Bool {
        if let session, event.partitionKey != session { return false }
        if let parkedBefore, event.reason.time > parkedBefore { return false }
        return true
    }
}

/// The name of a parked event: who parked it, and where it stands in the log. `store/p003/1763687-0`.
package struct ParkedID: Hashable, CustomStringConvertible {
    let stage: String
    let position: LogPosition

    package init(_ event: ParkedEvent) {
        stage = event.group
        position = event.position
    }

    /// Reads a name; nil for what is none of an event that these subscriptions can have parked.
    package init?(_ text: String, of subscriptions: SubscriptionRegistry) {
        let parts = text.split(separator: "/", maxSplits: 1)
        guard parts.count == 2, subscriptions.parking.contains(where: { $0.name == parts[0] }),
            let position = LogPosition(String(parts[1]))
        else { return nil }
        stage = String(parts[0])
        self.position = position
    }

    /// Stage and place, with a slash between.
    package var description: String { "\(stage)/\(position)" }
}

/// Looks at what was set aside, and decides what becomes of it, in the name of whoever asks. One thread.
///
/// The log learns of a decision before it takes effect: repeating a command that was cut off finishes it.
package final class ParkedService {
    /// What became of one parked event.
    package enum Verdict: Equatable {
        case done
        /// Somebody else has dealt with it already.
        case gone
        /// It cannot be done; why.
        case refused(String)
    }

    /// Everybody who reads the log, of whom some park.
    private let subscriptions: SubscriptionRegistry
    private let shelf: RedisParkedEvents
    private let store: any EventStore
    private let decisions: ParkedDecisions
    private let trail: CommandTrail

    package init(
        _ log: RedisEventLog, _ subscriptions: SubscriptionRegistry, clock: any WallClock, actor: Actor
    ) throws {
        self.subscriptions = subscriptions
        shelf = log.parkedEvents()
        store = try log.open()
        decisions = ParkedDecisions(store: store, clock: clock, actor: actor, source: "/reel/cli")
        trail = CommandTrail(log, user: actor.id, clock: clock)
    }

    /// Leaves a record of what became of an event.
    private func note(_ action: AuditAction, _ event: ParkedEvent, _ verdict: Verdict, reason: String?) throws
    {
        let session = session(of: event)
        let (outcome, why): (AuditOutcome, String?) =
            switch verdict {
            case .done: (.allowed, reason)
            case .gone: (.failed, "it is not parked any more")
            case .refused(let text): (.denied, text)
            }
        try trail.keep(
            action, on: AuditResource(.parked, id: ParkedID(event).description),
            session: session.isEmpty ? nil : session, outcome, reason: why,
            details: ["event": event.eventID, "subject": event.subject])
    }

    /// Calls `body` with the parked events that are meant, oldest first within stage and partition.
    /// - Parameter unreadable: told of a key that holds something else, which is passed over then.
    package func forEach(
        _ selection: ParkedSelection, unreadable: ((LogFailure) -> Void)? = nil,
        _ body: (ParkedEvent) throws -> Void
    ) throws {
        for stage in subscriptions.parking.map(\.name)
        where selection.stage == nil || selection.stage == stage {
            let partitioning = store.partitioning
            let partitions = selection.session.map { [partitioning.partition(of: $0)] }
            for partition in partitions ?? Array(0..<partitioning.count) {
                let events: [ParkedEvent]
                do throws(LogFailure) { events = try shelf.all(group: stage, partition: partition) } catch {
                    guard let unreadable, error.isOfRecord else { throw error }
                    unreadable(error)
                    continue
                }
                for event in events where selection.contains(event) { try body(event) }
            }
        }
    }

    /// A parked event by its name; nil when it is not parked any more.
    package func find(_ id: ParkedID) throws -> ParkedEvent? {
        try shelf.find(group: id.stage, id.position)
    }

    /// Brings an event back to where it failed, its tries counted anew.
    package func retry(_ event: ParkedEvent) throws -> Verdict {
        let verdict = try retried(event)
        try note(.parkedRetry, event, verdict, reason: nil)
        return verdict
    }

    /// The session that is decided on; none for what is no session's, of which the log need not learn.
    private func session(of event: ParkedEvent) -> String {
        Category.bare.contains(event.partitionKey) ? event.partitionKey : ""
    }

    private func retried(_ event: ParkedEvent) throws -> Verdict {
        if let refusal = try decisions.retry(session: session(of: event), eventID: event.eventID) {
            return .refused(refusal)
        }
        let outcome =
            isOrdered(event)
            ? try shelf.retry(subscription: event.group, event.position)
            : try shelf.retry(group: event.group, event.position)
        switch outcome {
        case .done: return .done
        case .notParked: return .gone
        case .entryMissing: return .refused("its entry is no longer in the log; it can only be discarded")
        }
    }

    /// Lets an event go for good: its session fails, whatever it still lacked.
    package func discard(_ event: ParkedEvent, reason: String?) throws -> Verdict {
        let verdict = try discarded(event, reason: reason)
        try note(.parkedDiscard, event, verdict, reason: reason)
        return verdict
    }

    private func isOrdered(_ event: ParkedEvent) -> Bool {
        subscriptions.ordered.contains { $0.name == event.group }
    }

    private func discarded(_ event: ParkedEvent, reason: String?) throws -> Verdict {
        let cause = reason ?? "\(event.subject) was discarded after \(event.group) gave it up"
        let refusal = try decisions.discard(
            session: session(of: event), eventID: event.eventID, causes: [cause] + event.reason.errors)
        if let refusal { return .refused(refusal) }
        let outcome =
            isOrdered(event)
            ? try shelf.discard(
                subscription: event.group, event.position, partitionKey: event.partitionKey)
            : try shelf.discard(group: event.group, event.position)
        return outcome == .done ? .done : .gone
    }
}
