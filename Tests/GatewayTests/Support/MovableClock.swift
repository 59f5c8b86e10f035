import Base

/// A clock that a test moves.
final class MovableClock: WallClock {
    // 2026-01-31T10:00:00Z, when uploads of tests were captured.
    private let time = Lock(Timestamp(milliseconds: 1_769_853_600_000))
    func now() -> Timestamp { time.withLock { $0 } }
    func move(seconds: Int64) {
        time.withLock { $0 = Timestamp(milliseconds: $0.milliseconds + seconds * 1000) }
    }
}
