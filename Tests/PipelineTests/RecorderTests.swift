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

@Suite("Recorder")
struct RecorderTests {
    @Test(
        "a recording is closed where its configured size ends, and keeps all up to there",
        arguments: [10_000, 10_001])
    func size(_ available: Int) throws {
        let plant = try Plant(InMemoryEventLog(partitions: 1))
        let bytes = sampleBytes(available)
        do {
            let summary = try plant.record(bytes, as: "s", configure: { $0.maximumBytes = 10_000 })
            // Exactly as much as is allowed is whole.
            #expect(available == 10_000 && summary.reason == .endOfSource && summary.bytes == 10_000)
        } catch let failure as RecordingFailure {
            guard case .failed(let error, let kept?) = failure, let limit = error as? SizeLimit else {
                Issue.record("\(failure)")
                return
            }
            #expect(available == 10_001 && kept.bytes == 10_000 && kept.chunks == 3)
            #expect(limit.maximumBytes == 10_000 && "\(failure)".contains("storage_config.max_size_gb"))
        }
        let state = try plant.state(of: "s")
        #expect(state.status == .stopped && state.sizeBytes == 10_000)
        #expect(state.incomplete == (available > 10_000))
    }

    @Test("a recording waits for a server of the keys that is just being started again")
    func keysAway() throws {
        let plant = try Plant(InMemoryEventLog(partitions: 1))
        let keys = AwayKeys(inner: plant.vault.archive, times: 2)
        #expect(try plant.record(sampleBytes(10_000), as: "s", keys: keys).bytes == 10_000)
        #expect(throws: RecordingFailure.self) {
            try plant.record(
                sampleBytes(10), as: "t", configure: { $0.openingMilliseconds = 200 },
                keys: AwayKeys(inner: plant.vault.archive, times: .max))
        }
        #expect(try plant.events(of: "t").isEmpty)
    }

    @Test("a log that is away for a moment costs a recording nothing, whenever that is", arguments: [1, 3])
    func logAway(calls: Int) throws {
        var points = 0
        for number in 0... {
            let plant = try Plant(InMemoryEventLog(partitions: 1))
            let log = GatedLog(plant.log)
            log.fail(calls: number..<number + calls)
            let summary = try plant.record(sampleBytes(10_000), as: "s", log: log)
            #expect(summary.reason == .endOfSource && !summary.incomplete, "away at call \(number)")
            #expect(try plant.state(of: "s").sizeBytes == 10_000)
            #expect(try !plant.state(of: "s").incomplete, "away at call \(number)")
            guard log.callCount > number else { break }
            points += 1
        }
        #expect(points > 10)
    }

    @Test("a source is cut without loss", arguments: [1, 1023, 1024, 1025, 10_240])
    func cuts(_ count: Int) throws {
        let plant = try Plant(try LogKind.memory.open())
        try plant.startWorkers([StageName.allCases])
        try plant.startCompletion()
        let summary = try plant.record(sampleBytes(count), as: "s", chunkBytes: 1024)
        #expect(summary.chunks == (count + 1023) / 1024 && summary.reason == .endOfSource)
        try plant.wait(for: .completed, of: "s")
        #expect(try plant.export("s") == sampleBytes(count))
        #expect(try !plant.state(of: "s").incomplete)
    }

    @Test("an interrupted recording keeps what was recorded and completes")
    func interrupted() throws {
        let plant = try Plant(try LogKind.memory.open())
        try plant.startWorkers([StageName.allCases])
        try plant.startCompletion()
        let stop = StopSignal()
        let bytes = sampleBytes(50_000)
        let summary = try plant.record(bytes, as: "s", stop: stop) { if $0.chunks == 3 { stop.set() } }
        #expect(summary.reason == .interrupted && summary.chunks >= 3)
        try plant.wait(for: .completed, of: "s")
        #expect(try plant.export("s") == Array(bytes.prefix(summary.bytes)))
        #expect(try plant.state(of: "s").incomplete)
    }

    @Test("the recorder waits while nobody stores, and goes on when somebody does")
    func backpressure() throws {
        let plant = try Plant(try LogKind.memory.open())
        let waited = Lock(false)
        let highest = Lock(0)
        try plant.record(
            sampleBytes(60_000), as: "s", configure: { $0.maximumChunksAhead = 4 }
        ) { progress in
            if progress.waitingFor != nil, !waited.withLock({ $0 }) {
                highest.withLock { $0 = progress.chunks }
                waited.withLock { $0 = true }
                try? plant.startWorkers([StageName.allCases])
            }
        }
        #expect(waited.withLock { $0 } && highest.withLock { $0 } == 4)
        try plant.startCompletion()
        try plant.wait(for: .completed, of: "s")
        #expect(try plant.export("s") == sampleBytes(60_000))
    }

    @Test("a session id is used once, and bad values are all named")
    func rejections() throws {
        let plant = try Plant(try LogKind.memory.open())
        try plant.record(sampleBytes(100), as: "s")
        do {
            try plant.record(sampleBytes(100), as: "s")
            Issue.record("the id was taken twice")
        } catch RecordingFailure.rejected(.exists) {}
        // In one append, so that no recorder can leave a session that nobody will ever stop.
        let opening = try plant.events(of: "s").prefix(5).map(\.type)
        #expect(
            opening == [
                "SessionCreated", "SessionStarted", "PipelineStateChanged", "SessionStarted",
                "PipelineStateChanged",
            ])
        do {
            try plant.record([1], as: "no spaces", codec: "rar", chunkBytes: 0)
            Issue.record("accepted")
        } catch let RecordingFailure.rejected(.invalid(violations)) {
            #expect(
                Set(violations.map(\.field)) == [
                    "session_id", "recording_config.compression", "capture.chunk_size_bytes",
                ])
        }
    }

    @Test("what cannot be recorded is refused by name")
    func sources() throws {
        let plant = try Plant(try LogKind.memory.open())
        let empty = plant.folder.appendingPathComponent("empty")
        try Data().write(to: empty)
        for (path, text) in [
            (plant.folder.path, "folder"), (empty.path, "empty"), ("/does/not/exist", "No such file"),
        ] {
            do throws(SourceFailure) {
                _ = try ByteSource.file(path)
                Issue.record("\(path) was accepted")
            } catch {
                #expect(error.isBadInput && error.text.contains(text) && error.source == path)
            }
        }
    }

    /// What somebody does to a file while it is recorded, and what is said of it.
    enum FileChange: CaseIterable {
        case filledAgain, filledAgainAndTimePutBack, grownAndTimePutBack, cutOffAndTimePutBack, timePutBack

        var said: Set<String> {
            switch self {
            case .filledAgain: ["mtime", "ctime"]
            case .filledAgainAndTimePutBack, .timePutBack: ["ctime"]
            case .grownAndTimePutBack, .cutOffAndTimePutBack: ["size", "ctime"]
            }
        }

        func make(at path: String) throws {
            var before = stat()
            try #require(stat(path, &before) == 0)
            let file = try #require(FileHandle(forUpdatingAtPath: path))
            defer { try? file.close() }
            switch self {
            case .filledAgain, .filledAgainAndTimePutBack:
                try file.truncate(atOffset: 0)
                try file.write(contentsOf: Data(repeating: 9, count: Int(before.st_size)))
            case .grownAndTimePutBack:
                try file.seekToEnd()
                try file.write(contentsOf: Data([9]))
            case .cutOffAndTimePutBack: try file.truncate(atOffset: UInt64(before.st_size) - 1)
            case .timePutBack: break
            }
            guard self != .filledAgain else { return }
            let times = [before.st_atim, before.st_mtim]
            try #require(times.withUnsafeBufferPointer { utimensat(AT_FDCWD, path, $0.baseAddress, 0) } == 0)
        }
    }

    @Test(
        "a file that was changed while it was recorded is incomplete, though its time of writing was put back",
        arguments: FileChange.allCases)
    func changedFile(_ change: FileChange) throws {
        let plant = try Plant(InMemoryEventLog(partitions: 1))
        let path = plant.folder.appendingPathComponent("source-s").path
        let isChanged = Lock(false)
        let damage = { (progress: RecordingProgress) in
            // Once, and when all of it is read: what is missing at its end is told in another way.
            guard progress.chunks == 4, !isChanged.withLock({ $0 }) else { return }
            isChanged.withLock { $0 = true }
            do { try change.make(at: path) } catch { Issue.record("\(error)") }
        }
        do {
            try plant.record(sampleBytes(4 * 4096), as: "s", progress: damage)
            Issue.record("it was called complete")
        } catch let RecordingFailure.failed(error, kept?) {
            let failure = try #require(error as? SourceFailure)
            let said = ["size", "mtime", "ctime"].filter { failure.text.contains($0) }
            #expect(Set(said) == change.said, "\(failure)")
            #expect(!failure.isBadInput && kept.chunks > 0)
        }
        #expect(isChanged.withLock { $0 })
        #expect(try plant.state(of: "s").incomplete)
    }

    @Test("a recording whose recorder vanished is stopped and completes", arguments: LogKind.allCases)
    func lostRecorder(_ kind: LogKind) throws {
        let plant = try Plant(try kind.open())
        try plant.startWorkers([StageName.allCases])
        try plant.startCompletion()
        let handler = CommandHandler(session: "s", store: try plant.log.open(), clock: SystemClock())
        let context = EventContext(source: "/reel/test", actor: .system("test"))
        for (number, command) in [
            SessionCommand.create(Plant.session("s", chunkBytes: 4096)), .start, .begin,
        ].enumerated() {
            try handler.handle(command, id: "test-\(number)", context: context)
        }
        final class Open: OpenSessions {
            func openSessions(limit: Int) -> [String] { ["s", "unknown"] }
        }
        let stop = StopSignal()
        let log = plant.log
        let liveness = try log.liveness()
        try liveness.beat(RecorderMark.name(ofSession: "s"), forMilliseconds: 60_000)
        let watch = try OwnThread(name: "watch") {
            try RecorderWatch(
                log: log, sessions: { Open() }, clock: SystemClock(), report: .silent, graceMilliseconds: 200
            ).run(stop: stop)
        }
        defer {
            stop.set()
            _ = watch.wait(milliseconds: 5000)
        }
        // While the mark is set nothing happens, for much longer than the grace.
        let until = ContinuousClock.now + .milliseconds(600)
        try eventually("the grace passed") { ContinuousClock.now > until }
        #expect(try plant.state(of: "s").status == .recording)
        try liveness.end(RecorderMark.name(ofSession: "s"))
        try plant.wait(for: .completed, of: "s")
        #expect(try plant.state(of: "s").incomplete)
        #expect(try plant.audit("s").isSound)
    }

    @Test(
        "a session that cannot be stopped, because its partition is halted, keeps no other from being stopped"
    )
    func haltedPartition() throws {
        let plant = try Plant(try LogKind.memory.open())
        let context = EventContext(source: "/reel/test", actor: .system("test"))
        for session in ["a-halted", "lost"] {
            let handler = CommandHandler(session: session, store: try plant.log.open(), clock: SystemClock())
            for command in [
                SessionCommand.create(Plant.session(session, chunkBytes: 4096)), .start, .begin,
            ] {
                try handler.handle(command, id: "\(session)-\(command)", context: context)
            }
        }
        final class Open: OpenSessions {
            func openSessions(limit: Int) -> [String] { ["a-halted", "lost"] }
        }
        let stop = StopSignal()
        let log = HaltedLog(plant.log, session: "a-halted")
        let watch = try OwnThread(name: "watch") {
            try RecorderWatch(
                log: log, sessions: { Open() }, clock: SystemClock(), report: .silent, graceMilliseconds: 200
            ).run(stop: stop)
        }
        defer {
            stop.set()
            _ = watch.wait(milliseconds: 5000)
        }
        try eventually("the other one is stopped") { try plant.state(of: "lost").status == .stopped }
        #expect(try plant.state(of: "a-halted").status == .recording)
    }
}

/// A log that refuses appends to one session, as if its partition were halted.
private final class HaltedLog: EventLog {
    private let inner: any EventLog
    private let session: String

    init(_ inner: any EventLog, session: String) { (self.inner, self.session) = (inner, session) }

    func open() throws(LogFailure) -> any EventStore { HaltedStore(try inner.open(), session) }
    func join(group: String, consumer: ConsumerName, types: Set<String>) throws(LogFailure)
        -> any CompetingSubscription
    { try inner.join(group: group, consumer: consumer, types: types) }
    func follow(after positions: [LogPosition]) throws(LogFailure) -> any OrderedFeed {
        try inner.follow(after: positions)
    }
    var level: FormatLevel { inner.level }
    func liveness() throws(LogFailure) -> any Liveness { try inner.liveness() }
    func checkpoints() throws(LogFailure) -> any CheckpointStore { try inner.checkpoints() }
    func leases() throws(LogFailure) -> any PartitionLeases { try inner.leases() }
    func orderedParking() throws(LogFailure) -> any OrderedParking { try inner.orderedParking() }
    func index(_ name: String) throws(LogFailure) -> any LogIndex { try inner.index(name) }
    var liftings: Int { inner.liftings }
}

private final class HaltedStore: EventStore {
    private let inner: any EventStore
    private let session: String

    init(_ inner: any EventStore, _ session: String) { (self.inner, self.session) = (inner, session) }

    var partitioning: Partitioning { inner.partitioning }
    var level: FormatLevel { inner.level }

    func append(_ batches: [AppendBatch]) throws(LogFailure) -> [AppendOutcome] {
        guard !batches.contains(where: { $0.partitionKey == session }) else {
            throw LogFailure(.lostHistory, operation: "append", key: session, text: "halted")
        }
        return try inner.append(batches)
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

/// Kept keys whose server is away some times.
private final class AwayKeys: KeyArchive {
    private struct Away: TransientFailure { let remedy = Remedy.time }

    private let inner: any KeyArchive
    private let left: Lock<Int>

    init(inner: any KeyArchive, times: Int) {
        self.inner = inner
        left = Lock(times)
    }

    func open() throws -> any KeyRecords {
        let before = left.withLock { times in
            defer { times = max(0, times - 1) }
            return times
        }
        if before > 0 { throw Away() }
        return try inner.open()
    }
}
