internal import EventSourcing

extension InMemoryState {
    /// What one ordered subscription holds back.
    struct Shelf {
        var parked: [LogPosition: (event: RecordedEvent, reason: ParkedReason)] = [:]
        var tries: [LogPosition: Int] = [:]
        var asked: Set<LogPosition> = []
        /// Partition keys that were given up, by partition.
        var givenUp: [Int: Set<String>] = [:]
    }
}

final class InMemoryOrderedParking: OrderedParking {
    private let log: InMemoryEventLog

    init(_ log: InMemoryEventLog) { self.log = log }

    func heldBack(_ subscription: String, in partition: Int) throws(LogFailure) -> HeldBack {
        try log.call("held back") { state in
            let shelf = state.shelves[subscription] ?? InMemoryState.Shelf()
            let parked = shelf.parked.filter { $0.key.partition == partition }.sorted { $0.key < $1.key }
            return HeldBack(
                keys: parked.map { position, item in
                    HeldKey(
                        partitionKey: item.event.partitionKey, position: position,
                        sequence: item.event.sequence, isRetryAsked: shelf.asked.contains(position))
                }, givenUp: shelf.givenUp[partition] ?? [])
        }
    }

    func countTry(_ subscription: String, of position: LogPosition) throws(LogFailure) -> Int {
        try log.call("count try") { state in
            state.shelves[subscription, default: .init()].tries[position, default: 0] += 1
            log.watcher?.counted(subscription, position)
            return state.shelves[subscription]?.tries[position] ?? 1
        }
    }

    func park(
        _ subscription: String, _ event: RecordedEvent, _ reason: ParkedReason, under fence: Fence?
    ) throws(LogFailure) {
        try change(subscription, event.position, "park", fence) { shelf in
            shelf.parked[event.position] = (event, reason)
            log.watcher?.parked(subscription, event.position, reason)
        }
    }

    func identify(_ position: LogPosition) throws(LogFailure) -> HeldKey {
        try log.call("identify") { state throws(LogFailure) in
            guard let event = state.event(at: position) else {
                throw LogFailure(
                    .corrupt, operation: "identify", key: "\(position)", text: "there is no such entry")
            }
            let isNameless = state.spoiled[position] == .wholly
            return HeldKey(
                partitionKey: isNameless ? HeldKey.name(of: position) : event.partitionKey,
                position: position, sequence: isNameless ? 0 : event.sequence, isRetryAsked: false)
        }
    }

    func parkUnreadable(
        _ subscription: String, _ key: HeldKey, _ reason: ParkedReason, under fence: Fence?
    ) throws(LogFailure) {
        let event = ProposedEvent(
            id: "", type: "", version: 0, subject: "", time: reason.time,
            context: EventContext(source: "", actor: Actor(type: "", id: "")), data: [])
        let standIn = RecordedEvent(
            event: event, partitionKey: key.partitionKey, sequence: key.sequence, position: key.position)
        try park(subscription, standIn, reason, under: fence)
    }

    func release(
        _ subscription: String, _ position: LogPosition, under fence: Fence?
    ) throws(LogFailure) {
        try change(subscription, position, "release parked", fence) { $0.parked[position] = nil }
    }

    private func change(
        _ subscription: String, _ position: LogPosition, _ operation: String, _ fence: Fence?,
        _ body: (inout InMemoryState.Shelf) -> Void
    ) throws(LogFailure) {
        try log.call(operation) { state throws(LogFailure) in
            if let fence, !state.holds(fence) {
                throw .fenced(operation, "\(position)", generation: state.generation(fence))
            }
            body(&state.shelves[subscription, default: .init()])
            state.shelves[subscription]?.tries[position] = nil
            state.shelves[subscription]?.asked.remove(position)
        }
    }
}
