/// What running code takes from the machine it is on besides files and connections: time that passes,
/// waiting, threads and chance.
///
/// A simulation binds surroundings of its own to its threads, and then the same loops run in simulated
/// time, step by step, as one seed decides. Everywhere else there are none, and the machine's own count.
package protocol Surroundings: Sendable {
    /// Time that never goes back.
    var now: ContinuousClock.Instant { get }
    /// Blocks until `condition` holds, for at most `milliseconds` (without a limit when nil); answers
    /// whether it holds.
    func wait(milliseconds: Int?, until condition: () -> Bool) -> Bool
    /// Starts a thread in the same surroundings.
    func startThread(_ name: String, _ body: @escaping @Sendable () -> Void)
    /// A number by chance.
    func random(in range: ClosedRange<Int>) -> Int
}

/// The surroundings of the calling thread.
package enum Machine {
    /// What a simulation has bound to the calling thread; nil on a real machine.
    @TaskLocal package static var simulated: (any Surroundings)?

    /// Time that never goes back.
    package static var now: ContinuousClock.Instant { simulated?.now ?? ContinuousClock.now }

    /// A number by chance.
    package static func random(in range: ClosedRange<Int>) -> Int {
        simulated?.random(in: range) ?? Int.random(in: range)
    }
}
