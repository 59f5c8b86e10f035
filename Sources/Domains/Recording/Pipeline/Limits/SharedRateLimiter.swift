package import Base
package import EventSourcing
internal import Supervision

/// Limits that hold over many processes, at the price of few calls to where they are counted.
///
/// - **A refusal is remembered** until the oldest slot that counts leaves: before that no other process can
///   make room, so refusing on without asking is exact. A flood by one subject costs one call.
/// - **Large limits are taken in small lots**, a two-hundredth of the limit at a time, used within one slot,
///   so that a subject with many requests does not cost a call for each. What is left of a lot when its time
///   is up is lost: never more is granted than the limit, at worst some 6 % less for each process. Limits
///   below 400 are taken one by one.
/// - **When counting fails** this process counts by itself, with the whole limit, and asks again after a
///   second: a limit is no reason to refuse everybody, and without the log commands fail anyway.
package final class SharedRateLimiter: RateLimiter {
    /// Subjects and rules that are remembered; those beyond are asked for each time.
    package static let remembered = 100_000

    private struct Key: Hashable {
        let rule: String
        let subject: String
    }

    private struct Entry {
        /// Until when a refusal holds, or a lot.
        var until: Timestamp
        /// What is left of a lot; 0 for a refusal.
        var left: Int
        /// What the counter said was left beside it.
        var beyond: Int
        /// When the oldest slot leaves.
        var reset: Timestamp
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var own: [Key: RateWindow] = [:]
        var askAgain = Timestamp(milliseconds: .min)
        var failures = 0
    }

    private let state = Lock(State())
    private let counter: any RateCounter
    private let clock: any WallClock
    private let onFailure: @Sendable (LogFailure) -> Void

    /// A limiter over a counter.
    /// - Parameters:
    ///   - clock: only spans are measured by it; it need not agree with the counter's.
    ///   - onFailure: told when counting begins to fail, not at every request.
    package init(
        _ counter: any RateCounter, clock: any WallClock = SteadyClock(),
        onFailure: @escaping @Sendable (LogFailure) -> Void = { _ in }
    ) {
        self.counter = counter
        self.clock = clock
        self.onFailure = onFailure
    }

    /// Counts one and answers whether it may be done.
    package func take(_ rule: RateRule, by subject: String) -> RateDecision {
        let key = Key(rule: rule.name, subject: subject)
        let now = clock.now()
        if let known = state.withLock({ known(key, rule, now, &$0) }) { return known }
        if state.withLock({ $0.askAgain > now }) { return own(key, rule, now) }
        do throws(LogFailure) {
            let grant = try counter.take(max(1, rule.limit / 200), of: subject, under: rule)
            return state.withLock { settle(key, rule, grant, now, &$0) }
        } catch {
            let isFirst = state.withLock { state in
                defer { state.failures += 1 }
                state.askAgain = now.advanced(byMilliseconds: 1_000)
                return state.failures == 0
            }
            if isFirst { onFailure(error) }
            return own(key, rule, now)
        }
    }

    /// Counts one of a lot, or refuses, where that is remembered.
    package func takeAtOnce(_ rule: RateRule, by subject: String) -> RateDecision? {
        let key = Key(rule: rule.name, subject: subject)
        let now = clock.now()
        return state.withLock { known(key, rule, now, &$0) }
    }

    /// What follows from what is remembered.
    private func known(_ key: Key, _ rule: RateRule, _ now: Timestamp, _ state: inout State) -> RateDecision?
    {
        guard var entry = state.entries[key] else { return nil }
        guard entry.until > now else {
            state.entries[key] = nil
            return nil
        }
        let reset = Int(clamping: max(0, entry.reset.milliseconds(since: now)))
        if entry.left == 0 {
            // A lot that is used up says nothing; a refusal does.
            guard entry.beyond == 0 else {
                state.entries[key] = nil
                return nil
            }
            return RateDecision(
                isAllowed: false, limit: rule.limit, remaining: 0, resetMilliseconds: max(1, reset))
        }
        entry.left -= 1
        state.entries[key] = entry
        return RateDecision(
            isAllowed: true, limit: rule.limit, remaining: entry.left +| entry.beyond,
            resetMilliseconds: reset)
    }

    private func settle(
        _ key: Key, _ rule: RateRule, _ grant: RateGrant, _ now: Timestamp, _ state: inout State
    ) -> RateDecision {
        state.failures = 0
        state.own = [:]
        let reset = now.advanced(byMilliseconds: Int64(grant.resetMilliseconds))
        let isAllowed = grant.granted > 0
        let left = max(0, grant.granted - 1)
        // A lot counts in the slot that it was taken in, and is used in about that time.
        let slot = now.advanced(byMilliseconds: Int64(RateRule.slotMilliseconds))
        if !isAllowed || left > 0 {
            if state.entries.count >= Self.remembered { state.entries.removeAll(keepingCapacity: true) }
            state.entries[key] = Entry(
                until: isAllowed ? slot : reset, left: left, beyond: grant.remaining, reset: reset)
        }
        return RateDecision(
            isAllowed: isAllowed, limit: rule.limit, remaining: left +| grant.remaining,
            resetMilliseconds: isAllowed ? grant.resetMilliseconds : max(1, grant.resetMilliseconds))
    }

    /// Counts in this process alone.
    private func own(_ key: Key, _ rule: RateRule, _ now: Timestamp) -> RateDecision {
        state.withLock { state in
            if state.own.count >= Self.remembered { state.own.removeAll(keepingCapacity: true) }
            let grant = state.own[key, default: RateWindow()].take(1, under: rule.limit, at: now)
            return RateDecision(
                isAllowed: grant.granted > 0, limit: rule.limit, remaining: grant.remaining,
                resetMilliseconds: grant.resetMilliseconds)
        }
    }
}

/// Time that never goes back, in milliseconds since some moment: for measuring spans.
package struct SteadyClock: WallClock {
    private static let start = Machine.now

    /// The machine's steady clock.
    package init() {}

    /// Milliseconds since the first use, above any slot.
    package func now() -> Timestamp {
        let (seconds, attoseconds) = (Machine.now - Self.start).components
        return Timestamp(milliseconds: seconds * 1000 + attoseconds / 1_000_000_000_000_000)
    }
}
