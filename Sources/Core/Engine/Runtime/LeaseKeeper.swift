internal import Base
internal import EventSourcing
internal import Supervision

/// How long leases of ordered subscriptions last. A member that dies is replaced within
/// `leaseMilliseconds` and two times `balanceMilliseconds`.
package struct LeaseTiming: Sendable, Hashable {
    /// How long a lease, and a membership, lasts without being renewed.
    package var leaseMilliseconds = 3000
    /// Between two renewals.
    package var beatMilliseconds = 700
    /// Between two looks at who owns what.
    package var balanceMilliseconds = 500
    /// So long before a lease may have run out its owner begins nothing new.
    package var marginMilliseconds = 500
    /// A member that has been busy with one batch for longer than this counts as stuck: its leases are
    /// not renewed any more.
    package var processingMilliseconds = 60_000

    /// The usual times.
    package init() {}
}

/// Keeps the leases of one member of an ordered subscription.
///
/// Renewing happens on a thread of its own, so that a long batch does not cost the leases; taking and
/// giving back happens on the worker's thread, between batches.
final class LeaseKeeper: Sendable {
    private struct State {
        var balancer: LeaseBalancer
        var safeUntil: [Int: ContinuousClock.Instant] = [:]
        var lastTurn = Machine.now
        var isStuck = false
        var isResting = false
    }

    let subscription: String
    let member: String
    let timing: LeaseTiming
    private let report: RoleLog
    private let state: Lock<State>

    init(_ subscription: String, member: String, timing: LeaseTiming, report: RoleLog) {
        self.subscription = subscription
        self.member = member
        self.timing = timing
        self.report = report
        state = Lock(State(balancer: LeaseBalancer(subscription: subscription, member: member)))
    }

    /// What is held, by partition.
    var fences: [Fence] { state.withLock { $0.balancer.fences } }

    /// Whether none of these leases can have run out yet, by the local clock.
    func isSafe(_ fences: [Fence]) -> Bool {
        let now = Machine.now
        return state.withLock { state in
            fences.allSatisfy { fence in
                state.balancer.held[fence.partition] == fence
                    && state.safeUntil[fence.partition].map { $0 > now } ?? false
            }
        }
    }

    /// Says that the worker is not stuck, and takes part.
    func turn() {
        let now = Machine.now
        state.withLock { state in
            state.lastTurn = now
            state.isResting = false
        }
    }

    /// Says that the worker takes no part until its next turn.
    func rest() { state.withLock { $0.isResting = true } }

    // MARK: - On the heartbeat's thread

    /// Renews until `ending` is set.
    func beat(_ leases: any PartitionLeases, until ending: StopSignal) {
        var failures = 0
        while !ending.isSet {
            do throws(LogFailure) {
                if !isAway() { try renew(leases) }
                failures = 0
            } catch {
                if failures == 0 { report(.warning, "\(subscription): leases were not renewed: \(error)") }
                failures += 1
            }
            ending.wait(milliseconds: timing.beatMilliseconds)
        }
    }

    /// Says that the member takes part, and extends what it holds.
    func renew(_ leases: any PartitionLeases) throws(LogFailure) {
        _ = try leases.attend(subscription, as: member, forMilliseconds: timing.leaseMilliseconds)
        let held = fences
        if held.isEmpty { return }
        let safe = safeEnd()
        let kept = Set(try leases.renew(held, forMilliseconds: timing.leaseMilliseconds))
        let lost = held.filter { !kept.contains($0) }
        state.withLock { state in
            for fence in kept where state.balancer.held[fence.partition] == fence {
                state.safeUntil[fence.partition] = safe
            }
            state.balancer.forget(lost)
        }
        if !lost.isEmpty {
            report(
                .warning,
                "\(subscription): lost \(Self.names(lost.map(\.partition))) to others: the leases had run out"
            )
        }
    }

    private func isAway() -> Bool {
        if state.withLock(\.isResting) { return true }
        let now = Machine.now
        let limit = Duration.milliseconds(timing.processingMilliseconds)
        let (isStuck, isNew) = state.withLock { state in
            let was = state.isStuck
            state.isStuck = now - state.lastTurn > limit
            return (state.isStuck, state.isStuck && !was)
        }
        if isNew {
            report(
                .error,
                "\(subscription): one batch has taken more than \(timing.processingMilliseconds) ms; "
                    + "its partitions are left to others")
        }
        return isStuck
    }

    // MARK: - On the worker's thread

    /// Looks at who owns what, gives back what is above the share, and takes what is free.
    /// - Parameter releasing: called before something is given back: whatever was handled is to be saved.
    func balance(_ leases: any PartitionLeases, releasing: () throws -> Void) throws {
        let members = try leases.attend(
            subscription, as: member, forMilliseconds: timing.leaseMilliseconds)
        let holders = try leases.holders(subscription)
        let moves = state.withLock { $0.balancer.decide(members: members, holders: holders) }
        if !moves.release.isEmpty {
            try releasing()
            try release(moves.release, leases)
            report(.info, "\(subscription): gave back \(Self.names(moves.release.map(\.partition)))")
        }
        if !moves.acquire.isEmpty {
            let safe = safeEnd()
            let fences = try leases.acquire(
                subscription, moves.acquire, as: member, forMilliseconds: timing.leaseMilliseconds)
            state.withLock { state in
                state.balancer.acquired(fences)
                for fence in fences { state.safeUntil[fence.partition] = safe }
            }
            if !fences.isEmpty {
                report(.info, "\(subscription): took \(Self.names(fences.map(\.partition)))")
            }
        }
    }

    /// Gives everything back. What is taken anew has a higher generation.
    func releaseAll(_ leases: any PartitionLeases) throws(LogFailure) { try release(fences, leases) }

    private func release(_ fences: [Fence], _ leases: any PartitionLeases) throws(LogFailure) {
        // Not held from now on, whatever the answer: it is not renewed and ends by itself.
        state.withLock { $0.balancer.forget(fences) }
        if !fences.isEmpty { try leases.release(fences) }
    }

    /// Until when a lease that is asked for now is good, at the least.
    private func safeEnd() -> ContinuousClock.Instant {
        Machine.now + .milliseconds(timing.leaseMilliseconds - timing.marginMilliseconds)
    }

    private static func names(_ partitions: [Int]) -> String {
        partitions.sorted().map(LogPosition.partitionName).joined(separator: " ")
    }
}
