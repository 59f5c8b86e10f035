package import EventSourcing
package import Supervision

/// A member of the ordered subscription that keeps a fact of every history beside the log. It reads what was
/// archived, too.
package final class FactWorker<Fact: HistoryFact> {
    private let loop: PartitionLoop

    /// A worker that is not running yet.
    /// - Parameters:
    ///   - member: its name among the subscription's members, one that nobody had before.
    ///   - hear: told of every event that was taken in, of whatever type. May be told of one again.
    package init(
        _ fact: Fact.Type, log: any EventLog, member: String, timing: LeaseTiming = LeaseTiming(),
        report: RoleLog, hear: @escaping (RecordedEvent) -> Void = { _ in }
    ) {
        loop = PartitionLoop(
            FactWork<Fact>(log, report, hear), log: log, member: member, timing: timing, report: report)
    }

    /// Works until `stop` is set and everything is written; then leaves its partitions to others. Call on a
    /// thread of its own.
    package func run(stop: StopSignal) throws { try loop.run(stop: stop) }
}

/// The facts' events. What cannot be read leaves its history with what is known then (`unreadable`): so no
/// event is ever held back here.
private final class FactWork<Fact: HistoryFact>: PartitionWork {
    let name = Fact.subscription.name
    let batchSize = 1000
    /// So many events that change nothing are read again at most, after a crash.
    private let eventsUnsaved = 5000

    private let log: any EventLog
    private let report: RoleLog
    private let hear: (RecordedEvent) -> Void
    private var index: FactIndex<Fact>?
    private var fences: [Int: Fence] = [:]
    /// How far events were read that have changed nothing.
    private var reached: [Int: LogPosition] = [:]
    private var unsaved = 0

    init(_ log: any EventLog, _ report: RoleLog, _ hear: @escaping (RecordedEvent) -> Void) {
        self.log = log
        self.report = report
        self.hear = hear
    }

    func begin(_ fences: [Fence], forgetting: Set<Int>?) throws -> [Int: LogPosition] {
        self.fences = Dictionary(fences.map { ($0.partition, $0) }, uniquingKeysWith: { $1 })
        reached = [:]
        unsaved = 0
        return try opened().places()
    }

    private func opened() throws -> FactIndex<Fact> {
        let index = try index ?? FactIndex(log)
        self.index = index
        return index
    }

    func handle(_ events: [RecordedEvent]) throws {
        let groups = Dictionary(grouping: events, by: \.position.partition).sorted { $0.key < $1.key }
        for (partition, events) in groups {
            guard let end = events.last?.position else { continue }
            let changes = try changes(
                by: events.filter { Fact.eventTypes.contains($0.type) && Fact.concerns($0.partitionKey) },
                partition)
            if changes.isEmpty {
                reached[partition] = end
                unsaved += events.count
            } else {
                try opened().write(changes, upTo: end, under: fences[partition])
                reached[partition] = nil
            }
            events.forEach(hear)
        }
        if events.isEmpty || unsaved > eventsUnsaved { try flush() }
    }

    private func changes(by events: [RecordedEvent], _ partition: Int) throws -> [String: Fact?] {
        guard !events.isEmpty else { return [:] }
        var facts = try opened().facts(of: Set(events.map(\.partitionKey)), in: partition)
        var changes: [String: Fact?] = [:]
        for event in events {
            let key = event.partitionKey
            switch Fact.change(facts[key], by: event) {
            case .none: continue
            case .become(let new): facts[key] = new
            case .remove: facts[key] = nil
            case .unreadable:
                report(
                    .warning,
                    "\(name): \(event.type) \(event.id) cannot be read; what it says of \(key) is taken as "
                        + "not known")
                facts[key] = Fact.unreadable(facts[key], at: event.sequence)
            }
            changes.updateValue(facts[key], forKey: key)
        }
        return changes
    }

    /// What stands there may have changed the fact.
    func setAside(_ position: LogPosition, _ failure: LogFailure) throws {
        let held = try log.orderedParking().identify(position)
        report(.warning, "\(name): \(failure)")
        var changes: [String: Fact?] = [:]
        if !held.isNameless, Fact.concerns(held.partitionKey) {
            let key = held.partitionKey
            let known = try opened().facts(of: [key], in: position.partition)[key]
            changes.updateValue(Fact.unreadable(known, at: held.sequence), forKey: key)
        }
        try opened().write(changes, upTo: position, under: fences[position.partition])
        reached[position.partition] = nil
    }

    func flush() throws {
        for (partition, place) in reached.sorted(by: { $0.key < $1.key }) {
            try opened().write([:], upTo: place, under: fences[partition])
        }
        reached = [:]
        unsaved = 0
    }
}
