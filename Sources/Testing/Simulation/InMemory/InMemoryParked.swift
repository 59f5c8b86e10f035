internal import Base
package import EventSourcing

/// What operators do with events that were set aside.
extension InMemoryEventLog {
    /// Asks that an event that an ordered subscription set aside be tried again.
    package func retryParked(_ subscription: String, _ position: LogPosition) {
        state.with { state in
            _ = state.shelves[subscription, default: .init()].asked.insert(position)
        }
    }

    /// Gives a partition key up that an ordered subscription holds back.
    package func discardParked(_ subscription: String, _ position: LogPosition) {
        state.with { state in
            guard let event = state.shelves[subscription]?.parked[position]?.event else { return }
            state.shelves[subscription]?.givenUp[position.partition, default: []].insert(event.partitionKey)
            state.shelves[subscription]?.parked[position] = nil
            state.shelves[subscription]?.asked.remove(position)
        }
    }

    /// Gives an event that a group set aside back to it, its tries counted anew.
    package func retryParked(group: String, _ position: LogPosition) {
        let nobody = ConsumerName(instance: "parked", number: 0)
        state.with { state in
            guard state.groups[group]?.parked.removeValue(forKey: position) != nil else { return }
            state.groups[group]?.pending[position] = .init(
                consumer: nobody, deliveredAt: clock.now(), deliveries: 0)
        }
    }

    /// Forgets an event that a group set aside.
    package func discardParked(group: String, _ position: LogPosition) {
        state.with { state in state.groups[group]?.parked[position] = nil }
    }

    /// What an ordered subscription has set aside.
    package func parked(subscription: String) -> [LogPosition: ParkedReason] {
        state.with { $0.shelves[subscription]?.parked.mapValues(\.reason) ?? [:] }
    }

    /// Partition keys that an ordered subscription passes over for good.
    package func givenUp(subscription: String) -> Set<String> {
        state.with { state in
            (state.shelves[subscription]?.givenUp.values).map { $0.reduce(into: []) { $0.formUnion($1) } }
                ?? []
        }
    }

    /// The event at a position.
    func event(at position: LogPosition) -> RecordedEvent? { state.with { $0.event(at: position) } }

    /// Whether somebody asked to try an event again that an ordered subscription set aside.
    func isRetryAsked(_ subscription: String, _ position: LogPosition) -> Bool {
        state.with { $0.shelves[subscription]?.asked.contains(position) ?? false }
    }
}
