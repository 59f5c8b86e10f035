/// Waiting times between tries: they double up to a limit, and a random part keeps many who failed at
/// the same moment from coming back at the same moment.
public struct Backoff: Sendable, Equatable {
    /// The longest first wait, in milliseconds.
    public var firstMilliseconds: Int
    /// The longest wait of all, in milliseconds.
    public var limitMilliseconds: Int

    /// By default from 100 ms to 10 s.
    public init(firstMilliseconds: Int = 100, limitMilliseconds: Int = 10_000) {
        self.firstMilliseconds = max(1, firstMilliseconds)
        self.limitMilliseconds = max(1, limitMilliseconds)
    }

    /// The wait before try `attempt` (from 1): between half of `first * 2^(attempt-1)` and all of it.
    public func milliseconds(attempt: Int) -> Int {
        // More than 30 doublings are over any limit; stop before they overflow.
        let doublings = min(max(0, attempt - 1), 30)
        let (full, overflow) = firstMilliseconds.multipliedReportingOverflow(by: 1 << doublings)
        let most = overflow ? limitMilliseconds : min(full, limitMilliseconds)
        return Machine.random(in: (most + 1) / 2...most)
    }
}
