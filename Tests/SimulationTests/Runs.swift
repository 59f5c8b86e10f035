import Base
import Foundation
import Simulation

/// What several runs came to.
final class Runs: Sendable {
    struct Sum {
        var next: UInt64
        var left: Int
        var done = 0
        var steps = 0
        var completed = 0
        var acknowledged = 0
        var parked = 0
        var faults = FaultCounts()
        var bad: [SimulationReport] = []
    }

    private let state: Lock<Sum>

    /// The sums of all runs.
    var sum: Sum { state.withLock { $0 } }

    /// Runs `count` seeds from `first` on, on as many threads as there are cores.
    init(
        from first: UInt64, count: Int, variations: Variations = Variations(), stopAtFirst: Bool = false
    ) throws {
        state = Lock(Sum(next: first, left: count))
        try concurrently(min(count, ProcessInfo.processInfo.activeProcessorCount)) { _ in
            while let seed = self.take(stopAtFirst) {
                self.add(try Simulation.run(seed: seed, variations: variations))
            }
        }
    }

    private func take(_ stopAtFirst: Bool) -> UInt64? {
        state.withLock { sum in
            guard sum.left > 0, !stopAtFirst || sum.bad.isEmpty else { return nil }
            sum.left -= 1
            defer { sum.next &+= 1 }
            return sum.next
        }
    }

    private func add(_ report: SimulationReport) {
        state.withLock { sum in
            sum.done += 1
            sum.steps += report.steps
            sum.completed += report.completed
            sum.acknowledged += report.acknowledged
            sum.parked += report.parked
            sum.faults += report.faults
            if !report.isSound { sum.bad.append(report) }
        }
    }
}

extension SimulationReport {
    /// What was broken, and how to see it again.
    var advice: String {
        "\(self)\nto see it again: REEL_SIM_SEED=\(seed) REEL_SIM_RUNS=1 swift test --filter SimulationTests"
    }
}
