import Base
import EventSourcing
import Pipeline
import Recording
import Simulation
import Testing

/// A counter that counts its calls and can be away.
private final class WatchedCounter: RateCounter {
    private let inner: InMemoryRateCounter
    private let state = Lock((calls: 0, isAway: false))

    init(_ clock: SimulatedClock) { inner = InMemoryRateCounter(clock: clock) }

    var calls: Int { state.withLock { $0.calls } }
    func setAway(_ isAway: Bool) { state.withLock { $0.isAway = isAway } }

    func take(_ count: Int, of subject: String, under rule: RateRule) throws(LogFailure) -> RateGrant {
        let isAway = state.withLock { state in
            state.calls += 1
            return state.isAway
        }
        if isAway { throw LogFailure(.unreachable, operation: "count", key: "test", text: "away") }
        return inner.take(count, of: subject, under: rule)
    }
}

@Suite("Rate limiter over many processes")
struct RateLimiterTests {
    private let clock = SimulatedClock(Timestamp(milliseconds: 1_700_000_000_000))

    @Test("two processes share one limit, to the last request", arguments: [10, 100, 1000, 5000])
    func shared(limit: Int) {
        let counter = WatchedCounter(clock)
        let limiters = [0, 1].map { _ in SharedRateLimiter(counter, clock: clock) }
        let rule = RateRule(name: "r", limit: limit)
        var allowed = 0
        for number in 0..<(2 * limit) where limiters[number % 2].take(rule, by: "user:a").isAllowed {
            allowed += 1
        }
        #expect(allowed == limit)
        // Lots of a two-hundredth, and one refusal for each process.
        #expect(counter.calls <= min(limit, 400) + 4)
    }

    @Test("a flood of refused requests costs one call, and the headers count down")
    func flood() {
        let counter = WatchedCounter(clock)
        let limiter = SharedRateLimiter(counter, clock: clock)
        let rule = RateRule(name: "r", limit: 2)
        let first = limiter.take(rule, by: "a")
        #expect(first == RateDecision(isAllowed: true, limit: 2, remaining: 1, resetMilliseconds: 65_000))
        #expect(limiter.take(rule, by: "a").remaining == 0)
        for _ in 0..<1000 { #expect(!limiter.take(rule, by: "a").isAllowed) }
        #expect(counter.calls == 3)
        clock.advance(milliseconds: 64_000)
        #expect(limiter.take(rule, by: "a").resetSeconds == 1)
        #expect(counter.calls == 3)
        clock.advance(milliseconds: 1_000)
        #expect(limiter.take(rule, by: "a").isAllowed)
        #expect(limiter.take(rule, by: "b").isAllowed)
    }

    @Test("what is left of a lot is not used when its time is up")
    func lots() {
        let counter = WatchedCounter(clock)
        let limiter = SharedRateLimiter(counter, clock: clock)
        let rule = RateRule(name: "r", limit: 1000)
        #expect(limiter.take(rule, by: "a").remaining == 999)
        #expect(limiter.take(rule, by: "a").remaining == 998)
        #expect(counter.calls == 1)
        clock.advance(milliseconds: Int64(RateRule.slotMilliseconds))
        #expect(limiter.take(rule, by: "a").remaining == 994)
        #expect(counter.calls == 2)
    }

    @Test("what is remembered is taken at once, and nothing else")
    func atOnce() {
        let counter = WatchedCounter(clock)
        let limiter = SharedRateLimiter(counter, clock: clock)
        let rule = RateRule(name: "r", limit: 1000)
        #expect(limiter.takeAtOnce(rule, by: "a") == nil)
        #expect(limiter.take(rule, by: "a").remaining == 999)
        for left in [998, 997, 996, 995] {
            #expect(limiter.takeAtOnce(rule, by: "a")?.remaining == left)
        }
        #expect(limiter.takeAtOnce(rule, by: "a") == nil)
        #expect(limiter.takeAtOnce(rule, by: "b") == nil)
        #expect(counter.calls == 1)
        let few = RateRule(name: "few", limit: 1)
        #expect(limiter.take(few, by: "a").isAllowed)
        #expect(limiter.takeAtOnce(few, by: "a") == nil)
        #expect(!limiter.take(few, by: "a").isAllowed)
        #expect(limiter.takeAtOnce(few, by: "a")?.isAllowed == false)
        #expect(counter.calls == 3)
    }

    @Test("without the counter a process counts by itself, says so once, and asks again after a second")
    func away() {
        let counter = WatchedCounter(clock)
        let told = Lock(0)
        let limiter = SharedRateLimiter(counter, clock: clock) { _ in told.withLock { $0 += 1 } }
        let rule = RateRule(name: "r", limit: 3)
        counter.setAway(true)
        #expect((0..<5).count { _ in limiter.take(rule, by: "a").isAllowed } == 3)
        #expect(counter.calls == 1)
        clock.advance(milliseconds: 1_000)
        #expect(!limiter.take(rule, by: "a").isAllowed)
        #expect(counter.calls == 2)
        #expect(told.withLock { $0 } == 1)
        counter.setAway(false)
        clock.advance(milliseconds: 1_000)
        #expect(limiter.take(rule, by: "a").isAllowed)
        counter.setAway(true)
        #expect(limiter.take(rule, by: "b").isAllowed)
        #expect(told.withLock { $0 } == 2)
    }
}
