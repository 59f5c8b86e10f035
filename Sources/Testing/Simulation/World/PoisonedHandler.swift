internal import Engine
internal import EventSourcing
internal import Pipeline

/// A handler that fails on some events.
final class PoisonedHandler: OrderedHandler {
    private let inner: any OrderedHandler
    private let poison: Poison

    init(_ inner: any OrderedHandler, _ poison: Poison) {
        self.inner = inner
        self.poison = poison
    }

    var name: String { inner.name }

    func handle(_ events: [RecordedEvent], _ store: any EventStore) throws {
        try poison.pass(name, events) { try inner.handle($0, store) }
    }

    func forget(_ partitions: Set<Int>) { inner.forget(partitions) }

    func reset() { inner.reset() }
}

/// What an ordered subscription has done with each session: a book in which every event leaves one line,
/// in the order of their sequences, whatever happens.
///
/// Sendable because whoever touches it has the turn.
final class Ledger: @unchecked Sendable {
    /// Sequence of the last line of each session.
    private(set) var lines: [String: UInt64] = [:]
    /// What was broken.
    private(set) var violations: [String] = []

    /// Writes the line of an event, unless it stands there.
    func write(_ event: RecordedEvent) {
        let last = lines[event.partitionKey] ?? 0
        guard event.sequence > last else { return }
        if event.sequence != last + 1 {
            violations.append(
                "ledger: event \(event.sequence) of \(event.partitionKey) came right after event \(last)")
        }
        lines[event.partitionKey] = event.sequence
    }
}

/// Writes the ledger as a worker that knows nothing but the events it is handed.
final class LedgerHandler: OrderedHandler {
    static let subscription = "ledger"

    let name = LedgerHandler.subscription
    private let ledger: Ledger
    private let process: SimulatedProcess

    init(_ ledger: Ledger, _ process: SimulatedProcess) {
        self.ledger = ledger
        self.process = process
    }

    func handle(_ events: [RecordedEvent], _ store: any EventStore) throws {
        for event in events {
            try process.databaseStep("write ledger")
            ledger.write(event)
        }
    }

    func reset() {}
}
