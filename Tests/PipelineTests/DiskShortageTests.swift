import Base
import Pipeline
import Recording
import Supervision
import TestServers
import Testing
import ChunkFiles
import Files

/// A recorder on a disk that fills up.
@Suite("A disk that gets short")
struct DiskShortageTests {
    /// A disk of 1000 bytes whose free ones the test sets; 400 are kept in reserve.
    private final class Disk: Sendable {
        private let free = Lock(1000)

        func set(_ bytes: Int) { free.withLock { $0 = bytes } }

        var watched: DiskGuard {
            DiskGuard(paths: ["/disk"], reserveBytes: 400) { _ in
                DiskSpace(availableBytes: self.free.withLock { $0 }, totalBytes: 1000)
            }
        }
    }

    @Test("no session begins, and none is made")
    func refuses() throws {
        let plant = try Plant(try LogKind.memory.open())
        let disk = Disk()
        disk.set(399)
        do {
            try plant.record(sampleBytes(5000), as: "s", configure: { $0.diskGuard = disk.watched })
            Issue.record("recorded")
        } catch let failure as RecordingFailure {
            guard case .failed(let error, kept: nil) = failure else {
                Issue.record("\(failure)")
                return
            }
            #expect((error as? DiskShortage)?.room.state == .refusing)
        }
        #expect(try plant.state(of: "s").status == nil)
    }

    @Test("a running recording is closed, and what was recorded is kept")
    func closes() throws {
        let plant = try Plant(try LogKind.memory.open())
        try plant.startWorkers([StageName.allCases])
        try plant.startCompletion()
        let disk = Disk()
        let bytes = sampleBytes(50_000)
        var kept: RecordingSummary?
        do {
            try plant.record(bytes, as: "s", configure: { $0.diskGuard = disk.watched }) {
                if $0.chunks == 3 { disk.set(199) }
            }
            Issue.record("recorded")
        } catch let failure as RecordingFailure {
            guard case .failed(let error, kept: let summary) = failure else {
                Issue.record("\(failure)")
                return
            }
            #expect((error as? DiskShortage)?.room.state == .closing)
            kept = summary
        }
        let summary = try #require(kept)
        #expect(summary.chunks == 3)
        try plant.wait(for: .completed, of: "s")
        #expect(try plant.state(of: "s").incomplete)
        #expect(try plant.export("s") == Array(bytes.prefix(summary.bytes)))
    }

    @Test("in between it goes on, one chunk at a time, and loses nothing")
    func slows() throws {
        let plant = try Plant(try LogKind.memory.open())
        let disk = Disk()
        let waited = Lock(0)
        try plant.record(sampleBytes(30_000), as: "s", configure: { $0.diskGuard = disk.watched }) {
            progress in
            if progress.chunks == 2 { disk.set(300) }
            guard progress.waitingFor != nil else { return }
            if waited.withLock({
                $0 = max($0, progress.chunks)
                return $0 == 2 && progress.chunks == 2
            }) {
                try? plant.startWorkers([StageName.allCases])
            }
        }
        #expect(waited.withLock { $0 } >= 2)
        try plant.startCompletion()
        try plant.wait(for: .completed, of: "s")
        #expect(try plant.export("s") == sampleBytes(30_000))
    }
}
