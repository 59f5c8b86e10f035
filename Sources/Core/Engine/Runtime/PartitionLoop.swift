internal import Base
package import EventSourcing
package import Supervision

/// What an ordered subscription does with the partitions that it owns.
package protocol PartitionWork: AnyObject {
    /// Name of the subscription.
    var name: String { get }
    /// Events that are read at once from each partition.
    var batchSize: Int { get }
    /// From now on these partitions are owned; answers after which positions to go on. What is kept in
    /// memory of partitions in `forgetting` is forgotten first; everything, where that is nil.
    func begin(_ fences: [Fence], forgetting: Set<Int>?) throws -> [Int: LogPosition]
    /// Handles events, at times none. Throws `PoisonedPartitions` when events of some partitions can't be
    /// handled while all others were.
    func handle(_ events: [RecordedEvent]) throws
    /// An entry that cannot be read comes next; everything before it was handled. When this returns, the
    /// partition may go on behind it.
    func setAside(_ position: LogPosition, _ failure: LogFailure) throws
    /// Makes everything durable that was handled, and how far that is.
    func flush() throws
}

/// Partitions in which an event can't be handled now.
package struct PoisonedPartitions: Error {
    /// What failed, by partition.
    package var causes: [Int: any Error]
    /// Those among them whose event was set aside, so that nothing keeps them from going on.
    package var setAside: Set<Int> = []
}

/// The loop of one member of an ordered subscription: owns partitions, reads them in order, and hands
/// their events on.
///
/// A lease is the right to begin with a batch; what makes a late owner harmless are the fences on
/// everything that it writes. Whatever is lost, gained or uncertain leads to the same place: forget, ask
/// the checkpoints, and read from there.
package final class PartitionLoop {
    private struct Halt {
        var until: ContinuousClock.Instant
        var backoff: Backoff
    }

    /// After so many failures in a row a member gives its partitions back.
    private static let patience = 5

    private let work: any PartitionWork
    private let log: any EventLog
    private let timing: LeaseTiming
    /// Whether it was said that leases cannot be given back, since they last could.
    private var isToldOfLeases = false
    private let report: RoleLog
    private let keeper: LeaseKeeper

    /// What is owned and asked for, as of the last look.
    private var served: [Fence] = []
    /// Partitions of `served` that are read: all but those that halt.
    private var followed: Set<Int> = []
    private var feed: (any OrderedFeed)?
    /// Partitions whose memory does not fit their checkpoint; nil when that may be so of all.
    private var doubtful: Set<Int>?
    private var halts: [Int: Halt] = [:]
    private var nextBalance: ContinuousClock.Instant?

    package init(
        _ work: any PartitionWork, log: any EventLog, member: String, timing: LeaseTiming, report: RoleLog
    ) {
        self.work = work
        self.log = log
        self.timing = timing
        self.report = report
        keeper = LeaseKeeper(work.name, member: member, timing: timing, report: report)
    }

    /// Works until `stop` is set; then saves, gives everything back and leaves.
    package func run(stop: StopSignal) throws {
        let ending = StopSignal()
        let heart = try heartbeat(until: ending)
        var failures = 0
        try waitingOutFailures(of: work.name, stop: stop, report: report) { succeeded in
            startOver()
            do {
                let leases = try log.leases()
                while !stop.isSet {
                    try turn(leases, stop)
                    if followed.isEmpty { continue }
                    failures = 0
                    succeeded()
                }
                // What was handled and not saved would come again at the next owner.
                try flushUnlessFenced()
            } catch {
                failures += 1
                if failures >= Self.patience { stepAside() }
                throw error
            }
        }
        ending.set()
        _ = heart.wait(milliseconds: 2 * timing.leaseMilliseconds)
        leave()
    }

    private func heartbeat(until ending: StopSignal) throws -> OwnThread<Void> {
        let (keeper, log, timing, report) = (keeper, log, timing, report)
        return try OwnThread(name: "lease-\(work.name)") {
            while !ending.isSet {
                do {
                    keeper.beat(try log.leases(), until: ending)
                } catch {
                    report(.warning, "\(keeper.subscription): leases cannot be renewed: \(error)")
                    ending.wait(milliseconds: timing.beatMilliseconds)
                }
            }
        }
    }

    /// Lets others have the partitions that fail here: what is wrong may be wrong with this process alone.
    /// The next try takes part again.
    private func stepAside() {
        keeper.rest()
        leave()
    }

    private func leave() {
        do {
            let leases = try log.leases()
            try keeper.releaseAll(leases)
            try leases.leave(keeper.subscription, as: keeper.member)
            isToldOfLeases = false
        } catch {
            // The leases run out by themselves. While the log is away this is tried again and again.
            guard !isToldOfLeases else { return }
            isToldOfLeases = true
            report(.warning, "\(work.name): leases were not given back: \(error)")
        }
    }

    private func turn(_ leases: any PartitionLeases, _ stop: StopSignal) throws {
        keeper.turn()
        do {
            try balance(leases)
            try follow()
            try handleNext(stop)
        } catch  where Self.isFenced(error) {
            report(.warning, "\(work.name): \(error)")
            try giveWay(leases)
        }
    }

    private func balance(_ leases: any PartitionLeases) throws {
        let now = Machine.now
        if let nextBalance, now < nextBalance { return }
        try keeper.balance(leases) { try work.flush() }
        nextBalance = now + .milliseconds(timing.balanceMilliseconds)
    }

    /// Reads what is owned now, from where its last owner ended.
    private func follow() throws {
        let owned = keeper.fences
        let now = Machine.now
        let isDue = halts.contains { !followed.contains($0.key) && $0.value.until <= now }
        guard feed == nil || owned != served || isDue else { return }
        // What is held back of partitions that stay is written once, and not read again.
        if feed != nil { try flushUnlessFenced() }
        let gone = served.filter { !owned.contains($0) }.map(\.partition)
        feed = nil
        served = owned
        let forgetting = doubtful?.union(gone)
        let saved = owned.isEmpty ? [:] : try work.begin(owned, forgetting: forgetting)
        doubtful = owned.isEmpty ? forgetting : []
        halts = halts.filter { halt in owned.contains { $0.partition == halt.key } }
        let open = owned.map(\.partition).filter { halts[$0].map { $0.until <= now } ?? true }
        feed = try log.follow(after: open.map { saved[$0] ?? .start(of: $0) })
        followed = Set(open)
    }

    private func flushUnlessFenced() throws {
        do { try work.flush() } catch  where Self.isFenced(error) { doubtful = nil }
    }

    private func startOver() {
        served = []
        followed = []
        feed = nil
        doubtful = nil
        nextBalance = nil
    }

    private func handleNext(_ stop: StopSignal) throws {
        let wait = min(1000, untilBalance())
        guard let feed, !followed.isEmpty, keeper.isSafe(served) else {
            stop.wait(milliseconds: min(wait, 50))
            return
        }
        var events: [RecordedEvent] = []
        var unreadable: LogFailure?
        do { events = try feed.next(limit: work.batchSize, waitMilliseconds: wait) } catch {
            guard error.kind == .unreadable else { throw error }
            unreadable = error
        }
        guard keeper.isSafe(served) else {
            // Somebody else may own a part of it by now; the checkpoints will tell.
            self.feed = nil
            return
        }
        do {
            if let unreadable, let position = unreadable.unreadableEntry {
                try work.setAside(position, unreadable)
                return feed.seek(to: position)
            }
            try work.handle(events)
            if !halts.isEmpty { for event in events { halts[event.position.partition] = nil } }
        } catch let poisoned as PoisonedPartitions {
            halt(poisoned)
        }
    }

    /// Leaves partitions alone for a while; the others go on. All are read again from their checkpoints.
    private func halt(_ poisoned: PoisonedPartitions) {
        for (partition, cause) in poisoned.causes.sorted(by: { $0.key < $1.key }) {
            guard !poisoned.setAside.contains(partition) else {
                halts[partition] = nil
                continue
            }
            var backoff = halts[partition]?.backoff ?? Backoff(firstMilliseconds: 100)
            let delay = backoff.next()
            halts[partition] = Halt(until: Machine.now + .milliseconds(delay), backoff: backoff)
            let name = LogPosition.partitionName(partition)
            let level: RoleLog.Level = backoff.failures > 5 ? .error : .warning
            report(level, "\(work.name): \(name) halts: \(cause); trying again in \(delay) ms")
        }
        doubtful?.formUnion(poisoned.causes.keys)
        feed = nil
    }

    /// Finds out what was lost after a write was refused.
    private func giveWay(_ leases: any PartitionLeases) throws {
        try keeper.renew(leases)
        // Refused although the log says that all is held: whoever refused has seen a later generation, one
        // that the log has lost. Taking everything anew comes past it.
        if Set(served).isSubset(of: keeper.fences) { try keeper.releaseAll(leases) }
        startOver()
    }

    private func untilBalance() -> Int {
        guard let nextBalance else { return 0 }
        let left = (nextBalance - Machine.now).components
        return max(0, Int(left.seconds) * 1000 + Int(left.attoseconds / 1_000_000_000_000_000))
    }

    private static func isFenced(_ error: any Error) -> Bool {
        (error as? any TransientFailure)?.isFenced ?? false
    }
}
