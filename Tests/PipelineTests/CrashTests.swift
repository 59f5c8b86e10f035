import Base
import EventSourcing
import Foundation
import Pipeline
import Recording
import SessionContent
import TestServers
import Testing

/// A log whose appends fail now and then: before they reach the log, or after it, so that the caller can't
/// tell. That is what a worker sees that dies, or loses its connection, at that moment.
final class FailingLog: EventLog {
    private let inner: any EventLog
    private let chance: Double
    private let generator: Lock<UInt64>

    init(_ inner: any EventLog, chance: Double, seed: UInt64) {
        self.inner = inner
        self.chance = chance
        generator = Lock(seed | 1)
    }

    fileprivate func fails() -> Bool {
        generator.withLock { state in
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Double(state % 1000) < chance * 1000
        }
    }

    func open() throws(LogFailure) -> any EventStore { FailingStore(try inner.open(), self) }
    func join(group: String, consumer: ConsumerName, types: Set<String>) throws(LogFailure)
        -> any CompetingSubscription
    { try inner.join(group: group, consumer: consumer, types: types) }
    func follow(after positions: [LogPosition]) throws(LogFailure) -> any OrderedFeed {
        try inner.follow(after: positions)
    }
    var level: FormatLevel { inner.level }
    func liveness() throws(LogFailure) -> any Liveness { try inner.liveness() }
    func checkpoints() throws(LogFailure) -> any CheckpointStore { try inner.checkpoints() }
    func orderedParking() throws(LogFailure) -> any OrderedParking { try inner.orderedParking() }
    func index(_ name: String) throws(LogFailure) -> any LogIndex { try inner.index(name) }
    var liftings: Int { inner.liftings }
    func leases() throws(LogFailure) -> any PartitionLeases { try inner.leases() }
}

private final class FailingStore: EventStore {
    private let inner: any EventStore
    private let log: FailingLog

    init(_ inner: any EventStore, _ log: FailingLog) {
        self.inner = inner
        self.log = log
    }

    var partitioning: Partitioning { inner.partitioning }
    var level: FormatLevel { inner.level }

    func append(_ batches: [AppendBatch]) throws(LogFailure) -> [AppendOutcome] {
        let lost = LogFailure(.unreachable, operation: "append", key: "test", text: "the connection broke")
        if log.fails() { throw lost }
        let outcomes = try inner.append(batches)
        if log.fails() { throw lost }
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

@Suite("Crashes")
struct CrashTests {
    @Test("appends of unknown outcome lose and repeat nothing", arguments: LogKind.allCases)
    func unknownOutcomes(_ kind: LogKind) throws {
        let seed = UInt64.random(in: 1...UInt64.max)
        let plant = try Plant(try kind.open())
        let failing = FailingLog(plant.log, chance: 0.15, seed: seed)
        try plant.startWorkers(
            StageName.chains(of: Set(StageName.allCases))
                + StageName.chains(of: Set(StageName.allCases), chaining: false), log: failing)
        try plant.startCompletion()
        let bytes = sampleBytes(100_000, seed: seed)
        // Making the session fails at once when the log is away; only what runs is waited out.
        var summary: RecordingSummary?
        var id = ""
        for attempt in 0..<50 where summary == nil {
            id = "s\(attempt)"
            summary = try? plant.record(bytes, as: id, log: failing)
        }
        let recorded = try #require(summary, "seed \(seed)")
        #expect(recorded.bytes == bytes.count)
        try plant.wait(for: .completed, of: id)
        #expect(try plant.export(id) == bytes, "seed \(seed)")
        #expect(try plant.audit(id).isSound, "seed \(seed)")
        let events = try plant.events(of: id)
        _ = try ChainingTests.outcome(of: events)
        for type in ["ChunkRecorded", "ChunkCompressed", "ChunkSealed", "ChunkValidated", "ChunkStored"] {
            #expect(events.count { $0.type == type } == recorded.chunks, "\(type), seed \(seed)")
        }
    }

    @Test("a worker that wakes up late adopts the file that is there")
    func lateWorker() throws {
        let plant = try Plant(try LogKind.memory.open())
        try plant.record(sampleBytes(3000), as: "s")
        let event = try #require(try plant.events(of: "s").first { $0.type == "ChunkRecorded" })
        let delivery = Delivery(event: event, attempt: 1)
        func stage() throws -> ChunkStage {
            try ChunkStage(
                chain: StageName.allCases, log: plant.log, vault: plant.vault, levels: [:],
                clock: SystemClock())
        }
        let (early, late) = (try stage(), try stage())
        guard case .done(let first) = early.handle(delivery), case .done(let second) = late.handle(delivery)
        else {
            Issue.record("the stages failed")
            return
        }
        let store = try plant.log.open()
        _ = try store.append(second, to: "s", expecting: .any)
        late.settled(delivery, appended: true)
        // The early worker comes back: its events are refused or the same, and its file is the one there.
        _ = try store.append(first, to: "s", expecting: .any)
        early.settled(delivery, appended: false)
        try plant.startCompletion()
        try plant.wait(for: .completed, of: "s")
        #expect(try plant.audit("s").isSound)
        #expect(try plant.export("s") == sampleBytes(3000))
        // A redelivery after the spool was emptied has nothing left to do.
        guard case .done(let third) = try stage().handle(delivery) else {
            Issue.record("a redelivery of a stored chunk failed")
            return
        }
        #expect(third.isEmpty)
    }

    @Test("what an attempt of unknown outcome handed over stays for the next stage")
    func unansweredHandover() throws {
        let plant = try Plant(try LogKind.memory.open())
        try plant.record(sampleBytes(3000), as: "s")
        let event = try #require(try plant.events(of: "s").first { $0.type == "ChunkRecorded" })
        let delivery = Delivery(event: event, attempt: 1)
        let compress = try ChunkStage(
            chain: [.compress], log: plant.log, vault: plant.vault, levels: [:], clock: SystemClock())
        guard case .done(let first) = compress.handle(delivery) else {
            Issue.record("the stage failed")
            return
        }
        // The log has it, but the worker does not learn that, and does the work once more.
        _ = try plant.log.open().append(first, to: "s", expecting: .any)
        guard case .done(let second) = compress.handle(delivery) else {
            Issue.record("the stage failed")
            return
        }
        guard case .idTaken = try plant.log.open().append(second, to: "s", expecting: .any) else {
            Issue.record("the second attempt was taken")
            return
        }
        compress.settled(delivery, appended: false)
        try plant.startWorkers([[.encrypt, .validate, .store]])
        try plant.startCompletion()
        try plant.wait(for: .completed, of: "s")
        #expect(try plant.export("s") == sampleBytes(3000))
    }

    @Test("a truncated spool file is parked by name, and other sessions go on")
    func truncatedSpool() throws {
        let plant = try Plant(try LogKind.redis.open())
        try plant.record(sampleBytes(9000), as: "bad")
        let path = try plant.vault.spool.file(2, of: "bad")
        try Data([1, 2, 3]).write(to: URL(fileURLWithPath: path))
        try plant.startWorkers([StageName.allCases])
        try plant.startCompletion()
        try plant.record(sampleBytes(9000), as: "good")
        try plant.wait(for: .completed, of: "good")
        try eventually("the chunk is given up") { try plant.state(of: "bad").failures[2] != nil }
        let error = try plant.state(of: "bad").failures[2] ?? ""
        #expect(error.contains("00000002.raw") && error.contains("3") && error.contains("4096"), "\(error)")
        #expect(try plant.state(of: "bad").status == .processing)
        #expect(try plant.state(of: "bad").merkleHashes.count == 2)
    }
}
