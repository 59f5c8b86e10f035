internal import Base
internal import Supervision

/// The streams that this process takes, and the timer that looks after them: a chunk that is old enough is
/// recorded, and what other processes ask for is done, whether or not more bytes come.
final class OpenStreams: Sendable {
    /// Each stream is looked after so often.
    private static let lookMilliseconds = 250
    private static let leastMilliseconds = 20

    private struct State {
        var bySession: [String: [StreamWriter]] = [:]
        /// Those that wait for a look, the longest waiting first.
        var queue: [(writer: StreamWriter, due: ContinuousClock.Instant)] = []
        var head = 0
    }

    private let state = Monitor(State())

    func add(_ writer: StreamWriter) {
        let due = Machine.now + .milliseconds(Self.lookMilliseconds)
        state.update { state in
            state.bySession[writer.session, default: []].append(writer)
            state.queue.append((writer, due))
        }
    }

    func remove(_ writer: StreamWriter) {
        state.withLock { state in
            state.bySession[writer.session]?.removeAll { $0 === writer }
            if state.bySession[writer.session]?.isEmpty == true { state.bySession[writer.session] = nil }
            // Where nobody looks after streams nobody else would let go of it.
            state.queue.removeFirst(state.head)
            state.head = 0
            state.queue.removeAll { $0.writer === writer }
        }
    }

    /// The streams of a session, the oldest first.
    func of(_ session: String) -> [StreamWriter] { state.withLock { $0.bySession[session] ?? [] } }

    /// Looks after the streams until `stop` is set, and calls `other` between looks, as often as at them.
    func run(threads: Int, stop: StopSignal, other: () -> Void) throws {
        let helpers = try stride(from: 1, to: threads, by: 1).map { number in
            try OwnThread(name: "streams-\(number)") { [self] in work(stop) }
        }
        var due = Machine.now
        work(stop) {
            guard Machine.now >= due else { return }
            other()
            due = Machine.now + .milliseconds(Self.lookMilliseconds)
        }
        for helper in helpers { _ = helper.wait(milliseconds: 5000) }
    }

    private func work(_ stop: StopSignal, between: () -> Void = {}) {
        while !stop.isSet {
            between()
            switch next() {
            case .writer(let writer):
                writer.look()
                putBack(writer)
            case .wait(let milliseconds): stop.wait(milliseconds: milliseconds)
            }
        }
    }

    private enum Next {
        case writer(StreamWriter)
        case wait(milliseconds: Int)
    }

    private func next() -> Next {
        let now = Machine.now
        return state.withLock { state in
            guard state.head < state.queue.count else { return .wait(milliseconds: Self.lookMilliseconds) }
            let left = (state.queue[state.head].due - now).components
            let milliseconds = Int(left.seconds) * 1000 + Int(left.attoseconds / 1_000_000_000_000_000)
            guard left.seconds < 0 || milliseconds <= 0 else {
                return .wait(milliseconds: max(Self.leastMilliseconds, milliseconds))
            }
            let writer = state.queue[state.head].writer
            state.head += 1
            if state.head == state.queue.count || state.head >= 1024 {
                state.queue.removeFirst(state.head)
                state.head = 0
            }
            return .writer(writer)
        }
    }

    /// Queues it again, unless it is closed by now.
    private func putBack(_ writer: StreamWriter) {
        let due = Machine.now + .milliseconds(Self.lookMilliseconds)
        state.withLock { state in
            guard state.bySession[writer.session]?.contains(where: { $0 === writer }) == true else { return }
            state.queue.append((writer, due))
        }
    }
}
