internal import EventSourcing

/// Events that can't be handled, by whom, and for how long.
///
/// Sendable because whoever touches it has the turn.
final class Poison: @unchecked Sendable {
    private enum Kind {
        case none
        /// Fails so many times more, fewer than an event is tried before it is set aside.
        case passing(Int)
        /// Fails until somebody has mended what makes it fail.
        case lasting
    }

    private struct Item: Hashable {
        var name: String
        var id: String
    }

    private let scheduler: Scheduler
    /// The probability that a stage or subscription cannot handle an event.
    private let share: Double
    private var kinds: [Item: Kind] = [:]
    private var passing: Set<Item> = []
    /// How often something was made to fail.
    private(set) var count = 0

    init(_ scheduler: Scheduler, share: Double) {
        self.scheduler = scheduler
        self.share = share
    }

    /// Whether `name` fails on the thing with this id now.
    func strikes(_ name: String, _ id: String) -> Bool {
        guard share > 0 else { return false }
        let item = Item(name: name, id: id)
        switch kinds[item] ?? choose(item) {
        case .none: return false
        case .lasting: break
        case .passing(let left):
            guard left > 0 else { return false }
            kinds[item] = .passing(left - 1)
        }
        count += 1
        return true
    }

    private func choose(_ item: Item) -> Kind {
        var kind = Kind.none
        if scheduler.chance.happens(share) {
            kind = scheduler.chance.happens(0.5) ? .lasting : .passing(scheduler.chance.number(in: 1...2))
        }
        if case .passing = kind { passing.insert(item) }
        kinds[item] = kind
        return kind
    }

    /// From now on nothing about this fails any more.
    func mend(_ name: String, _ id: String) { kinds[Item(name: name, id: id)] = Kind.none }

    /// Whether it failed fewer times than lead to its being set aside.
    func wasPassing(_ name: String, _ id: String) -> Bool { passing.contains(Item(name: name, id: id)) }

    /// Throws if the subscription fails on one of these events; hands those before it on, or none: there
    /// are handlers of both kinds.
    func pass(_ name: String, _ events: [RecordedEvent], to body: ([RecordedEvent]) throws -> Void) throws {
        guard let index = events.firstIndex(where: { strikes(name, $0.id) }) else { return try body(events) }
        if index > 0, scheduler.chance.happens(0.5) { try body(Array(events[..<index])) }
        throw PoisonedEvent(position: events[index].position)
    }
}

/// An event that nothing can be done with.
struct PoisonedEvent: EventFailure, CustomStringConvertible {
    let position: LogPosition?
    var description: String { "poison at \(position.map { "\($0)" } ?? "no place")" }
}

/// A stage that fails on some chunks.
final class PoisonedStage: Stage {
    private let inner: any Stage
    private let poison: Poison

    init(_ inner: any Stage, _ poison: Poison) {
        self.inner = inner
        self.poison = poison
    }

    var name: String { inner.name }
    var consumes: Set<String> { inner.consumes }

    func handle(_ delivery: Delivery) -> StageOutcome {
        if poison.strikes(inner.name, delivery.event.id) {
            return .failed(errors: ["chunk \(delivery.event.subject): poison"])
        }
        return inner.handle(delivery)
    }

    func settled(_ delivery: Delivery, appended: Bool) { inner.settled(delivery, appended: appended) }
    func resultID(of delivery: Delivery) -> String? { inner.resultID(of: delivery) }
}
