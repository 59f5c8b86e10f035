package import EventSourcing
internal import Base

/// A stage as a value: what it takes up, and what comes of it.
package struct HostedStage: Sendable {
    /// Its name, and that of its consumer group.
    package let name: String
    /// The types of events that it takes up.
    package let consumes: Set<String>
    /// Does the work on one event; answers what has happened. Work may come again: its effects have to be the
    /// same. What it throws is waited out where time or an operator can end it; all else is tried again, and
    /// in the end set aside.
    package let handle: @Sendable (RecordedEvent, DomainHost) throws -> [any Event]
    package init(
        _ name: String, consumes: Set<String>,
        handle: @escaping @Sendable (RecordedEvent, DomainHost) throws -> [any Event]
    ) {
        self.name = name
        self.consumes = consumes
        self.handle = handle
    }

    /// Its reading of the log: members of a group share what is to be done.
    package var subscription: Subscription {
        Subscription(name, .group, parks: true, holdsBack: true)
    }

    /// An instance for one thread. Events of other categories are none of its business, whatever their type.
    package func make(_ host: DomainHost, in category: Category) -> any Stage {
        StageOfValue(self, host, category)
    }
}

/// A stage that is described by a value. The id of what it emits follows from its cause, so that work that is
/// done again has no further effect.
private final class StageOfValue: Stage {
    private let stage: HostedStage
    private let host: DomainHost
    private let category: Category
    private let context: EventContext

    init(_ stage: HostedStage, _ host: DomainHost, _ category: Category) {
        self.stage = stage
        self.category = category
        self.host = host
        context = EventContext(source: "/reel/\(stage.name)", actor: .system(stage.name))
    }

    var name: String { stage.name }
    var consumes: Set<String> { stage.consumes }

    private func id(_ delivery: Delivery) -> String { "\(delivery.event.id)/\(stage.name)" }

    func handle(_ delivery: Delivery) -> StageOutcome {
        let history = delivery.event.partitionKey
        guard category.contains(history) else { return .done([]) }
        do {
            let facts = try stage.handle(delivery.event, host)
            let context = context.caused(by: delivery.event)
            let now = host.clock.now()
            let events = try facts.enumerated().map { place, fact in
                try ProposedEvent(
                    fact, id: place == 0 ? id(delivery) : "\(id(delivery))/\(place)", time: now,
                    context: context, at: host.log.level)
            }
            // What the log refuses for its size is this work's failure, not the worker's.
            if !events.isEmpty {
                try AppendBatch(to: history, expecting: .any, events).requireWithinLimits()
            }
            return .done(events)
        } catch let failure as any TransientFailure where failure.remedy != .none {
            return .wait(milliseconds: 2000, reason: "\(failure)")
        } catch {
            return .failed(errors: ["\(error)"])
        }
    }

    func settled(_ delivery: Delivery, appended: Bool) {}

    func resultID(of delivery: Delivery) -> String? { id(delivery) }
}
