public import Base
public import EventSourcing

/// Counts in memory, by any clock.
public final class InMemoryRateCounter: RateCounter {
    private struct Key: Hashable {
        let rule: String
        let subject: String
    }

    private let windows = Lock<[Key: RateWindow]>([:])
    private let clock: any WallClock

    /// A counter that has counted nothing.
    public init(clock: any WallClock) { self.clock = clock }

    /// Takes up to `count` of what a subject may do.
    public func take(_ count: Int, of subject: String, under rule: RateRule) -> RateGrant {
        windows.withLock { windows in
            windows[Key(rule: rule.name, subject: subject), default: RateWindow()]
                .take(count, under: rule.limit, at: clock.now())
        }
    }
}
