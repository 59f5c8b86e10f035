internal import EventSourcing
internal import Pipeline
internal import Recording
internal import Supervision

/// Somebody who looks at what was set aside now and then, and has it tried again, with or without having
/// mended what it failed on, gives it up, or lets it lie.
///
/// Sendable because whoever touches it has the turn.
final class Operator: @unchecked Sendable {
    /// Something that a stage or an ordered subscription has set aside.
    struct Item: Hashable {
        var name: String
        var isOrdered: Bool
        var position: LogPosition
    }

    private enum Plan {
        case retry, mendAndRetry, discard, leave
    }

    static let subscriptions = ["completion", InMemoryProjection.subscription, LedgerHandler.subscription]

    private let log: InMemoryEventLog
    private let poison: Poison
    private let scheduler: Scheduler
    private var plans: [Item: Plan] = [:]
    /// Items whose events nobody will ask for again.
    private(set) var left: Set<Item> = []
    /// Sessions of which something was given up.
    private(set) var discarded: Set<String> = []

    init(_ log: InMemoryEventLog, _ poison: Poison, _ scheduler: Scheduler) {
        self.log = log
        self.poison = poison
        self.scheduler = scheduler
    }

    /// Everything that lies aside.
    func items() -> [Item] {
        let stages = StageName.allCases.flatMap { stage in
            log.parked(group: stage.rawValue).keys
                .map { Item(name: stage.rawValue, isOrdered: false, position: $0) }
        }
        let ordered = Self.subscriptions.flatMap { name in
            log.parked(subscription: name).keys.map { Item(name: name, isOrdered: true, position: $0) }
        }
        return (stages + ordered).sorted { ($0.name, $0.position) < ($1.name, $1.position) }
    }

    /// What lies aside and will not lie there for ever.
    func open() -> [Item] { items().filter { !left.contains($0) } }

    /// Deals with everything that lies aside, until the process ends.
    func run(_ process: SimulatedProcess, store: any EventStore) throws(LogFailure) {
        let decisions = ParkedDecisions(
            store: store, clock: ProcessClock(process: process), actor: .system("operator"),
            source: "/reel/simulation")
        while !process.isDead {
            for item in items() {
                try process.logStep("look at parked", answered: false)
                guard let event = log.event(at: item.position) else { continue }
                try deal(with: item, event, decisions, process)
            }
            process.stop.wait(milliseconds: process.random(in: 1000...8000))
        }
    }

    private func deal(
        with item: Item, _ event: RecordedEvent, _ decisions: ParkedDecisions, _ process: SimulatedProcess
    ) throws(LogFailure) {
        if item.isOrdered, log.isRetryAsked(item.name, item.position) { return }
        let plan = plan(item)
        scheduler.remark("\(plan) \(item.name) \(item.position) of \(event.partitionKey)")
        switch plan {
        case .leave: left.insert(item)
        case .retry:
            // The next time it is mended.
            plans[item] = .mendAndRetry
            try retry(item, event, decisions, process)
        case .mendAndRetry:
            poison.mend(item.name, event.id)
            try retry(item, event, decisions, process)
        case .discard:
            discarded.insert(event.partitionKey)
            let refusal = try decisions.discard(
                session: event.partitionKey, eventID: event.id, causes: ["discarded"])
            if refusal != nil {
                discarded.remove(event.partitionKey)
                plans[item] = .mendAndRetry
                return
            }
            try process.logStep("discard parked", answered: false)
            if item.isOrdered {
                log.discardParked(item.name, item.position)
            } else {
                log.discardParked(group: item.name, item.position)
            }
        }
    }

    private func plan(_ item: Item) -> Plan {
        if let plan = plans[item] { return plan }
        let plan: Plan =
            switch scheduler.chance.number(in: 0...9) {
            case 0, 1: .retry
            case 2...6: .mendAndRetry
            case 7, 8: .discard
            default: .leave
            }
        plans[item] = plan
        return plan
    }

    private func retry(
        _ item: Item, _ event: RecordedEvent, _ decisions: ParkedDecisions, _ process: SimulatedProcess
    ) throws(LogFailure) {
        if try decisions.retry(session: event.partitionKey, eventID: event.id) != nil {
            // Its session has failed: there is nothing left to be tried.
            plans[item] = .discard
            return
        }
        try process.logStep("retry parked", answered: false)
        if item.isOrdered {
            log.retryParked(item.name, item.position)
        } else {
            log.retryParked(group: item.name, item.position)
        }
        scheduler.changed()
    }
}
