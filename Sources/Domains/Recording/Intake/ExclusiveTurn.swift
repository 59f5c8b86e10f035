internal import Base
internal import Supervision

/// A lock that may be held while its holder waits for disks and servers, in simulated surroundings too.
final class ExclusiveTurn: Sendable {
    private static let lookMilliseconds = 20
    private let isTaken = Monitor(false)

    /// Waits for the turn, and gives it back after `body`.
    func take<Answer, Failure: Error>(
        _ body: () throws(Failure) -> Answer
    ) throws(Failure) -> Answer {
        wait()
        defer { give() }
        return try body()
    }

    /// The same where the turn is free; nil where somebody has it.
    func takeIfFree<Answer, Failure: Error>(
        _ body: () throws(Failure) -> Answer
    ) throws(Failure) -> Answer? {
        guard isTaken.withLock(Self.grab) else { return nil }
        defer { give() }
        return try body()
    }

    private static func grab(_ isTaken: inout Bool) -> Bool {
        guard !isTaken else { return false }
        isTaken = true
        return true
    }

    private func wait() {
        guard let simulated = Machine.simulated else {
            isTaken.wait { Self.grab(&$0) ? true : nil }
            return
        }
        while !isTaken.withLock(Self.grab) {
            // A simulated process that is dead only comes to its end; its threads wait for nothing.
            let now = simulated.now
            _ = simulated.wait(milliseconds: Self.lookMilliseconds) { false }
            if simulated.now == now { return }
        }
    }

    private func give() { isTaken.update { $0 = false } }
}
