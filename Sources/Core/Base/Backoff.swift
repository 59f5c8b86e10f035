/// Waiting times between tries: they double up to a limit, and a random part keeps many who failed at
/// the same moment from coming back at the same moment.
package struct Backoff: Sendable, Equatable {
    /// The longest first wait, in milliseconds.
    package let firstMilliseconds: Int
    /// The longest wait of all, in milliseconds.
    package let limitMilliseconds: Int
    /// How often it failed in a row.
    package private(set) var failures = 0

    /// A backoff that has seen no failure; by default from 50 ms to 5 s.
    package init(firstMilliseconds: Int = 50, limitMilliseconds: Int = 5000) {
        self.firstMilliseconds = max(1, firstMilliseconds)
        self.limitMilliseconds = max(1, limitMilliseconds)
    }

    /// Counts a failure; answers how many milliseconds to wait before the next try.
    package mutating func next() -> Int {
        if failures < .max { failures += 1 }
        return milliseconds(attempt: failures)
    }

    /// Starts again from the first wait.
    package mutating func reset() { failures = 0 }

    /// The wait after failure `attempt` (from 1): between half of `first * 2^(attempt-1)` and all of it.
    package func milliseconds(attempt: Int) -> Int {
        // More than 30 doublings are over any limit; stop before they overflow.
        let doublings = min(max(1, attempt), 31) - 1
        let (full, overflow) = firstMilliseconds.multipliedReportingOverflow(by: 1 << doublings)
        let most = overflow ? limitMilliseconds : min(full, limitMilliseconds)
        return Machine.random(in: most - most / 2...most)
    }
}
