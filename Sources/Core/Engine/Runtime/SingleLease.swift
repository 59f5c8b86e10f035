internal import Base
package import EventSourcing
internal import Supervision

/// A lease of work that one process does at a time, renewed on a thread of its own for as long as the work
/// takes, however long one step of it is.
package final class SingleLease: Sendable {
    private static let lifetimeMilliseconds = 15_000
    private static let beatMilliseconds = 3_000
    /// So long before it may have run out nothing is begun any more.
    private static let marginMilliseconds = 3_000

    private let fence: Fence
    private let ending = StopSignal()
    private let safeUntil: Lock<ContinuousClock.Instant>
    private let log: any EventLog
    private let report: RoleLog

    /// Takes the lease; nil while another member has it.
    package static func acquire(
        _ name: String, as member: String, log: any EventLog, report: RoleLog
    ) throws -> SingleLease? {
        let asked = Machine.now
        let fences = try log.leases().acquire(name, [0], as: member, forMilliseconds: lifetimeMilliseconds)
        guard let fence = fences.first else { return nil }
        return try SingleLease(fence, asked, log, report)
    }

    private init(
        _ fence: Fence, _ asked: ContinuousClock.Instant, _ log: any EventLog, _ report: RoleLog
    ) throws {
        self.fence = fence
        self.log = log
        self.report = report
        safeUntil = Lock(Self.end(asked))
        _ = try OwnThread(name: "lease-\(fence.subscription)") { [self] in beat() }
    }

    private static func end(_ asked: ContinuousClock.Instant) -> ContinuousClock.Instant {
        asked + .milliseconds(lifetimeMilliseconds - marginMilliseconds)
    }

    /// Whether nobody else can have it yet, by the local clock.
    package var isHeld: Bool { !ending.isSet && safeUntil.withLock { $0 > Machine.now } }

    private func beat() {
        while !ending.wait(milliseconds: Self.beatMilliseconds) {
            let asked = Machine.now
            do {
                let kept = try log.leases().renew([fence], forMilliseconds: Self.lifetimeMilliseconds)
                guard kept.contains(fence) else { return safeUntil.withLock { $0 = asked } }
                safeUntil.withLock { $0 = Self.end(asked) }
            } catch {
                report(.warning, "\(fence.subscription): the lease was not renewed: \(error)")
            }
        }
    }

    /// Gives it back; others may take it at once.
    package func release() {
        ending.set()
        do { try log.leases().release([fence]) } catch {
            // It runs out by itself.
            report(.debug, "\(fence.subscription): the lease was not given back: \(error)")
        }
    }
}
