import ChunkFiles
import Base
import EventSourcing
import Foundation
import Pipeline
import Recording
import SessionContent
import Simulation
import TestServers
import Testing
import Sealing

@Suite("Audit")
struct AuditTests {
    /// Two completed sessions of the same bytes.
    private func plant() throws -> Plant {
        let plant = try Plant(try LogKind.memory.open())
        try plant.startWorkers([StageName.allCases])
        try plant.startCompletion()
        for id in ["s", "other"] {
            try plant.record(sampleBytes(20_000), as: id)
            try plant.wait(for: .completed, of: id)
        }
        return plant
    }

    private func path(_ plant: Plant, _ number: Int, of id: String = "s") throws -> URL {
        URL(fileURLWithPath: try plant.vault.chunks.path(session: id, sequence: number))
    }

    @Test("a flipped byte anywhere is noticed")
    func flippedBytes() throws {
        let plant = try plant()
        let file = try path(plant, 2)
        let sealed = try Data(contentsOf: file)
        for offset in 0..<sealed.count where offset < 400 || offset > sealed.count - 40 || offset % 97 == 0 {
            var damaged = sealed
            damaged[offset] ^= UInt8(1 << (offset % 8))
            try damaged.write(to: file)
            let findings = try plant.audit("s").findings
            #expect(findings.contains { $0.kind == .root }, "offset \(offset)")
            #expect(
                findings.contains {
                    $0.kind != .root && $0.subject == "s/00000002.reel"
                }, "offset \(offset): \(findings)")
        }
        try sealed.write(to: file)
        #expect(try plant.audit("s").isSound)
    }

    @Test("an entry that cannot be read is a finding, and no bytes are given out that may not be all")
    func unreadableEntries() throws {
        let log = InMemoryEventLog()
        let plant = try Plant(log)
        let bytes = sampleBytes(20_000)
        try plant.record(bytes, as: "open")
        try plant.startWorkers([StageName.allCases])
        try plant.record(bytes, as: "s")
        for id in ["open", "s"] {
            try eventually("everything is stored") { try plant.state(of: id).isEverythingStored }
        }
        for id in ["open", "s"] {
            let events = try plant.events(of: id)
            let last = try #require(events.last { $0.type == "ChunkRecorded" })
            let number = events.firstIndex { $0.position == last.position } ?? 0
            if id == "s" {
                try plant.startCompletion()
                try plant.wait(for: .completed, of: "s")
            }
            log.spoil(last.position, .wholly)
            let report = try plant.audit(id)
            #expect(report.chunks == 5)
            let named = report.findings.filter { $0.kind == .log }
            #expect(named.count == 1 && named[0].text.contains("\(last.position)"))
            #expect(report.findings.count == (id == "s" ? 1 : 2), "\(report.findings)")
            let store = try log.open()
            // As it was before is told, as it was after is not.
            let before = try SessionAsOf(id, at: .sequence(UInt64(number)), in: store)
            #expect(before?.fold.version == UInt64(number))
            #expect(try SessionAsOf(id, at: .position(events[number - 1].position), in: store) != nil)
            let failure = #expect(throws: LogFailure.self) {
                try SessionAsOf(id, at: .sequence(UInt64(number) + 1), in: store)
            }
            #expect(failure?.unreadableEntry == last.position)
        }
        // The root binds all of them: nothing can be missing.
        #expect(try plant.export("s") == bytes)
        let refused = #expect(throws: ContentFailure.self) { try plant.export("open") }
        #expect(refused?.description.contains("cannot be read") == true)
    }

    @Test("truncated, extended, missing, extra, swapped and foreign files are named")
    func otherDamage() throws {
        let plant = try plant()
        let (first, second) = (try path(plant, 1), try path(plant, 2))
        let (one, two) = (try Data(contentsOf: first), try Data(contentsOf: second))
        let foreign = try Data(contentsOf: try path(plant, 2, of: "other"))
        func kinds(_ break: () throws -> Void) throws -> Set<Finding.Kind> {
            try `break`()
            let found = Set(try plant.audit("s").findings.filter { $0.kind != .root }.map(\.kind))
            try one.write(to: first)
            try two.write(to: second)
            return found
        }
        for length in [0, 5, 12, 100, two.count - 1] {
            #expect(try kinds { try two.prefix(length).write(to: second) } == [.truncated], "\(length)")
        }
        #expect(try kinds { try (two + [0]).write(to: second) } == [.extended])
        #expect(try kinds { try FileManager.default.removeItem(at: second) } == [.missing])
        #expect(try kinds { try foreign.write(to: second) } == [.foreign])
        #expect(
            try kinds {
                try two.write(to: first)
                try one.write(to: second)
            } == [.swapped])
        let extra = try path(plant, 99)
        #expect(
            try kinds { try one.write(to: extra) } == [.extra])
        try FileManager.default.removeItem(at: extra)
        #expect(try plant.audit("s").isSound)
    }

    @Test("an outsider without keys verifies the same root")
    func withoutKeys() throws {
        let plant = try plant()
        let auditor = SessionAuditor(store: try plant.log.open(), chunks: plant.vault.chunks, keys: nil)
        let report = try #require(try auditor.audit("s"))
        #expect(report.isSound && !report.contentChecked)
        #expect(report.merkleRoot == report.computedRoot && report.merkleRoot != nil)
        #expect(try auditor.audit("nobody") == nil)
    }
}

@Suite("Proofs")
struct ProofTests {
    @Test("every chunk has a proof that holds for its file alone, also from its document")
    func proofs() throws {
        let plant = try Plant(try LogKind.memory.open())
        try plant.startWorkers([StageName.allCases])
        try plant.startCompletion()
        try plant.record(sampleBytes(30_000), as: "s")
        let prover = SessionProver(store: try plant.log.open())
        try plant.wait(for: .completed, of: "s")
        let root = try #require(try plant.state(of: "s").merkleRoot)
        for number in 1...8 {
            let proof = try prover.proof(of: "\(number)", in: "s")
            #expect(try prover.proof(of: proof.chunkID, in: "s") == proof)
            #expect(proof.root.hex == root && proof.isValid)
            let file = try plant.vault.chunks.path(session: "s", sequence: number)
            #expect(try LeafHasher().hash(fileAt: file).hash == proof.leafHash)
            var writer = JSONWriter()
            proof.encode(into: &writer)
            #expect(try ChunkProof(parsing: writer.bytes) == proof)
            var other = proof
            other.leafHash = try prover.proof(of: "\(number % 8 + 1)", in: "s").leafHash
            #expect(!other.isValid)
        }
        #expect(throws: ProofFailure.noChunk("9")) { try prover.proof(of: "9", in: "s") }
        #expect(throws: ProofFailure.noSession("t")) { try prover.proof(of: "1", in: "t") }
    }
}
