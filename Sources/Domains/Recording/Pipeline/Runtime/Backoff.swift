internal import Supervision

/// Exponential backoff with full jitter: the n-th delay is random between half and all of
/// `base * 2^n`, capped.
public struct Backoff: Sendable {
    /// Milliseconds of the first delay.
    public var baseMilliseconds: Int
    /// No delay is longer.
    public var capMilliseconds: Int
    private var failures = 0

    /// A backoff that starts at `base` and never exceeds `cap`.
    public init(baseMilliseconds: Int = 50, capMilliseconds: Int = 5000) {
        self.baseMilliseconds = baseMilliseconds
        self.capMilliseconds = capMilliseconds
    }

    /// How often it failed in a row.
    public var count: Int { failures }

    /// Starts again from the first delay.
    public mutating func reset() { failures = 0 }

    /// The next delay in milliseconds.
    public mutating func next() -> Int {
        defer { failures = min(failures + 1, 30) }
        return Self.delay(attempt: failures, base: baseMilliseconds, cap: capMilliseconds)
    }

    /// The delay before trying again after `attempt` earlier failures.
    public static func delay(attempt: Int, base: Int, cap: Int) -> Int {
        let full = min(cap, base << min(max(attempt, 0), 20))
        return full <= 1 ? full : Machine.random(in: full / 2...full)
    }
}
