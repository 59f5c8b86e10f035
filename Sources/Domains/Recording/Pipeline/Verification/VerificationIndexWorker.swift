package import Engine
package import EventSourcing
internal import Recording
package import Supervision

/// A member of the ordered subscription that keeps beside the log when each session was verified last
/// (`VerificationFacts`), and counts verifications of any kind for metrics.
package final class VerificationIndexWorker {
    /// Its subscription. It reads what was archived, too.
    package static let subscription = Subscription(
        "verifications", .index, parks: false, holdsBack: false,
        indexes: [VerificationFacts.indexName, VerificationFacts.faultsIndexName])

    private let loop: PartitionLoop

    /// A worker that is not running yet.
    /// - Parameter member: its name among the subscription's members, one that nobody had before.
    package init(
        log: any EventLog, member: String, counts: VerificationCounts, timing: LeaseTiming = LeaseTiming(),
        report: RoleLog
    ) {
        loop = PartitionLoop(
            VerificationIndexWork(log, counts, report), log: log, member: member, timing: timing,
            report: report)
    }

    /// Works until `stop` is set and everything is written; then leaves its partitions to others. Call on a
    /// thread of its own.
    package func run(stop: StopSignal) throws { try loop.run(stop: stop) }
}

/// The facts' events. What cannot be read makes its session one that is to be looked at: so no event is ever
/// held back here.
final class VerificationIndexWork: PartitionWork {
    let name = VerificationIndexWorker.subscription.name
    let batchSize = 1000
    /// So many events that change nothing are read again at most, after a crash.
    private static let eventsUnsaved = 5000

    private let log: any EventLog
    private let counts: VerificationCounts
    private let report: RoleLog
    private var index: VerificationIndex?
    private var fences: [Int: Fence] = [:]
    /// How far events were read that have changed nothing.
    private var reached: [Int: LogPosition] = [:]
    private var unsaved = 0

    init(_ log: any EventLog, _ counts: VerificationCounts, _ report: RoleLog) {
        self.log = log
        self.counts = counts
        self.report = report
    }

    func begin(_ fences: [Fence], forgetting: Set<Int>?) throws -> [Int: LogPosition] {
        self.fences = Dictionary(fences.map { ($0.partition, $0) }, uniquingKeysWith: { $1 })
        reached = [:]
        unsaved = 0
        return try opened().places()
    }

    private func opened() throws -> VerificationIndex {
        let index = try index ?? VerificationIndex(log)
        self.index = index
        return index
    }

    func handle(_ events: [RecordedEvent]) throws {
        let groups = Dictionary(grouping: events, by: \.position.partition).sorted { $0.key < $1.key }
        for (partition, events) in groups {
            guard let end = events.last?.position else { continue }
            let changes = try changes(
                by: events.filter { VerificationFacts.eventTypes.contains($0.type) }, partition)
            if changes.isEmpty {
                reached[partition] = end
                unsaved += events.count
            } else {
                try opened().write(changes, upTo: end, under: fences[partition])
                reached[partition] = nil
            }
            for event in events { counts.take(event) }
        }
        if events.isEmpty || unsaved > Self.eventsUnsaved { try flush() }
    }

    private func changes(
        by events: [RecordedEvent], _ partition: Int
    ) throws -> [String: VerificationFacts?] {
        guard !events.isEmpty else { return [:] }
        var facts = try opened().facts(of: Set(events.map(\.partitionKey)), in: partition)
        var changes: [String: VerificationFacts?] = [:]
        for event in events {
            let session = event.partitionKey
            switch VerificationFacts.change(facts[session], by: event) {
            case .none: continue
            case .become(let new): facts[session] = new
            case .remove: facts[session] = nil
            }
            changes.updateValue(facts[session], forKey: session)
        }
        return changes
    }

    func setAside(_ position: LogPosition, _ failure: LogFailure) throws {
        let key = try log.orderedParking().identify(position)
        report(.warning, "\(name): \(failure)")
        var changes: [String: VerificationFacts?] = [:]
        if !key.isNameless, !AuditRecord.isHistory(key.partitionKey) {
            let session = key.partitionKey
            let known = try opened().facts(of: [session], in: position.partition)[session]
            changes.updateValue(VerificationFacts.unknown(known, at: key.sequence), forKey: session)
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
