internal import EventSourcing

/// What one member has been given and has not settled: a state machine without I/O.
///
/// An entry is *ready* (fetched, not yet handed out), *held* (in the caller's hands), *delayed* (handed back
/// until a point in time) or *withheld* (until replicas have it). An entry that is known is never taken in
/// twice, so reading the own pending entries again after a reconnect duplicates nothing.
struct DeliveryRegistry {
    private enum Place {
        case ready
        case held
        case delayed
        case withheld
    }

    private var places: [LogPosition: Place] = [:]
    private var ready: [Delivery] = []
    private var readyStart = 0
    private var delayed: [(due: Int, delivery: Delivery)] = []
    private var withheld: [LogPosition: Delivery] = [:]

    /// Takes in what was fetched; false when it is known already.
    @discardableResult
    mutating func offer(_ delivery: Delivery) -> Bool {
        guard places[delivery.event.position] == nil else { return false }
        places[delivery.event.position] = .ready
        ready.append(delivery)
        return true
    }

    /// Whether an entry is ready, held or delayed.
    func knows(_ position: LogPosition) -> Bool { places[position] != nil }

    /// How many deliveries `take` would answer.
    func available(at now: Int) -> Int {
        ready.count - readyStart + delayed.reduce(0) { $0 + ($1.due <= now ? 1 : 0) }
    }

    /// When the next delayed delivery is due.
    var nextDue: Int? { delayed.map(\.due).min() }

    /// Hands out at most `limit` deliveries, those that were delayed first.
    mutating func take(_ limit: Int, at now: Int) -> [Delivery] {
        var out: [Delivery] = []
        if !delayed.isEmpty {
            var later: [(due: Int, delivery: Delivery)] = []
            for item in delayed.sorted(by: { $0.due < $1.due }) {
                if item.due <= now, out.count < limit {
                    out.append(item.delivery)
                } else {
                    later.append(item)
                }
            }
            delayed = later
        }
        while out.count < limit, readyStart < ready.count {
            out.append(ready[readyStart])
            readyStart += 1
        }
        if readyStart == ready.count {
            ready.removeAll(keepingCapacity: true)
            readyStart = 0
        }
        for delivery in out { places[delivery.event.position] = .held }
        return out
    }

    /// Hands a delivery back until `due`; its next handing out counts as another attempt.
    mutating func delay(_ delivery: Delivery, until due: Int) {
        let position = delivery.event.position
        guard places[position] != .delayed else { return }
        if places[position] == .ready { remove(position) }
        places[position] = .delayed
        delayed.append((due, Delivery(event: delivery.event, attempt: delivery.attempt + 1)))
    }

    /// Takes a delivery back that nobody has worked on yet; it is given out again when it is released.
    mutating func withhold(_ delivery: Delivery) {
        let position = delivery.event.position
        guard places[position] == .held else { return }
        places[position] = .withheld
        withheld[position] = delivery
    }

    /// Gives out again what was withheld of a partition.
    mutating func release(_ partition: Int) {
        let released = withheld.values.filter { $0.event.position.partition == partition }
        for delivery in released.sorted(by: { $0.event.position < $1.event.position }) {
            withheld[delivery.event.position] = nil
            places[delivery.event.position] = .ready
            ready.append(delivery)
        }
    }

    /// What is withheld.
    var withheldPositions: some Collection<LogPosition> { withheld.keys }

    /// Whether an entry is in the caller's hands.
    func isHandedOut(_ position: LogPosition) -> Bool { places[position] == .held }

    /// Forgets an entry: it was acknowledged, or another member has it now.
    mutating func remove(_ position: LogPosition) {
        switch places.removeValue(forKey: position) {
        case .ready:
            ready = ready[readyStart...].filter { $0.event.position != position }
            readyStart = 0
        case .delayed: delayed.removeAll { $0.delivery.event.position == position }
        case .withheld: withheld[position] = nil
        case .held, .none: break
        }
    }

    /// Entries that wait here and not in the caller's hands: this member must show that it still has them.
    var waiting: [LogPosition] {
        ready[readyStart...].map(\.event.position) + delayed.map(\.delivery.event.position) + withheld.keys
    }
}
