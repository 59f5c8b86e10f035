import EventSourcing
import Foundation
import Pipeline
import Recording
import Testing
import Vault

@Suite("Chaining")
struct ChainingTests {
    /// How the stages are spread over workers.
    static let layouts: [[[StageName]]] = [
        StageName.chains(of: Set(StageName.allCases)),
        StageName.chains(of: Set(StageName.allCases), chaining: false),
        [[.compress, .encrypt], [.validate, .store]],
        [[.compress], [.encrypt, .validate], [.store]],
        // Chaining workers beside others that own one stage: whoever is first does the work.
        StageName.chains(of: Set(StageName.allCases))
            + StageName.chains(of: Set(StageName.allCases), chaining: false),
    ]

    @Test(
        "whatever the layout, each chunk has one event of each kind and comes back",
        arguments: LogKind.allCases)
    func layoutsAreEqual(_ kind: LogKind) throws {
        let bytes = sampleBytes(61_000)
        var outcomes: Set<[String]> = []
        for (number, layout) in Self.layouts.enumerated() {
            let plant = try Plant(try kind.open())
            try plant.startWorkers(layout)
            try plant.startCompletion()
            let id = "layout-\(number)"
            try plant.record(bytes, as: id)
            try plant.wait(for: .completed, of: id)
            #expect(try plant.export(id) == bytes)
            let report = try plant.audit(id)
            #expect(report.isSound, "\(report.findings)")
            outcomes.insert(try Self.outcome(of: plant.events(of: id)))
            try eventually("the spool is empty") { try plant.vault.spool.usage().files == 0 }
        }
        #expect(outcomes.count == 1, "the layouts gave different results")
    }

    @Test(
        "every codec comes back through a chain and through the spool",
        arguments: ["none", "zstd", "lz4", "gzip"])
    func codecs(_ codec: String) throws {
        let plant = try Plant(try LogKind.memory.open())
        try plant.startWorkers([[.compress, .encrypt, .validate, .store], [.encrypt], [.validate], [.store]])
        try plant.startCompletion()
        let bytes = sampleBytes(40_001, seed: 9)
        try plant.record(bytes, as: "s", codec: codec, chunkBytes: 8192)
        try plant.wait(for: .completed, of: "s")
        #expect(try plant.export("s") == bytes)
        #expect(try plant.audit("s").isSound)
    }

    @Test("a chain begins at each owned stage and ends at the first gap")
    func chains() {
        #expect(
            StageName.chains(of: [.compress, .encrypt, .store]) == [
                [.compress, .encrypt], [.encrypt], [.store],
            ])
        #expect(StageName.chains(of: [.validate, .store], chaining: false) == [[.validate], [.store]])
        #expect(StageName.chains(of: []) == [])
    }

    /// What must not depend on the layout: kinds, codecs and sizes by chunk; and that nothing stands twice.
    static func outcome(of events: [RecordedEvent]) throws -> [String] {
        #expect(events.map(\.sequence) == Array(1...UInt64(events.count)))
        var lines: [String] = []
        for event in events {
            guard case .chunk(let chunk) = try RecordingEvent(event) else { continue }
            let number = chunk.chunk.sequenceNumber
            switch chunk {
            case .recorded(let payload): lines.append("\(number) recorded \(payload.content.sizeBytes)")
            case .compressed(let payload):
                lines.append("\(number) compressed \(payload.codec) \(payload.compressedBytes)")
            case .sealed(let payload): lines.append("\(number) sealed \(payload.codec)")
            case .validated(let payload): lines.append("\(number) validated \(payload.compressedBytes)")
            case .stored(let payload): lines.append("\(number) stored \(payload.compressedBytes)")
            case .failed, .deleted: lines.append("\(number) \(chunk.typeName)")
            }
        }
        #expect(Set(lines).count == lines.count, "an event stands twice")
        return lines.sorted()
    }
}
