import Synchronization

/// A figure that only grows: requests answered, bytes sent.
package final class Counter: Sendable {
    private let count = Atomic<UInt64>(0)

    init() {}

    /// Adds `amount`.
    package func add(_ amount: UInt64 = 1) { count.wrappingAdd(amount, ordering: .relaxed) }

    /// The sum so far.
    package var value: UInt64 { count.load(ordering: .relaxed) }
}

/// A figure that goes up and down: open connections, items waiting.
package final class Gauge: Sendable {
    private let bits = Atomic<Int64>(0)

    init() {}

    /// Adds `amount`, which may be negative.
    package func add(_ amount: Int64) { bits.wrappingAdd(amount, ordering: .relaxed) }

    /// Sets the figure.
    package func set(_ value: Int64) { bits.store(value, ordering: .relaxed) }

    /// The figure now.
    package var value: Int64 { bits.load(ordering: .relaxed) }
}

/// How often a duration fell below each of a few bounds. Durations are given in nanoseconds and shown
/// in seconds, as Prometheus wants them.
package final class Histogram: Sendable {
    /// The upper bounds, in nanoseconds, ascending.
    package let bounds: [UInt64]
    private let buckets: [Counter]
    private let sum = Counter()

    /// From half a millisecond to ten seconds.
    package static let requestBounds: [UInt64] = [
        500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000,
        250_000_000, 500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000, 10_000_000_000,
    ]

    init(bounds: [UInt64]) {
        self.bounds = bounds.sorted()
        // One more for whatever lies above the last bound.
        buckets = (0...bounds.count).map { _ in Counter() }
    }

    /// Counts one duration.
    package func record(nanoseconds: UInt64) {
        var index = 0
        while index < bounds.count, nanoseconds > bounds[index] { index += 1 }
        buckets[index].add()
        sum.add(nanoseconds)
    }

    /// What was counted: per bound how many were at most as long, the last one all of them.
    package var cumulative: [UInt64] {
        var total: UInt64 = 0
        return buckets.map {
            total += $0.value
            return total
        }
    }

    /// All durations together, in nanoseconds.
    package var totalNanoseconds: UInt64 { sum.value }
}
