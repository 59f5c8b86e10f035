import ChunkFiles
import Engine
import Base
import EventSourcing
import Foundation
import Glibc
import Pipeline
import Recording
import SessionContent
import Simulation
import Testing

/// A completed session `s` of five chunks, and hands that change what is known of it.
private struct Scene {
    let plant: Plant
    let bytes = sampleBytes(20_000)

    init(completed: Bool = true) throws {
        plant = try Plant(InMemoryEventLog(partitions: 1))
        try plant.startWorkers([StageName.allCases])
        if completed { try plant.startCompletion() }
        try plant.record(bytes, as: "s")
        if completed {
            try plant.wait(for: .completed, of: "s")
        } else {
            try eventually("all is stored") { try plant.state(of: "s").isEverythingStored }
        }
    }

    func path(_ number: Int) throws -> String {
        try plant.vault.chunks.path(session: "s", sequence: number)
    }

    /// Appends what nobody has decided.
    func forge(_ fact: RecordingEvent, id: String) throws {
        let event = try ProposedEvent(
            fact, id: id, time: Timestamp(milliseconds: 1),
            context: EventContext(source: "/test", actor: .system("forger")), at: .newest)
        _ = try plant.log.open().append([event], to: "s", expecting: .any)
    }

    func stored(_ number: Int) throws -> ChunkEvent.Sealed {
        let history = try #require(try SessionHistory(of: "s", in: plant.log.open()))
        return history.stored[number - 1]
    }

    func audit(_ progress: (Int, Int) throws -> Void) throws -> AuditReport {
        let auditor = SessionAuditor(
            store: try plant.log.open(), chunks: plant.vault.chunks, keys: try plant.vault.openKeys())
        var failure: (any Error)?
        let report = try auditor.audit("s") { done, of in
            do { try progress(done, of) } catch { failure = failure ?? error }
        }
        if let failure { throw failure }
        return try #require(report)
    }

    func exporter() throws -> SessionExporter {
        SessionExporter(
            store: try plant.log.open(), chunks: plant.vault.chunks, keys: try plant.vault.openKeys())
    }

    func partial() throws -> (bytes: [UInt8], report: ExportReport) {
        var bytes: [UInt8] = []
        let report = try exporter().exportSound("s") { part, _ in bytes.append(contentsOf: part) }
        return (bytes, report)
    }

    /// Deletes the session as an administrator does, files and key included.
    func delete() throws {
        try plant.command(.delete(tagCounts: false), on: "s")
        let removal = SessionRemoval(
            SessionRemoval.Places(plant.vault, passwords: nil), clock: SystemClock(), report: .silent)
        try removal.handle(try plant.events(of: "s"), try plant.log.open())
    }
}

extension RecordingEvent {
    /// Whether what is written of it can be read again.
    fileprivate var isReadable: Bool {
        get throws {
            let event = try ProposedEvent(
                self, id: "x", time: Timestamp(milliseconds: 1),
                context: EventContext(source: "/test", actor: .system("test")), at: .newest)
            let recorded = RecordedEvent(
                event: event, partitionKey: "s", sequence: 1, position: .start(of: 0))
            return (try? RecordingEvent(recorded)) != nil
        }
    }
}

@Suite("What verification says of a session in every state")
struct VerificationOutcomeTests {
    @Test("completed, still recording, processed, failed and deleted sessions each have their answer")
    func outcomes() throws {
        let scene = try Scene()
        var report = try scene.plant.audit("s")
        #expect(report.outcome == .sound && report.findings == [] && report.status == .completed)
        #expect(report.chunks == 5 && report.originalBytes == 20_000 && report.contentChecked)
        try scene.delete()
        report = try scene.plant.audit("s")
        #expect(report.outcome == .deleted && report.findings.map(\.kind) == [.deleted])

        let open = try Scene(completed: false)
        report = try open.plant.audit("s")
        #expect(report.outcome == .unfinished && report.findings.map(\.kind) == [.unfinished])
        #expect(report.status == .stopped && !report.isSound)
        try open.plant.command(.process, on: "s")
        #expect(try open.plant.audit("s").outcome == .unfinished)
        try open.plant.command(.fail(error: "given up"), on: "s")
        report = try open.plant.audit("s")
        #expect(report.outcome == .partial && report.findings.map(\.kind) == [.unfinished])
        try Data([1]).write(to: URL(fileURLWithPath: try open.path(1)))
        report = try open.plant.audit("s")
        #expect(report.outcome == .damaged && report.findings.map(\.kind) == [.truncated, .unfinished])
    }

    @Test("a session that is deleted while it is verified is no damage, wherever that happens")
    func deletedMeanwhile() throws {
        for moment in 1...5 {
            let scene = try Scene()
            let report = try scene.audit { done, _ in if done == moment { try scene.delete() } }
            #expect(report.outcome == .deletedMeanwhile, "\(moment): \(report.findings)")
            #expect(report.findings.map(\.kind) == [.deleted])
        }
        // A forger who deletes files alone deletes nothing lawfully.
        let scene = try Scene()
        let report = try scene.audit { done, _ in
            if done == 2 { unlink(try scene.path(4)) }
        }
        #expect(report.outcome == .damaged && report.findings.map(\.kind) == [.missing, .root])
    }

    @Test("a session that goes on while it is verified has no files too many")
    func growing() throws {
        let scene = try Scene(completed: false)
        let report = try scene.audit { done, of in
            guard done == 3 else { return }
            try scene.plant.startCompletion()
            try scene.plant.wait(for: .completed, of: "s")
        }
        #expect(report.outcome == .sound && report.status == .completed, "\(report.findings)")
    }

    @Test("files that a worker has written and not told of yet are no finding; later they are")
    func untold() throws {
        let plant = try Plant(InMemoryEventLog(partitions: 1))
        try plant.record(sampleBytes(5000), as: "s")
        _ = try [UInt8]([1, 2, 3]).withUnsafeBytes {
            try plant.vault.chunks.store($0, session: "s", sequence: 2)
        }
        #expect(try plant.audit("s").findings.map(\.kind) == [.unfinished])
        _ = try [UInt8]([1, 2, 3]).withUnsafeBytes {
            try plant.vault.chunks.store($0, session: "s", sequence: 3)
        }
        #expect(try plant.audit("s").findings.map(\.kind) == [.extra, .unfinished])
    }

    @Test("special files are findings, and every other chunk is looked at")
    func special() throws {
        let scene = try Scene()
        try #require(unlink(try scene.path(2)) == 0 && mkfifo(try scene.path(2), 0o600) == 0)
        try #require(unlink(try scene.path(4)) == 0 && symlink("/dev/zero", try scene.path(4)) == 0)
        try #require(truncate(try scene.path(5), 1 << 30) == 0)
        let report = try scene.plant.audit("s")
        #expect(report.findings.map(\.kind) == [.special, .special, .extended, .root])
        #expect(report.chunks == 5 && report.originalBytes == 2 * 4096)
        let folder = "\(scene.plant.vault.chunks.root)/s"
        try #require(rename(folder, folder + "-away") == 0 && symlink(folder + "-away", folder) == 0)
        let linked = try scene.plant.audit("s")
        #expect(linked.outcome == .damaged)
        #expect(Set(linked.findings.map(\.kind)) == [.special, .root])
    }

    @Test("events that nobody has decided are findings")
    func forgedEvents() throws {
        let scene = try Scene()
        let stored = try scene.stored(3)
        let forgeries: [(RecordingEvent, String)] = [
            (.chunk(.deleted(stored.chunk)), "\(stored.chunk.chunkID)/ChunkDeleted"),
            (.chunk(.stored(stored)), "x"),
            (.session(.merkleRootComputed(sessionID: "s", root: stored.merkleHash, leafCount: 5)), "y"),
        ]
        for (fact, id) in forgeries {
            let scene = try Scene()
            try scene.forge(fact, id: id)
            let report = try scene.plant.audit("s")
            #expect(report.outcome == .damaged, "\(fact.typeName)")
            #expect(report.findings.contains { $0.kind == .log || $0.kind == .root })
            let refused = #expect(throws: ContentFailure.self) { try scene.plant.export("s") }
            guard case .contradiction? = refused else {
                Issue.record("\(fact.typeName): \(refused as Any)")
                continue
            }
        }
    }
}

@Suite("Giving out what there is of a session")
struct PartialExportTests {
    @Test("a session that is not recorded to its end, or has failed, is not given out as a whole")
    func unended() throws {
        let plant = try Plant(InMemoryEventLog(partitions: 1))
        try plant.startWorkers([StageName.allCases])
        for command in [.create(Plant.session("s", chunkBytes: 4096)), .start, .begin] as [SessionCommand] {
            try plant.command(command, on: "s")
        }
        let exporter = SessionExporter(
            store: try plant.log.open(), chunks: plant.vault.chunks, keys: try plant.vault.openKeys())
        for status in [SessionStatus.recording, .paused] {
            if status == .paused { try plant.command(.pause, on: "s") }
            let refused = #expect(throws: ContentFailure.self) { try exporter.export("s") { _, _ in } }
            guard case .unended("s", status)? = refused else {
                Issue.record("\(refused as Any)")
                continue
            }
        }
        let failed = try Scene(completed: false)
        try failed.plant.command(.process, on: "s")
        try failed.plant.command(.fail(error: "given up"), on: "s")
        #expect(throws: ContentFailure.self) { try failed.plant.export("s") }
        let (bytes, report) = try failed.partial()
        #expect(bytes == failed.bytes && report.isWhole && report.gaps == [])
    }

    @Test("what is sound is given out, and every gap is named with its place")
    func gaps() throws {
        let scene = try Scene()
        #expect(try scene.partial().bytes == scene.bytes)
        #expect(try scene.partial().report.isWhole)
        try Data([1]).write(to: URL(fileURLWithPath: try scene.path(2)))
        unlink(try scene.path(5))
        #expect(throws: ContentFailure.self) { try scene.plant.export("s") }
        let (bytes, report) = try scene.partial()
        #expect(bytes == Array(scene.bytes[..<4096] + scene.bytes[8192..<16384]))
        #expect(!report.isWhole && report.exportedChunks == 3 && report.chunks == 5)
        #expect(report.exportedBytes == bytes.count)
        #expect(report.gaps.map(\.sequenceNumber) == [2, 5])
        #expect(report.gaps.map(\.bytes) == [4096..<8192, 16384..<20000])
        #expect(report.gaps.map(\.outputOffset) == [4096, 12288])
        #expect(report.gaps[0].reason.contains("1 bytes instead of"))
        #expect(report.gaps[1].reason.contains("gone"))
    }

    @Test("a file behind the last chunk that the log tells of keeps it from passing for the whole")
    func cutOff() throws {
        let scene = try Scene()
        _ = try [UInt8]([1]).withUnsafeBytes {
            try scene.plant.vault.chunks.store($0, session: "s", sequence: 6)
        }
        let refused = #expect(throws: ContentFailure.self) { try scene.plant.export("s") }
        #expect(refused?.description.contains("a file of chunk 6") == true)
        let (bytes, report) = try scene.partial()
        #expect(bytes == scene.bytes && !report.isWhole && report.contradictions.count == 1)
        #expect(try scene.plant.audit("s").findings.map(\.kind) == [.extra])
    }

    @Test("chunks that the log contradicts itself about are left out, and no others")
    func contradictions() throws {
        let scene = try Scene()
        try scene.forge(.chunk(.stored(try scene.stored(3))), id: "x")
        let (bytes, report) = try scene.partial()
        #expect(report.gaps.map(\.sequenceNumber) == [3])
        #expect(bytes.count == scene.bytes.count - 4096)
        #expect(!report.isWhole)
    }

    @Test("figures beyond all bounds in the log cost what they are about, and end nothing")
    func extremes() throws {
        let sizes = [-1, .min, .max, 1 << 53].map { (size: $0, number: 6) }
        let numbers = [0, -1, .min, .max, 99_999_999].map { (size: -1, number: $0) }
        for (size, number) in sizes + numbers {
            let scene = try Scene()
            scene.plant.rest()
            let stored = try scene.stored(5)
            var (chunk, content) = (stored.chunk, stored.content)
            (chunk.sequenceNumber, chunk.chunkID) = (number, "s-chunk-other")
            content.sizeBytes = size
            let recorded = ChunkEvent.Recorded(
                chunk: chunk, content: content, codec: "zstd", capturedAt: Timestamp(milliseconds: 1),
                durationSeconds: 1, frameCount: 1, spoolPath: "x")
            try scene.forge(.chunk(.recorded(recorded)), id: "s-chunk-other/ChunkRecorded")
            let bytes = try scene.partial().bytes
            #expect(bytes == scene.bytes, "size \(size), number \(number)")
            // What is out of all bounds cannot be read; what is within contradicts the rest.
            let outcome = try scene.plant.audit("s").outcome
            #expect(outcome == .damaged || outcome == .unreadable, "size \(size), number \(number)")
            // A payload that no chunk has cannot be read, and the root says that all of them are there.
            let isRead = try RecordingEvent.chunk(.recorded(recorded)).isReadable
            let isGivenOut = (try? scene.plant.export("s")) == scene.bytes
            #expect(isGivenOut == !isRead, "size \(size), number \(number)")
        }
    }

    @Test("a session that is deleted while it is given out says so, and not that it is damaged")
    func deletedMeanwhile() throws {
        for isPartial in [false, true] {
            let scene = try Scene()
            let exporter = try scene.exporter()
            var count = 0
            let refused = #expect(throws: ContentFailure.self) {
                let body = { (_: UnsafeRawBufferPointer, _: Int) in
                    count += 1
                    if count == 2 { try scene.delete() }
                }
                _ = try isPartial ? exporter.exportSound("s", body) : exporter.export("s", body)
            }
            guard case .deletedMeanwhile? = refused else {
                Issue.record("\(refused as Any)")
                continue
            }
        }
    }
}
