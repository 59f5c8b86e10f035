internal import Base
package import EventSourcing

/// One promise of a rate counter, checked on a fresh one that counts by the given clock.
package struct RateCounterCase: Sendable, CustomStringConvertible {
    /// The promise in a sentence.
    package let description: String
    /// Checks it; throws `ContractViolation` or what the counter throws.
    package let check: @Sendable ((SimulatedClock) throws -> any RateCounter) throws -> Void

    init(
        _ description: String,
        _ check: @escaping @Sendable ((SimulatedClock) throws -> any RateCounter) throws -> Void
    ) {
        self.description = description
        self.check = check
    }
}

/// What every rate counter promises.
package enum RateCounterContract {
    private static let start: Int64 = 1_700_000_000_000

    private static func clock() -> SimulatedClock { SimulatedClock(Timestamp(milliseconds: start)) }

    /// The promises.
    package static let cases = [
        RateCounterCase("the limit is granted at once, and no more") { make in
            let counter = try make(clock())
            let rule = RateRule(name: "create", limit: 3)
            for left in [2, 1, 0] {
                let grant = try counter.take(1, of: "a", under: rule)
                try expectEqual(grant.granted, 1, "granted")
                try expectEqual(grant.remaining, left, "remaining")
                try expectEqual(grant.resetMilliseconds, 65_000, "reset")
            }
            let refused = try counter.take(1, of: "a", under: rule)
            try expectEqual(
                refused, RateGrant(granted: 0, remaining: 0, resetMilliseconds: 65_000), "refused")
        },
        RateCounterCase("what was granted leaves when its slot is a window old, not earlier") { make in
            let clock = clock()
            let counter = try make(clock)
            let rule = RateRule(name: "r", limit: 2)
            _ = try counter.take(1, of: "a", under: rule)
            clock.advance(milliseconds: 12_000)
            _ = try counter.take(1, of: "a", under: rule)
            clock.advance(milliseconds: 52_999)
            let refused = try counter.take(1, of: "a", under: rule)
            try expectEqual(refused, RateGrant(granted: 0, remaining: 0, resetMilliseconds: 1), "refused")
            clock.advance(milliseconds: 1)
            let grant = try counter.take(1, of: "a", under: rule)
            try expectEqual(grant, RateGrant(granted: 1, remaining: 0, resetMilliseconds: 10_000), "granted")
            try expectEqual(try counter.take(1, of: "a", under: rule).granted, 0, "the second still counts")
        },
        RateCounterCase("subjects and rules count apart, and a refusal does not count") { make in
            let clock = clock()
            let counter = try make(clock)
            let rule = RateRule(name: "r", limit: 1)
            try expectEqual(try counter.take(1, of: "a", under: rule).granted, 1, "a")
            try expectEqual(try counter.take(1, of: "b", under: rule).granted, 1, "b")
            let other = RateRule(name: "other", limit: 1)
            try expectEqual(try counter.take(1, of: "a", under: other).granted, 1, "another rule")
            for _ in 0..<20 {
                try expectEqual(try counter.take(1, of: "a", under: rule).granted, 0, "again")
                clock.advance(milliseconds: 3_000)
            }
            clock.advance(milliseconds: 5_000)
            try expectEqual(try counter.take(1, of: "a", under: rule).granted, 1, "after the window")
        },
        RateCounterCase("several are taken at once, as many as are left") { make in
            let counter = try make(clock())
            let rule = RateRule(name: "r", limit: 10)
            try expectEqual(try counter.take(4, of: "a", under: rule).granted, 4, "the first")
            try expectEqual(try counter.take(4, of: "a", under: rule).remaining, 2, "left")
            try expectEqual(try counter.take(4, of: "a", under: rule).granted, 2, "the rest")
            try expectEqual(try counter.take(4, of: "a", under: rule).granted, 0, "none")
        },
        RateCounterCase("in no window is more granted than the limit, whatever the times") { make in
            let clock = clock()
            let counter = try make(clock)
            let rule = RateRule(name: "r", limit: 7)
            var granted: [Int64] = []
            var random: UInt64 = 1
            for _ in 0..<400 {
                random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                clock.advance(milliseconds: Int64(random >> 33) % 4_000)
                if try counter.take(1, of: "a", under: rule).granted == 1 {
                    granted.append(clock.now().milliseconds)
                }
            }
            try expect(granted.count > 50, "only \(granted.count) were granted")
            for (index, time) in granted.enumerated().dropFirst(7) {
                try expect(time - granted[index - 7] > 60_000, "eight within \(time - granted[index - 7]) ms")
            }
        },
        RateCounterCase("a clock that is set back locks nobody out") { make in
            let clock = clock()
            let counter = try make(clock)
            let rule = RateRule(name: "r", limit: 1)
            try expectEqual(try counter.take(1, of: "a", under: rule).granted, 1, "before")
            clock.advance(milliseconds: -3_600_000)
            let grant = try counter.take(1, of: "a", under: rule)
            try expectEqual(grant.granted, 1, "after")
            try expect(grant.resetMilliseconds <= 65_000, "reset \(grant.resetMilliseconds)")
        },
        RateCounterCase("threads together get the limit, no more") { make in
            let counter = try make(clock())
            let rule = RateRule(name: "r", limit: 100)
            let tally = Tally(1)
            try concurrently(4) { _ in
                for _ in 0..<50 where try counter.take(1, of: "a", under: rule).granted == 1 { tally.add(0) }
            }
            try expectEqual(tally.counts[0], 100, "granted")
        },
    ]
}
