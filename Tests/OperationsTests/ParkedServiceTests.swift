import Engine
import Base
import EventSourcing
import Foundation
import Pipeline
import Recording
import SessionContent
import RedisLog
import Supervision
import TestServers
import Testing
import ChunkFiles
import Sealing

@testable import Operations

/// Records and seals in a folder of its own, over a real log.
private final class Site {
    let folder: String
    let log: RedisEventLog
    let vault: VaultAccess
    let service: ParkedService
    private let stop = StopSignal()
    private var threads: [OwnThread<Void>] = []

    init() throws {
        let server = try TestRedis.shared
        log = try RedisEventLog.open("\(server.url)/\(server.freshDatabase())", createWith: 4)
        folder =
            FileManager.default.temporaryDirectory.appendingPathComponent("reel-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        vault = VaultAccess(
            spool: try Spool(root: "\(folder)/spool"), chunks: try ChunkStore(root: "\(folder)/chunks"),
            ring: try KeyRing.open(folder: "\(folder)/keys"), archive: InMemoryKeyArchive())
        service = try ParkedService(
            log, .recording, clock: SystemClock(), actor: Actor(type: "user", id: "anna"))
    }

    deinit {
        stop.set()
        for thread in threads { _ = thread.wait(milliseconds: 10_000) }
        try? FileManager.default.removeItem(atPath: folder)
    }

    func record(_ bytes: [UInt8], as id: String) throws {
        let source = "\(folder)/source-\(id)"
        try Data(bytes).write(to: URL(fileURLWithPath: source))
        let session = SessionEvent.Created(
            sessionID: id, name: id, rdp: RDPConfig(host: "localhost", username: "tester"),
            recording: RecordingConfig(), storage: StorageConfig(), metadata: SessionMetadata(),
            capture: CaptureConfig(source: .file, chunkSizeBytes: 4096))
        let recorder = Recorder(
            log: log, vault: vault, clock: SystemClock(), actor: .system("test"),
            options: RecordingOptions(session: session), progress: { _ in })
        _ = try recorder.record(try ByteSource.file(source), stop: StopSignal())
    }

    /// The spool's file of a chunk.
    func spooled(_ session: String, _ number: Int) throws -> URL {
        let found = try vault.spool.recorded(session: session).first { $0.sequence == number }
        return URL(fileURLWithPath: try vault.spool.path(relative: try #require(found).relative))
    }

    func work() throws {
        let (log, vault, stop) = (log, vault, stop)
        threads.append(
            try OwnThread(name: "worker") {
                let stage = try ChunkStage(
                    chain: StageName.allCases, log: log, vault: vault, levels: [:], clock: SystemClock())
                try StageWorker(
                    stage: stage, log: log, consumer: ConsumerName(instance: "one", number: 0),
                    policy: RetryPolicy(baseMilliseconds: 2), clock: SystemClock(), report: .silent
                ) { delivery, reason throws(LogFailure) in
                    try ParkedChunk.events(for: delivery, reason, clock: SystemClock(), at: .newest)
                }.run(stop: stop)
            })
        threads.append(
            try OwnThread(name: "completion") {
                let handler = SessionCompletion(spool: vault.spool, clock: SystemClock(), report: .silent)
                try OrderedWorker(handler: handler, log: log, report: .silent).run(stop: stop)
            })
    }

    func state(_ id: String) throws -> SessionState {
        let handler = CommandHandler(session: id, store: try log.open(), clock: SystemClock())
        try handler.catchUp()
        return handler.state
    }

    func events(_ id: String) throws -> [RecordedEvent] {
        var events: [RecordedEvent] = []
        try log.open().forEach(of: id) { events.append($0) }
        return events
    }

    func parked(_ selection: ParkedSelection = ParkedSelection()) throws -> [ParkedEvent] {
        var events: [ParkedEvent] = []
        try service.forEach(selection) { events.append($0) }
        return events
    }

    func wait(_ what: String, _ condition: () throws -> Bool) throws {
        let pause = StopSignal()
        let deadline = ContinuousClock.now + .seconds(30)
        while !(try condition()) {
            try #require(ContinuousClock.now < deadline, "not within 30 s: \(what)")
            _ = pause.wait(milliseconds: 5)
        }
    }
}

@Suite("Parked chunks", .timeLimit(.minutes(10)))
struct ParkedServiceTests {
    private let bytes = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* $0 / 7) }

    @Test("a parked chunk keeps its bytes and causes; retried once the cause is mended, all is sound")
    func retry() throws {
        let site = try Site()
        try site.record(bytes, as: "bad")
        let file = try site.spooled("bad", 2)
        let original = try Data(contentsOf: file)
        try Data([1, 2, 3]).write(to: file)
        try site.work()
        try site.record(bytes, as: "good")
        try site.wait("the others are completed") { try site.state("good").status == .completed }
        try site.wait("the chunk is parked") { try site.parked().count == 1 }

        let event = try #require(try site.parked().first)
        let recorded = try #require(
            try site.events("bad").first { $0.type == "ChunkRecorded" && $0.subject.hasSuffix("000002") })
        #expect(event.position == recorded.position)
        #expect(event.eventID == recorded.id)
        #expect(event.data == recorded.data)
        #expect(event.group == "compress")
        #expect(event.reason.attempts == 3)
        #expect(event.reason.errors.contains { $0.contains("00000002.raw") })
        #expect(SpoolBytes(of: event, in: site.vault.spool)?.count == 3)
        #expect(try site.service.find(ParkedID(event)) == event)
        #expect(ParkedID(ParkedID(event).description, of: .recording) == ParkedID(event))
        #expect(try site.parked(ParkedSelection(session: "good")).isEmpty)
        #expect(try site.parked(ParkedSelection(stage: "store")).isEmpty)
        let before = Timestamp(milliseconds: SystemClock().now().milliseconds - 3_600_000)
        #expect(try site.parked(ParkedSelection(parkedBefore: before)).isEmpty)

        // Too early: it is parked once more, and nothing else happens.
        #expect(try site.service.retry(event) == .done)
        try site.wait("it is parked again") {
            try site.parked().first.map { $0.reason.time > event.reason.time } ?? false
        }
        #expect(try site.parked().first?.reason.attempts == 3)
        try original.write(to: file)
        #expect(try site.service.retry(event) == .done)
        try site.wait("the session is completed") { try site.state("bad").status == .completed }
        #expect(try site.service.retry(event) == .gone)
        #expect(try site.state("bad").failures.isEmpty)
        #expect(try site.parked().isEmpty)
        let auditor = SessionAuditor(
            store: try site.log.open(), chunks: site.vault.chunks, keys: try site.vault.openKeys())
        #expect(try #require(try auditor.audit("bad")).isSound)
        var exported: [UInt8] = []
        try SessionExporter(
            store: try site.log.open(), chunks: site.vault.chunks, keys: try site.vault.openKeys()
        ).export("bad") { part, _ in exported.append(contentsOf: part) }
        #expect(exported == bytes)
        let asked = try site.events("bad").filter { $0.context.actor.id == "anna" }
        #expect(asked.map(\.type).allSatisfy { $0 == "SessionUpdated" })
        #expect(asked.count >= 2)
        #expect(asked.allSatisfy { $0.context.causationID == recorded.id })
    }

    @Test("a discarded chunk fails its session, in the name of who asked, and nothing else")
    func discard() throws {
        let site = try Site()
        for id in ["lost", "waiting"] {
            try site.record(bytes, as: id)
            try Data([1]).write(to: try site.spooled(id, 3))
        }
        try site.work()
        try site.wait("both are parked") { try site.parked().count == 2 }
        try site.wait("both wait") {
            try ["lost", "waiting"].allSatisfy { try site.state($0).status == .processing }
        }
        let event = try #require(try site.parked(ParkedSelection(session: "lost")).first)
        #expect(try site.service.discard(event, reason: "the disk was lost") == .done)
        #expect(try site.service.discard(event, reason: nil) == .gone)
        #expect(try site.state("lost").status == .failed)
        #expect(try site.state("waiting").status == .processing)
        #expect(try site.parked().map(\.partitionKey) == ["waiting"])
        let failed = try #require(try site.events("lost").first { $0.type == "SessionFailed" })
        #expect(failed.context.actor == Actor(type: "user", id: "anna"))
        #expect(String(decoding: failed.data, as: UTF8.self).contains("the disk was lost"))
        #expect(try site.service.retry(event) == .refused("session lost is failed"))
    }
}
