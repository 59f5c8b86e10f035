internal import Recording

/// What became of one simulated world.
package struct SimulationReport: Sendable, CustomStringConvertible {
    /// What it was made from; the same seed makes the same world.
    package var seed: UInt64
    /// Promises that were broken; empty when all is well.
    package var violations: [String]
    /// Steps that all threads took together.
    package var steps: Int
    /// Simulated milliseconds that passed.
    package var simulated_ms: Int64
    /// Events in the log at the end.
    package var events: Int
    /// Sessions that were completed.
    package var completed: Int
    /// Chunks that were acknowledged to their recorders.
    package var acknowledged: Int
    /// Chunks and events that were set aside and lie there at the end.
    package var parked: Int
    /// What went wrong on the way.
    package var faults: FaultCounts
    /// A digest of every step in order.
    package var trace: UInt64
    /// The last things that happened, when they were asked for.
    package var remarks: [String]

    /// Whether every promise was kept.
    package var isSound: Bool { violations.isEmpty }

    /// The seed, and what was broken.
    package var description: String {
        let text = violations.isEmpty ? "sound" : violations.joined(separator: "\n  ")
        return "seed \(seed), \(steps) steps, \(faults.total) faults: \(text)"
    }
}

/// Runs the real stages, the loops around them, completion, recorder watch, recorder and projections over
/// a log and a database in memory, with everything that can go wrong going wrong where a seed says so.
///
/// One thread runs at a time, time is simulated and nothing is left to the machine, so that a run can be
/// had again by its seed alone.
package enum Simulation {
    /// Runs one world to its end and looks at what is left.
    /// - Parameters:
    ///   - variations: parts to put in place of the usual ones.
    ///   - remarks: whether the report shall say in words what happened last.
    /// - Throws: what the machine throws when it has no room for the world's files.
    package static func run(
        seed: UInt64, variations: Variations = Variations(), remarks: Bool = false
    ) throws -> SimulationReport {
        let world = try World(seed: seed, variations: variations)
        defer { world.end() }
        world.scheduler.keepsRemarks = remarks
        world.run()
        world.check()
        return SimulationReport(
            seed: seed, violations: world.witness.violations, steps: world.scheduler.steps,
            simulated_ms: world.scheduler.now_ms, events: world.log.allEvents().count,
            completed: world.database.sessions.values.count { $0.status == .completed },
            acknowledged: world.sessions.reduce(0) { $0 + $1.acknowledged },
            parked: world.human.items().count, faults: world.faults, trace: world.scheduler.trace,
            remarks: world.scheduler.recent)
    }
}
