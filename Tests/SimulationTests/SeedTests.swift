import Foundation
import Simulation
import Testing

/// `REEL_SIM_SEED` and `REEL_SIM_RUNS` choose the fresh seeds; one run alone tells all that happens in it.
private enum Choice {
    static let environment = ProcessInfo.processInfo.environment
    static let seed = environment["REEL_SIM_SEED"].flatMap { UInt64($0) }
    static let runs = environment["REEL_SIM_RUNS"].flatMap { Int($0) } ?? 150
}

@Suite("Simulated worlds", .serialized)
struct SeedTests {
    @Test("every promise is kept with the seeds that are always run", .enabled(if: Choice.seed == nil))
    func fixedSeeds() throws {
        let sum = try Runs(from: 1, count: 150).sum
        for report in sum.bad { Issue.record("\(report.advice)") }
        // A simulation in which nothing happens proves nothing.
        #expect(sum.completed > 150 && sum.acknowledged > 300 && sum.parked > 0)
        let faults = sum.faults
        for count in [
            faults.crashes, faults.stalls, faults.unreachable, faults.lostAnswers, faults.files,
            faults.database, faults.clocks, faults.powerCuts, faults.poison,
        ] { #expect(count > 20, "\(faults)") }
    }

    @Test("every promise is kept with seeds that found something", .enabled(if: Choice.seed == nil))
    func regressionSeeds() throws {
        for seed in RegressionSeeds.all {
            let report = try Simulation.run(seed: seed)
            #expect(report.isSound, "\(report.advice)")
        }
    }

    @Test("every promise is kept with fresh seeds")
    func freshSeeds() throws {
        let seed = Choice.seed ?? UInt64.random(in: 1...UInt64(UInt32.max)) << 16
        if Choice.runs == 1 {
            let report = try Simulation.run(seed: seed, remarks: true)
            for line in report.remarks { print(line) }
            print("\(report), trace \(report.trace)")
            #expect(report.isSound, "\(report.advice)")
            return
        }
        let began = ContinuousClock.now
        let sum = try Runs(from: seed, count: max(1, Choice.runs)).sum
        print(
            "simulation: seeds \(seed)...\(seed &+ UInt64(sum.done) &- 1) in \(ContinuousClock.now - began):",
            "\(sum.steps) steps, \(sum.faults.total) faults, \(sum.completed) sessions completed,",
            "\(sum.bad.count) bad")
        for report in sum.bad { Issue.record("\(report.advice)") }
    }

    @Test("a seed is all that a run depends on", .enabled(if: Choice.seed == nil))
    func determinism() throws {
        for seed: UInt64 in [3, 44, 1017, 900_001] {
            let first = try Simulation.run(seed: seed)
            let second = try Simulation.run(seed: seed)
            #expect(first.trace == second.trace && first.steps == second.steps, "seed \(seed)")
            #expect(first.simulated_ms == second.simulated_ms && first.faults == second.faults)
        }
        let (one, other) = (try Simulation.run(seed: 3), try Simulation.run(seed: 4))
        #expect(one.trace != other.trace)
    }
}
