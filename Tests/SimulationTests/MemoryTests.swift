import Glibc
import Testing

@testable import Simulation

/// A world that has ended is let go of, and with it whatever its processes were made of: a recorder, an
/// intake or a worker that holds on to itself would fill the memory of a process that runs for years.
@Suite("Worlds that have ended")
struct MemoryTests {
    @Test("nothing of a world stays behind", arguments: 1...24 as ClosedRange<UInt64>)
    func nothingStays(seed: UInt64) throws {
        weak var world: World?
        weak var disturbances: Disturbances?
        weak var log: InMemoryEventLog?
        func live() throws {
            let made = try World(seed: seed, variations: Variations())
            defer { made.end() }
            // Every process holds on to the disturbances.
            (world, disturbances, log) = (made, made.disturbances, made.log)
            made.run()
            made.check()
        }
        try live()
        // A thread that has ended in the world has still to let go of what it ran.
        let deadline = ContinuousClock.now + .seconds(20)
        while world != nil || disturbances != nil || log != nil, ContinuousClock.now < deadline {
            sched_yield()
        }
        #expect(world == nil)
        #expect(disturbances == nil)
        #expect(log == nil)
    }
}
