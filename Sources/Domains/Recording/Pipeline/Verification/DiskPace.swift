internal import Supervision

/// Keeps work on the disk to a share of its time: after so much work it says how much rest is due. Pure but
/// for what it is told.
package struct DiskPace: Sendable, Hashable {
    /// What may be configured: hundredths of the time up to all of it.
    package static let shares = 0.01...1.0
    /// Less is not rested, and added to what comes.
    private static let leastRestMilliseconds = 5

    private let share: Double
    private var owed: Duration = .zero
    /// Time that was worked.
    package private(set) var worked: Duration = .zero
    /// Time that was to be rested.
    package private(set) var rested: Duration = .zero

    /// - Parameter share: of the time that may be worked, within `shares`.
    package init(share: Double) {
        self.share = min(max(share, Self.shares.lowerBound), Self.shares.upperBound)
    }

    /// Takes work into account.
    /// - Returns: milliseconds of rest that are due now: after `t` of work, `t * (1/share - 1)`.
    package mutating func rest(after work: Duration) -> Int {
        let work = max(work, .zero)
        worked += work
        owed += work * (1 / share - 1)
        let milliseconds = owed.wholeMilliseconds
        guard milliseconds >= Self.leastRestMilliseconds else { return 0 }
        owed -= .milliseconds(milliseconds)
        rested += .milliseconds(milliseconds)
        return milliseconds
    }
}
