import EventSourcing
import Synchronization

/// A clock that a test moves.
final class MovableClock: WallClock {
    private let time = Mutex(Timestamp(milliseconds: 1_700_000_000_000))
    func now() -> Timestamp { time.withLock { $0 } }
    func move(seconds: Int64) {
        time.withLock { $0 = Timestamp(milliseconds: $0.milliseconds + seconds * 1000) }
    }
}
