import ChunkFiles
import Engine
import Base
import EventSourcing
import Foundation
import Pipeline
import Recording
import SessionContent
import Simulation
import Supervision
import TestServers
import Testing
import Files

/// Lets the n-th effect fail, as a process sees it that dies there: the calls after it fail too.
private final class Crash: FileWatcher {
    private let left: Lock<Int>

    init(after effects: Int) { left = Lock(effects) }

    /// Whether it has come to the crash.
    var happened: Bool { left.withLock { $0 <= 0 } }

    func step() throws(LogFailure) {
        guard passes() else {
            throw LogFailure(.unreachable, operation: "call", key: "test", text: "the process died")
        }
    }

    func before(_ operation: String, _ path: String) throws(FileFailure) {
        guard passes() else { throw FileFailure(operation, path, code: 5) }
    }

    private func passes() -> Bool {
        left.withLock { left in
            left -= 1
            return left > 0
        }
    }
}

private final class CrashingStore: EventStore {
    private let inner: any EventStore
    private let crash: Crash

    init(_ inner: any EventStore, _ crash: Crash) { (self.inner, self.crash) = (inner, crash) }

    var partitioning: Partitioning { inner.partitioning }
    var level: FormatLevel { inner.level }

    func append(_ batches: [AppendBatch]) throws(LogFailure) -> [AppendOutcome] {
        try crash.step()
        let outcomes = try inner.append(batches)
        // Its answer is lost.
        try crash.step()
        return outcomes
    }
    func load(_ key: String, after sequence: UInt64, limit: Int) throws(LogFailure) -> [RecordedEvent] {
        try inner.load(key, after: sequence, limit: limit)
    }
    func version(of key: String) throws(LogFailure) -> UInt64 { try inner.version(of: key) }
    func read(after position: LogPosition, limit: Int) throws(LogFailure) -> [RecordedEvent] {
        try inner.read(after: position, limit: limit)
    }
    func end(of partition: Int) throws(LogFailure) -> LogPosition { try inner.end(of: partition) }
}

/// Kept keys that a process reaches until it dies.
private struct CrashingKeys: KeyArchive {
    let inner: any KeyArchive
    let crash: Crash

    func open() throws -> any KeyRecords { Records(inner: try inner.open(), crash: crash) }

    private final class Records: KeyRecords {
        private let inner: any KeyRecords
        private let crash: Crash

        init(inner: any KeyRecords, crash: Crash) { (self.inner, self.crash) = (inner, crash) }

        func keep(_ record: KeyRecord) throws -> KeyRecord { try inner.keep(record) }
        func record(ofSession session: String) throws -> KeyRecord? { try inner.record(ofSession: session) }
        func destroy(ofSession session: String) throws {
            try crash.step()
            try inner.destroy(ofSession: session)
            try crash.step()
        }
    }
}

@Suite("Removal of deleted sessions")
struct RemovalTests {
    private let passwords = InMemoryPasswordRecords()

    private func handler(_ plant: Plant, keys: (any KeyArchive)? = nil) -> SessionRemoval {
        var vault = plant.vault
        if let keys { vault.archive = keys }
        return SessionRemoval(
            SessionRemoval.Places(vault, passwords: passwords), clock: SystemClock(), report: .silent)
    }

    private func setPassword(_ plant: Plant, _ session: String) throws -> Bool {
        try RDPPasswords(ring: plant.vault.ring, records: passwords).put(RDPPassword("x"), ofSession: session)
    }

    /// What is left of a session: numbers of deleted chunks, files, spool, key, password.
    private func expectGone(_ plant: Plant, _ session: String, chunks: Int) throws {
        let state = try plant.state(of: session)
        #expect(state.status == .deleted)
        #expect(state.deletedThrough == chunks)
        let deleted = try plant.events(of: session).filter { $0.type == "ChunkDeleted" }
        #expect(deleted.count == chunks)
        #expect(Set(deleted.map(\.id)).count == chunks)
        #expect(try plant.vault.chunks.list(session: session).files.isEmpty)
        #expect(try plant.vault.spool.sequences(session: session).isEmpty)
        #expect(try plant.vault.archive.open().record(ofSession: session) == nil)
        #expect(try !setPassword(plant, session))
    }

    @Test(
        "key, password, files and spool go, each chunk is told of, and others keep theirs",
        arguments: LogKind.allCases)
    func removes(_ kind: LogKind) throws {
        let plant = try Plant(try kind.open())
        let bytes = sampleBytes(25_000)
        try plant.startWorkers([StageName.allCases], gate: try plant.startGate())
        try plant.startCompletion()
        for session in ["gone", "kept"] {
            try plant.record(bytes, as: session)
            try plant.wait(for: .completed, of: session)
            #expect(try setPassword(plant, session))
        }
        let root = try plant.state(of: "gone").merkleRoot
        let (log, stop) = (plant.log, StopSignal())
        let work = UncheckedHandler(handler(plant))
        let thread = try OwnThread(name: "removal") {
            try OrderedWorker(handler: work.handler, log: log, report: .silent).run(stop: stop)
        }
        defer {
            stop.set()
            _ = thread.wait(milliseconds: 10_000)
        }
        try plant.command(.delete(tagCounts: false), on: "gone")
        try eventually("it is removed") { try plant.state(of: "gone").deletedThrough == 7 }
        try expectGone(plant, "gone", chunks: 7)
        #expect(try plant.export("kept") == bytes)
        #expect(try plant.audit("kept").isSound)
        #expect(try setPassword(plant, "kept"))
        // Asking for it says what happened.
        #expect(throws: ContentFailure.self) { try plant.export("gone") }
        let report = try plant.audit("gone")
        #expect(report.findings.map(\.kind) == [.deleted])
        #expect(report.merkleRoot == root)
        // A worker that was late stores a chunk after all.
        let stored = try #require(try plant.events(of: "gone").last { $0.type == "ChunkStored" })
        let image = ScratchBuffer()
        image.append([1, 2, 3])
        _ = try image.withBytes { try plant.vault.chunks.store($0, session: "gone", sequence: 7) }
        _ = try image.withBytes {
            try plant.vault.spool.write($0, by: "validate", of: "gone/00000007.raw", sequence: 7)
        }
        let audit = try plant.audit("gone")
        #expect(audit.findings.map(\.kind) == [.deleted, .extra])
        var late = stored.event
        late.id = "late"
        _ = try plant.log.open().append([late], to: "gone", expecting: .any)
        try eventually("that is removed too") {
            try plant.vault.chunks.list(session: "gone").files.isEmpty
                && plant.vault.spool.files(session: "gone", by: "validate").isEmpty
        }
    }

    @Test("a crash at any point leaves what the next owner finishes")
    func crashes() throws {
        var points = 0
        for effects in 1...200 {
            let session = "s-\(effects)"
            let log = InMemoryEventLog(partitions: 1)
            let plant = try Plant(log)
            try plant.record(sampleBytes(9000), as: session)
            let image = ScratchBuffer()
            image.append([1, 2, 3])
            for number in 1...3 {
                _ = try image.withBytes {
                    try plant.vault.chunks.store($0, session: session, sequence: number)
                }
            }
            #expect(try setPassword(plant, session))
            try plant.command(.delete(tagCounts: false), on: session)
            let crash = Crash(after: effects)
            let store = CrashingStore(try log.open(), crash)
            let keys = CrashingKeys(inner: plant.vault.archive, crash: crash)
            do {
                try FileCalls.$watcher.withValue(crash) {
                    try handler(plant, keys: keys).handle(log.allEvents(), store)
                }
            } catch {
                // Nothing says that a chunk is removed before it is.
                let told = try plant.state(of: session).deletedThrough
                let isRemoved = try plant.vault.chunks.list(session: session).files.isEmpty
                #expect(told == 0 || isRemoved)
            }
            points += crash.happened ? 1 : 0
            try handler(plant).handle(log.allEvents(), try log.open())
            try expectGone(plant, session, chunks: 3)
            guard crash.happened else { break }
        }
        #expect((10..<200).contains(points))
    }

    @Test("many chunks are told of in bounded appends, and reading the log again does nothing")
    func many() throws {
        let log = InMemoryEventLog(partitions: 1)
        let plant = try Plant(log)
        try plant.record(sampleBytes(9000), as: "kept")
        let desk = CommandHandler(session: "s", store: try log.open(), clock: SystemClock())
        let context = EventContext(source: "/test", actor: .system("test"))
        try desk.handle(
            [.create(Plant.session("s", chunkBytes: 4096)), .start, .begin], id: "begin", context: context)
        for number in 1...1203 {
            let content = ChunkContent(
                sizeBytes: 1, digest: String(repeating: "a", count: 64), keyID: "k", cipher: "none")
            let chunk = ChunkEvent.Recorded(
                chunk: ChunkReference(sessionID: "s", sequenceNumber: number), content: content,
                codec: "zstd", capturedAt: SystemClock().now(), durationSeconds: 0, frameCount: 0,
                spoolPath: "s/1.raw")
            try desk.handle(.recordChunk(chunk), id: "chunk", context: context)
        }
        try desk.handle(
            [.stop(.requested, incomplete: false), .delete(tagCounts: false)], id: "end", context: context)
        try handler(plant).handle(log.allEvents(), try log.open())
        try expectGone(plant, "s", chunks: 1203)
        let count = log.allEvents().count
        try handler(plant).handle(log.allEvents(), try log.open())
        #expect(log.allEvents().count == count)
        #expect(try plant.vault.archive.open().record(ofSession: "kept") != nil)
        #expect(try plant.vault.spool.sequences(session: "kept") == [1, 2, 3])
    }

    @Test("a session whose files cannot be removed holds up nobody else")
    func stuck() throws {
        let log = InMemoryEventLog(partitions: 1)
        let plant = try Plant(log)
        for session in ["bad", "good"] {
            try plant.record(sampleBytes(5000), as: session)
            try plant.command(.delete(tagCounts: false), on: session)
        }
        // Folders in folders are removed only so deep.
        let obstacle = "\(plant.vault.chunks.root)/bad/00000001.reel"
        try FileManager.default.createDirectory(
            atPath: obstacle + String(repeating: "/d", count: 40), withIntermediateDirectories: true)
        let stop = StopSignal()
        let work = UncheckedHandler(handler(plant))
        let thread = try OwnThread(name: "removal") {
            try OrderedWorker(
                handler: work.handler, log: log, policy: RetryPolicy(baseMilliseconds: 1), report: .silent
            ).run(stop: stop)
        }
        try eventually("the others go on") { try plant.state(of: "good").deletedThrough == 2 }
        try eventually("it is parked") { log.parked(subscription: "removal").count == 1 }
        #expect(try plant.state(of: "bad").deletedThrough == 0)
        try FileManager.default.removeItem(atPath: obstacle)
        for position in log.parked(subscription: "removal").keys { log.retryParked("removal", position) }
        try eventually("it is removed") { try plant.state(of: "bad").deletedThrough == 2 }
        stop.set()
        _ = thread.wait(milliseconds: 10_000)
        try expectGone(plant, "good", chunks: 2)
    }
}

/// Hands a handler over to the one thread that uses it.
private struct UncheckedHandler: @unchecked Sendable {
    // Sendable because the test's thread lets go of it before the other one takes it.
    let handler: SessionRemoval
    init(_ handler: SessionRemoval) { self.handler = handler }
}
