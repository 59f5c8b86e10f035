package import Engine
package import EventSourcing
internal import Recording
package import Supervision

/// A member of the ordered subscription that keeps the facts of all sessions that there are (`SessionFacts`)
/// beside the log, where processes that want all of them in memory begin.
package final class SessionFactsWorker {
    /// Its subscription. It reads what was archived, too.
    package static let subscription = Subscription(
        "session-facts", .index, parks: false, holdsBack: false, indexes: [SessionFacts.indexName])

    private let loop: PartitionLoop

    /// A worker that is not running yet.
    /// - Parameter member: its name among the subscription's members, one that nobody had before.
    package init(
        log: any EventLog, member: String, timing: LeaseTiming = LeaseTiming(), report: RoleLog
    ) {
        loop = PartitionLoop(
            SessionFactsWork(log, report), log: log, member: member, timing: timing, report: report)
    }

    /// Works until `stop` is set and everything is written; then leaves its partitions to others. Call on a
    /// thread of its own.
    package func run(stop: StopSignal) throws { try loop.run(stop: stop) }
}

/// The facts' events. What can't be told of a session is taken away, and asked of its history by whoever
/// needs it: so no event is ever held back here.
final class SessionFactsWork: PartitionWork {
    let name = SessionFactsWorker.subscription.name
    let batchSize = 1000
    /// So many events that change nothing are read again at most, after a crash.
    private static let eventsUnsaved = 5000

    private let log: any EventLog
    private let report: RoleLog
    private var index: (any LogIndex)?
    private var fences: [Int: Fence] = [:]
    /// How far events were read that have changed nothing.
    private var reached: [Int: LogPosition] = [:]
    private var unsaved = 0

    init(_ log: any EventLog, _ report: RoleLog) {
        self.log = log
        self.report = report
    }

    func begin(_ fences: [Fence], forgetting: Set<Int>?) throws -> [Int: LogPosition] {
        self.fences = Dictionary(fences.map { ($0.partition, $0) }, uniquingKeysWith: { $1 })
        reached = [:]
        unsaved = 0
        return try opened().places()
    }

    private func opened() throws -> any LogIndex {
        let index = try index ?? log.index(SessionFacts.indexName)
        self.index = index
        return index
    }

    func handle(_ events: [RecordedEvent]) throws {
        for (partition, events) in Dictionary(grouping: events, by: \.position.partition)
            .sorted(by: { $0.key < $1.key })
        {
            guard let end = events.last?.position else { continue }
            let changes = try changes(
                by: events.filter { SessionFacts.eventTypes.contains($0.type) }, partition)
            if changes.isEmpty {
                reached[partition] = end
                unsaved += events.count
            } else {
                try opened().write(changes, upTo: end, under: fences[partition])
                reached[partition] = nil
            }
        }
        if events.isEmpty || unsaved > Self.eventsUnsaved { try flush() }
    }

    private func changes(
        by events: [RecordedEvent], _ partition: Int
    ) throws -> [(key: String, value: [UInt8]?)] {
        guard !events.isEmpty else { return [] }
        var facts: [String: SessionFacts] = [:]
        for (key, value) in try opened().values(Array(Set(events.map(\.partitionKey))), in: partition) {
            facts[key] = SessionFacts(bytes: value)
        }
        var changed: Set<String> = []
        for event in events {
            switch SessionFacts.change(facts[event.partitionKey], by: event) {
            case .none: continue
            case .become(let new): facts[event.partitionKey] = new
            case .remove:
                if event.type != "SessionDeleted" {
                    report(
                        .warning,
                        "\(name): \(event.type) \(event.id) cannot be read; whose session "
                            + "\(event.partitionKey) is will be asked of its history")
                }
                facts[event.partitionKey] = nil
            }
            changed.insert(event.partitionKey)
        }
        return changed.map { (key: $0, value: facts[$0]?.bytes) }
    }

    /// What stands there may have changed whose session it is.
    func setAside(_ position: LogPosition, _ failure: LogFailure) throws {
        let key = try log.orderedParking().identify(position)
        report(.warning, "\(name): \(failure)")
        try opened().write(
            key.isNameless ? [] : [(key: key.partitionKey, value: nil)], upTo: position,
            under: fences[position.partition])
        reached[position.partition] = nil
    }

    func flush() throws {
        for (partition, place) in reached.sorted(by: { $0.key < $1.key }) {
            try opened().write([], upTo: place, under: fences[partition])
        }
        reached = [:]
        unsaved = 0
    }
}
