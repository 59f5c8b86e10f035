package import Engine
package import Base
package import EventSourcing
internal import Recording
package import SessionContent
package import Supervision
package import ChunkFiles

/// How sessions are verified in the background.
package struct VerificationPolicy: Sendable, Hashable {
    /// Each session that is over is verified at least once in so many milliseconds; 0: never by itself.
    package var period_ms: Int64
    /// The share of the disk's time that it may take.
    package var diskShare: Double
    /// Between two looks for sessions that are due.
    package var looks_ms = 1_000...600_000
    package init(period_ms: Int64, diskShare: Double) {
        self.period_ms = period_ms
        self.diskShare = diskShare
    }

    /// A session is due a little before its period ends, so that it is verified when that ends.
    var due_ms: Int64 { period_ms - period_ms / 10 }
}

/// Verifies sessions that are over, the one first that nobody has looked at for longest, now and then each.
///
/// Which sessions there are, and when they were verified, comes from the log's facts. Of all processes that
/// could, the one with the lease does. Whoever is interrupted begins the session anew that it was at; the
/// others stay verified.
package final class VerificationSweep {
    /// Name of its lease.
    package static let leaseName = "verification"
    /// Who did it, as events and records of the audit trail say.
    package static let actor = "verification"

    /// Sessions that are remembered as due; the next look finds more.
    private static let batch = 1_000
    /// A time so far ahead is no time at which anything was verified.
    private static let aheadMilliseconds: Int64 = 3_600_000
    /// Sessions that are remembered to have been verified.
    private static let rememberedLimit = 100_000
    /// So long a log that takes nothing is waited for, before a result is lost.
    private static let patienceMilliseconds = 86_400_000

    /// What it needs besides the log.
    package struct Parts {
        /// Sealed files, read without keeping them in memory.
        package var chunks: ChunkStore
        /// Makes what opens contents.
        package var keys: () throws -> SessionKeys?
        /// The time, by the clock of the log's server.
        package var now: () throws -> Timestamp
        /// Waits; answers whether to end.
        package var pause: (StopSignal, Int) -> Bool = { $0.wait(milliseconds: $1) }
        /// Called with each session that was verified.
        package var onVerified: (VerifiedSession) throws -> Void

        /// Parts without those that have a usual value.
        package init(
            chunks: ChunkStore, keys: @escaping () throws -> SessionKeys?,
            now: @escaping () throws -> Timestamp,
            onVerified: @escaping (VerifiedSession) throws -> Void
        ) {
            self.chunks = chunks
            self.keys = keys
            self.now = now
            self.onVerified = onVerified
        }
    }

    private let log: any EventLog
    private let parts: Parts
    private let policy: VerificationPolicy
    private let clock: any WallClock
    private let member: String
    private let figures: VerificationFigures
    private let report: RoleLog
    private let context = EventContext(source: "/reel/storage", actor: .system(VerificationSweep.actor))
    /// When sessions were verified to which nothing can be appended, it may be.
    private var unrecorded: [String: UInt64] = [:]
    /// Sessions that were verified just now, with the facts that led to it: until these are others, the event
    /// is not in them yet.
    private var recent: [String: VerificationFacts] = [:]
    private var pace: DiskPace
    private var workedSince = Machine.now

    /// - Parameters:
    ///   - member: name of this process among those that could do it.
    ///   - figures: where it says how far it is.
    package init(
        log: any EventLog, parts: Parts, policy: VerificationPolicy, clock: any WallClock, member: String,
        figures: VerificationFigures, report: RoleLog
    ) {
        self.log = log
        self.parts = parts
        self.policy = policy
        self.clock = clock
        self.member = member
        self.figures = figures
        self.report = report
        pace = DiskPace(share: policy.diskShare)
    }

    /// Works until `stop` is set. Call on a thread of its own.
    package func run(stop: StopSignal) throws {
        try waitingOutFailures(of: "verification", stop: stop, report: report) { succeeded in
            let index = try FactIndex<VerificationFacts>(log)
            let store = try log.open()
            while !stop.isSet {
                // Before, a process of an earlier version could not read what is written here.
                guard log.level.number >= SessionEvent.levelOfVerifications else {
                    stop.wait(milliseconds: policy.looks_ms.lowerBound)
                    continue
                }
                let wait = try pass(index, store, stop)
                succeeded()
                stop.wait(milliseconds: wait)
            }
        }
    }

    /// One look at everything that may be due.
    /// - Returns: milliseconds until the next look.
    func pass(_ index: FactIndex<VerificationFacts>, _ store: any EventStore, _ stop: StopSignal) throws
        -> Int
    {
        guard let lease = try SingleLease.acquire(Self.leaseName, as: member, log: log, report: report) else {
            figures.isOwner(false)
            return policy.looks_ms.lowerBound * 5
        }
        defer { lease.release() }
        figures.isOwner(true)
        if recent.count > Self.rememberedLimit { recent.removeAll() }
        let verifier = SessionVerifier(
            store: store, chunks: parts.chunks, keys: parts.keys, clock: clock)
        while !stop.isSet, lease.isHeld {
            let now = try now_ms()
            let found = try due(index, store.partitioning, now: now)
            figures.note(oldest_ms: found.oldest_ms.map { max(0, now - $0) })
            guard !found.sessions.isEmpty else { return nextLook(found.next_ms, now) }
            for session in found.sessions where !stop.isSet && lease.isHeld {
                try verify(session, index, store, verifier, lease, stop)
            }
        }
        return policy.looks_ms.lowerBound
    }

    private func now_ms() throws -> Int64 { try parts.now().milliseconds }

    private func nextLook(_ next_ms: Int64?, _ now: Int64) -> Int {
        let range = policy.looks_ms
        guard let next_ms else { return range.upperBound }
        return Int(min(max(next_ms - now, Int64(range.lowerBound)), Int64(range.upperBound)))
    }

    // MARK: What is due

    private struct Due {
        /// The oldest first.
        var sessions: [String] = []
        /// When the session was verified, or over, that nobody has looked at for longest.
        var oldest_ms: Int64?
        /// When the next one will be due of those that are not.
        var next_ms: Int64?
    }

    private func due(
        _ index: FactIndex<VerificationFacts>, _ partitioning: Partitioning, now: Int64
    ) throws -> Due {
        var found: [(since: Int64, session: String)] = []
        var due = Due()
        for partition in 0..<partitioning.count {
            try index.scan(partition) { session, facts in
                guard facts.isOver, isKnown(session, facts) else { return }
                let since = since(session, facts, now)
                due.oldest_ms = min(due.oldest_ms ?? .max, since)
                if since + policy.due_ms > now {
                    due.next_ms = min(due.next_ms ?? .max, since + policy.due_ms)
                    return
                }
                found.append((since, session))
                // Twice as many as are wanted, so that they are not put in order for each.
                if found.count >= 2 * Self.batch { Self.keepOldest(&found) }
            }
        }
        Self.keepOldest(&found)
        due.sessions = found.map(\.session)
        return due
    }

    /// Whether the facts contain what was done here.
    private func isKnown(_ session: String, _ facts: VerificationFacts) -> Bool {
        guard let before = recent[session] else { return true }
        if before == facts { return false }
        recent[session] = nil
        return true
    }

    private static func keepOldest(_ found: inout [(since: Int64, session: String)]) {
        found.sort { ($0.since, $0.session) < ($1.since, $1.session) }
        if found.count > batch { found.removeLast(found.count - batch) }
    }

    /// When a session was looked at last, as far as that can be.
    private func since(_ session: String, _ facts: VerificationFacts, _ now: Int64) -> Int64 {
        let known = Int64(clamping: max(facts.since_ms, unrecorded[session] ?? 0))
        return known > now + Self.aheadMilliseconds ? 0 : known
    }

    // MARK: One session

    private struct Interrupted: Error {}

    private func verify(
        _ session: String, _ index: FactIndex<VerificationFacts>, _ store: any EventStore,
        _ verifier: SessionVerifier,
        _ lease: SingleLease, _ stop: StopSignal
    ) throws {
        // Somebody may have verified or deleted it since it was found.
        let partition = store.partitioning.partition(of: session)
        guard let facts = try index.facts(of: [session], in: partition)[session], facts.isOver,
            isKnown(session, facts), try since(session, facts, now_ms()) + policy.due_ms <= now_ms()
        else { return }
        workedSince = Machine.now
        do {
            let verified = try verifier.verify(
                session, .background, context: context, stop: stop,
                patienceMilliseconds: Self.patienceMilliseconds
            ) { _, _ in try rest(lease, stop) }
            try? rest(lease, stop)
            guard let verified else { return try remember(session) }
            verified.tell(report)
            if verified.isRecorded { recent[session] = facts } else { try remember(session) }
            try parts.onVerified(verified)
        } catch is Interrupted {
            report(.info, "verification: session=\(session) was interrupted and begins anew later")
        } catch  where Self.concernsItAlone(error) {
            try remember(session)
            report(.error, "verification: session=\(session) cannot be verified: \(error)")
        }
    }

    /// What concerns one session alone keeps nobody from looking after the others.
    private static func concernsItAlone(_ error: any Error) -> Bool {
        if let failure = error as? LogFailure {
            return failure.kind == .lostHistory || failure.isOfRecord
        }
        return !((error as? any TransientFailure)?.isTransient ?? false)
    }

    private func remember(_ session: String) throws {
        if unrecorded.count >= Self.rememberedLimit { unrecorded.removeAll() }
        unrecorded[session] = UInt64(clamping: try now_ms())
    }

    /// Rests as long as the disk's share asks for.
    private func rest(_ lease: SingleLease, _ stop: StopSignal) throws {
        let milliseconds = pace.rest(after: Machine.now - workedSince)
        if milliseconds > 0 { _ = parts.pause(stop, milliseconds) }
        figures.note(pace)
        workedSince = Machine.now
        guard !stop.isSet, lease.isHeld else { throw Interrupted() }
    }
}
