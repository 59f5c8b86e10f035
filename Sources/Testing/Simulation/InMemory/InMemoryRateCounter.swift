package import Base
package import EventSourcing

/// Counts in memory, by any clock.
package final class InMemoryRateCounter: RateCounter {
    private struct Key: Hashable {
        let rule: String
        let subject: String
    }

    private let windows = Lock<[Key: RateWindow]>([:])
    private let clock: any WallClock

    /// A counter that has counted nothing.
    package init(clock: any WallClock) { self.clock = clock }

    /// Takes up to `count` of what a subject may do.
    package func take(_ count: Int, of subject: String, under rule: RateRule) -> RateGrant {
        windows.withLock { windows in
            windows[Key(rule: rule.name, subject: subject), default: RateWindow()]
                .take(count, under: rule.limit, at: clock.now())
        }
    }
}
