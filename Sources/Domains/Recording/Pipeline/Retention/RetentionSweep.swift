package import Engine
package import Base
package import EventSourcing
internal import Recording
package import Supervision

/// Deletes, now and then, the sessions whose retention has passed. Of all processes that could, the one with
/// the lease does; a deletion that two decide on happens once all the same.
package final class RetentionSweep {
    /// Name of its lease.
    package static let leaseName = "retention"
    /// Who did it, as events and records of the audit trail say.
    package static let actor = "retention"

    private static let leaseMilliseconds = 60_000
    private static let batch = 100

    private let log: any EventLog
    private let candidates: () throws -> any RetentionCandidates
    private let now: () throws -> Timestamp
    private let clock: any WallClock
    private let member: String
    private let report: RoleLog
    private let tagCounts: () throws -> Bool
    private let onDeleted: (RetentionService.Outcome) throws -> Void
    private let context = EventContext(source: "/reel/storage", actor: .system(RetentionSweep.actor))
    private var told: Set<String> = []

    /// - Parameters:
    ///   - now: the time that retention goes by.
    ///   - member: name of this process among those that could do it.
    ///   - tagCounts: whether their tag still keeps sessions as a case would (`HoldTag`).
    ///   - onDeleted: called with each session that was deleted.
    package init(
        log: any EventLog, candidates: @escaping () throws -> any RetentionCandidates,
        now: @escaping () throws -> Timestamp, clock: any WallClock, member: String, report: RoleLog,
        tagCounts: @escaping () throws -> Bool = { false },
        onDeleted: @escaping (RetentionService.Outcome) throws -> Void
    ) {
        self.log = log
        self.candidates = candidates
        self.now = now
        self.clock = clock
        self.member = member
        self.report = report
        self.tagCounts = tagCounts
        self.onDeleted = onDeleted
    }

    /// Works until `stop` is set. Call on a thread of its own.
    package func run(everyMilliseconds: Int, stop: StopSignal) throws {
        try waitingOutFailures(of: "retention", stop: stop, report: report) { succeeded in
            let (leases, source) = (try log.leases(), try candidates())
            let service = RetentionService(try log.open(), clock: clock, tagCounts: tagCounts)
            while !stop.isSet {
                try pass(leases, source, service, stop)
                succeeded()
                stop.wait(milliseconds: everyMilliseconds)
            }
        }
    }

    /// One look at everything that may be due; answers how many sessions were deleted.
    @discardableResult
    package func pass(
        _ leases: any PartitionLeases, _ source: any RetentionCandidates, _ service: RetentionService,
        _ stop: StopSignal
    ) throws -> Int {
        func isOwner() throws -> Bool {
            let held = try leases.acquire(
                Self.leaseName, [0], as: member, forMilliseconds: Self.leaseMilliseconds)
            return !held.isEmpty
        }
        let time = try now()
        var last: RetentionCandidate?
        var deleted = 0
        while !stop.isSet, try isOwner() {
            let found = try source.candidates(before: time, behind: last, limit: Self.batch)
            for candidate in found where !stop.isSet {
                if try expire(candidate.sessionID, time, service) { deleted += 1 }
            }
            guard found.count == Self.batch else { break }
            last = found.last
        }
        return deleted
    }

    /// What concerns one session alone keeps nobody from looking after the others.
    private func expire(_ session: String, _ time: Timestamp, _ service: RetentionService) throws -> Bool {
        do {
            guard let outcome = try service.expire(session, now: time, context: context), outcome.isDeleted
            else { return false }
            report(.info, "retention: session=\(session) deleted, \(outcome.verdict)")
            try onDeleted(outcome)
            return true
        } catch let error as MalformedEvent {
            complain(session, "\(error)")
        } catch let error as LogFailure where error.isOfRecord || error.kind == .lostHistory {
            complain(session, "\(error)")
        }
        return false
    }

    private func complain(_ session: String, _ text: String) {
        if told.insert(session).inserted {
            report(.error, "retention: session=\(session) cannot be deleted: \(text)")
        }
    }
}
