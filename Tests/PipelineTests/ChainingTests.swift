import Sealing
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

    @Test("an event that names another session's file is no reason to take that, or to remove it")
    func anothersFile() throws {
        let plant = try Plant(InMemoryEventLog(partitions: 1))
        let bytes = sampleBytes(300)
        let path = try bytes.withUnsafeBytes {
            try plant.vault.spool.write($0, session: "owner", sequence: 1)
        }
        let time = SystemClock().now()
        let key = try plant.vault.openKeys().make(forSession: "other", at: time)
        // Everything else is as it should be, so that nothing but the name is to be refused.
        let digest = bytes.withUnsafeBytes { key.contentDigester().authenticate($0) }
        let chunk = ChunkEvent.Recorded(
            chunk: ChunkReference(sessionID: "other", sequenceNumber: 1),
            content: ChunkContent(
                sizeBytes: bytes.count, digest: digest.hex, keyID: key.keyID, cipher: "none"),
            codec: "zstd", capturedAt: time, durationSeconds: 0, frameCount: 0, spoolPath: path)
        for command in [
            .create(Plant.session("other", chunkBytes: 4096)), .start, .begin, .recordChunk(chunk),
        ] as [SessionCommand] { try plant.command(command, on: "other") }
        try plant.startWorkers([StageName.allCases])
        try eventually("the chunk is stored or given up") {
            let state = try plant.state(of: "other")
            return !state.failures.isEmpty || !state.merkleHashes.isEmpty
        }
        #expect(try plant.state(of: "other").failures.keys.sorted() == [1])
        #expect(try plant.vault.spool.sequences(session: "owner") == [1])
    }

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

    /// The log of after a failover that kept the first events of a chunk: its later ones never happened, and
    /// the spool was emptied when they had.
    @Test(
        "a chunk whose later events were lost is found in its sealed file, whatever the layout",
        arguments: layouts, ["zstd", "none"])
    func lostEvents(_ layout: [[StageName]], _ codec: String) throws {
        let bytes = sampleBytes(20_000)
        let before = try Plant(try LogKind.memory.open())
        try before.startWorkers(layout)
        try before.startCompletion()
        try before.record(bytes, as: "s", codec: codec)
        try before.wait(for: .completed, of: "s")
        let all = try before.events(of: "s")
        let recorded = try #require(all.first { $0.type == "ChunkRecorded" })
        // The later the loss, the more is kept: what one round moves away, the next one does not need.
        let ends = all.indices.filter { index in
            all[index].subject == recorded.subject && all[index].type != "ChunkStored"
                && String(decoding: all[index].data, as: UTF8.self).contains("\"spool_path\"")
        }
        #expect(layout == Self.layouts[1] ? ends.count == 4 : !ends.isEmpty)
        for end in ends.reversed() {
            let lastKept = all[end].type
            let log = InMemoryEventLog(partitions: 4)
            _ = try log.open().append(all[...end].map(\.event), to: "s", expecting: .absent)
            let plant = try Plant(log, sharing: before)
            let context = EventContext(source: "/reel/test", actor: .system("test"))
            let handler = CommandHandler(session: "s", store: try log.open(), clock: SystemClock())
            try handler.catchUp()
            if handler.state.status == .recording {
                try handler.handle(.stop(.recorderLost, incomplete: true), id: "stop", context: context)
            }
            for file in try plant.vault.chunks.list(session: "s").files
            where file.sequenceNumber > handler.state.chunkCount {
                #expect(try plant.vault.chunks.setAside(session: "s", sequence: file.sequenceNumber))
            }
            try plant.startWorkers(layout)
            try plant.startCompletion()
            try plant.wait(for: .completed, of: "s")
            let back = try plant.export("s")
            #expect(!back.isEmpty && back == Array(bytes.prefix(back.count)))
            let report = try plant.audit("s")
            #expect(report.isSound, "\(lastKept): \(report.findings)")
        }
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
