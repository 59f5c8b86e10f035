import Base
import EventSourcing
import Recording
import SessionContent
import TestServers
import Testing

import Pipeline

@Suite("Workers of different layouts")
struct LayoutRaceTests {
    private func stage(_ chain: [StageName], _ plant: Plant) throws -> ChunkStage {
        try ChunkStage(chain: chain, log: plant.log, vault: plant.vault, levels: [:], clock: SystemClock())
    }

    private func events(_ outcome: StageOutcome) throws -> [ProposedEvent] {
        guard case .done(let events) = outcome else {
            Issue.record("the stage failed: \(outcome)")
            return []
        }
        return events
    }

    @Test("A refused chain leaves the spool to the worker that was first")
    func refusedChain() throws {
        let plant = try Plant(try LogKind.memory.open())
        let bytes = sampleBytes(3000)
        try plant.record(bytes, as: "s")
        let store = try plant.log.open()
        let recorded = try #require(try plant.events(of: "s").first { $0.type == "ChunkRecorded" })
        let delivery = Delivery(event: recorded, attempt: 1)

        // A worker without a chain hands the chunk on, and dies before it acknowledges.
        let alone = try stage([.compress], plant)
        let handedOn = try events(alone.handle(delivery))
        _ = try store.append(handedOn, to: "s", expecting: .any)
        alone.settled(delivery, appended: true)

        // The delivery goes to a worker with the whole chain: it stores the file, and its events are refused.
        let chained = try stage(StageName.allCases, plant)
        let refused = try events(chained.handle(delivery))
        guard case .idTaken = try store.append(refused, to: "s", expecting: .any) else {
            Issue.record("two bodies of ChunkCompressed were taken")
            return
        }
        chained.settled(delivery, appended: false)

        // What the first one handed on is still there for its next stage.
        let compressed = try #require(try plant.events(of: "s").first { $0.type == "ChunkCompressed" })
        let next = Delivery(event: compressed, attempt: 1)
        let rest = try stage([.encrypt, .validate, .store], plant)
        let done = try events(rest.handle(next))
        #expect(done.map(\.type) == ["ChunkSealed", "ChunkValidated", "ChunkStored"])
        _ = try store.append(done, to: "s", expecting: .any)
        rest.settled(next, appended: true)

        try plant.startCompletion()
        try plant.wait(for: .completed, of: "s")
        #expect(try plant.audit("s").isSound)
        #expect(try plant.export("s") == bytes)
    }
}
