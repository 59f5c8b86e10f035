/// When the next attempt may be made: exponential with full jitter, bounded.
struct Backoff {
    let firstMilliseconds: Int
    let maximumMilliseconds: Int
    private(set) var failures = 0

    init(firstMilliseconds: Int = 20, maximumMilliseconds: Int = 1000) {
        self.firstMilliseconds = firstMilliseconds
        self.maximumMilliseconds = maximumMilliseconds
    }

    mutating func succeeded() { failures = 0 }

    /// Counts a failure and answers how long to wait before the next attempt.
    mutating func failed(using generator: inout some RandomNumberGenerator) -> Int {
        let ceiling = min(maximumMilliseconds, firstMilliseconds << min(failures, 16))
        failures += 1
        return Int.random(in: ceiling / 2...ceiling, using: &generator)
    }
}
