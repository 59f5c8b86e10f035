internal import Base
internal import EventSourcing
internal import Recording

/// Says that whoever records a session by uploads is alive: with every upload, for a while. Whoever stays
/// away for longer is taken for lost by the recorder watch, which stops the session as incomplete.
///
/// `@unchecked`: the marks are used under the lock alone.
final class RecorderMarks: @unchecked Sendable {
    /// One beat is enough for so long.
    private static let restMilliseconds: Int64 = 5000
    /// A session that rests needs nobody.
    private static let pauseMilliseconds = 30 * 24 * 3_600_000

    private let log: any EventLog
    private let clock: any WallClock
    private let lifetimeMilliseconds: Int
    private let lock = Lock(())
    private var marks: (any Liveness)?
    private let beats = SharedCache<String, Int64>(limit: 20_000)

    init(_ log: any EventLog, _ clock: any WallClock, lifetimeMilliseconds: Int) {
        self.log = log
        self.clock = clock
        self.lifetimeMilliseconds = lifetimeMilliseconds
    }

    /// The uploader was heard of.
    func beat(_ session: String) throws(LogFailure) {
        let now = clock.now().milliseconds
        if let last = beats[session], abs(now - last) < Self.restMilliseconds { return }
        try set(session, lifetimeMilliseconds)
        beats[session] = now
    }

    /// Nobody has to be heard of until the session goes on.
    func rest(_ session: String) throws(LogFailure) {
        beats[session] = nil
        try set(session, Self.pauseMilliseconds)
    }

    /// Nobody records the session any more.
    func end(_ session: String) throws(LogFailure) {
        beats[session] = nil
        try lend { marks throws(LogFailure) in try marks.end(RecorderMark.name(ofSession: session)) }
    }

    /// Whether whoever records the session was heard of, by any process, lately enough.
    func isAlive(_ session: String) throws(LogFailure) -> Bool {
        try lend { marks throws(LogFailure) in
            try marks.alive([RecorderMark.name(ofSession: session)]) == [true]
        }
    }

    private func set(_ session: String, _ milliseconds: Int) throws(LogFailure) {
        try lend { marks throws(LogFailure) in
            try marks.beat(RecorderMark.name(ofSession: session), forMilliseconds: milliseconds)
        }
    }

    private func lend<Answer>(
        _ body: (any Liveness) throws(LogFailure) -> Answer
    ) throws(LogFailure) -> Answer {
        try lock.withLock { _ throws(LogFailure) in
            let open: any Liveness
            if let marks { open = marks } else { open = try log.liveness() }
            marks = nil
            let answer = try body(open)
            marks = open
            return answer
        }
    }
}
