import ChunkFiles
import Engine
import Base
import EventSourcing
import Pipeline
import Recording
import SessionContent
import Simulation
import Supervision
import TestServers
import Testing
import Files

/// A stage that has to wait for long, and can do its work then.
private final class Patient: Stage, Sendable {
    let name = "patient"
    let consumes: Set<String> = ["Sampled"]
    let handled = Lock(0)

    func handle(_ delivery: Delivery) -> StageOutcome {
        let count = handled.withLock { count in
            count += 1
            return count
        }
        return count < 80 ? .wait(milliseconds: 0, reason: "not yet") : .done([])
    }
    func settled(_ delivery: Delivery, appended: Bool) {}
    func resultID(of delivery: Delivery) -> String? { nil }
}

@Suite("Holds")
struct HoldTests {
    private func types(_ plant: Plant, _ session: String) throws -> Set<String> {
        Set(try plant.events(of: session).map(\.type).filter { $0.hasPrefix("Chunk") })
    }

    @Test("a hold says since when, by whom, and how much waits; a rest is none")
    func says() throws {
        let plant = try Plant(InMemoryEventLog(partitions: 1))
        try plant.record(
            sampleBytes(9000), as: "s",
            progress: { progress in
                guard progress.chunks == 1 else { return }
                do {
                    #expect(try ProcessingHold(ofSession: "s", in: plant.log.open()) == nil)
                    try plant.command(.pause, on: "s")
                    #expect(try ProcessingHold(ofSession: "s", in: plant.log.open()) == nil)
                    try plant.command(.resume, on: "s")
                    try plant.command(.pipeline(.pause), on: "s")
                } catch { Issue.record(error) }
            })
        // Its stop has ended the hold.
        #expect(try ProcessingHold(ofSession: "s", in: plant.log.open()) == nil)
        let events = try plant.events(of: "s")
        let place = try #require(events.lastIndex { $0.type == "SessionStopped" })
        let store = CutStore(events: Array(events[..<place]))
        let hold = try #require(try ProcessingHold(ofSession: "s", in: store))
        let pause = try #require(
            events[..<place].last {
                $0.type == "PipelineStateChanged"
                    && String(decoding: $0.data, as: UTF8.self).contains("\"pause\"")
            })
        #expect(hold.since == pause.time && hold.by == pause.context.actor)
        #expect(hold.waitingChunks == 3)
    }

    @Test(
        "a paused pipeline holds back its own chunks, in every process and over restarts, and loses nothing",
        arguments: LogKind.allCases)
    func holds(_ kind: LogKind) throws {
        let plant = try Plant(try kind.open())
        let bytes = sampleBytes(30_000)
        try plant.startCompletion()
        var visited = false
        try plant.record(
            bytes, as: "held",
            progress: { progress in
                guard progress.chunks == 3, !visited else { return }
                visited = true
                do {
                    try plant.command(.pipeline(.pause), on: "held")
                    for life in 1...2 {
                        // Two processes; those of the second life know nothing of the pause but from the log.
                        let single = try Plant(plant.log, sharing: plant)
                        let chained = try Plant(plant.log, sharing: plant)
                        defer { withExtendedLifetime((single, chained)) {} }
                        try single.startWorkers(StageName.allCases.map { [$0] }, gate: try single.startGate())
                        try chained.startWorkers([StageName.allCases], gate: try chained.startGate())
                        for number in 1...3 {
                            try plant.record(sampleBytes(9000), as: "free-\(life)-\(number)")
                            try plant.wait(for: .completed, of: "free-\(life)-\(number)")
                        }
                        #expect(try types(plant, "held") == ["ChunkRecorded"])
                        guard life == 2 else { continue }
                        try plant.command(.pipeline(.resume), on: "held")
                        try eventually("what waited goes on") {
                            try plant.state(of: "held").merkleHashes.count == 3
                        }
                        // Paused once more; the end of the recording ends that too.
                        try plant.command(.pipeline(.pause), on: "held")
                    }
                } catch { Issue.record("\(error)") }
            })
        #expect(visited)
        try plant.startWorkers([StageName.allCases], gate: try plant.startGate())
        try plant.wait(for: .completed, of: "held")
        #expect(try plant.export("held") == bytes)
        #expect(try plant.audit("held").isSound)
        #expect(try types(plant, "held").contains("ChunkFailed") == false)
    }

    @Test("a session is looked up once, and followed from then on", arguments: LogKind.allCases)
    func follows(_ kind: LogKind) throws {
        let plant = try Plant(try kind.open())
        try plant.record(sampleBytes(100), as: "old")
        try plant.command(.create(Plant.session("new", chunkBytes: 4096)), on: "new")
        let gate = try plant.startGate()
        let store = CountingStore(try plant.log.open())
        // Before it follows the log it looks every time.
        try eventually("it is known") {
            let before = store.loads
            let answer = try gate.answer(for: "old", store)
            return answer == .open && store.loads == before
        }
        #expect(try gate.answer(for: "new", store) == .open)
        for command in [SessionCommand.start, .begin, .pipeline(.pause)] {
            try plant.command(command, on: "new")
        }
        let before = store.loads
        try eventually("it is held") { try gate.answer(for: "new", store) == .held }
        try plant.command(.pause, on: "new")
        try plant.command(.resume, on: "new")
        #expect(try gate.answer(for: "new", store) == .held)
        try plant.command(.pipeline(.resume), on: "new")
        try eventually("it goes on") { try gate.answer(for: "new", store) == .open }
        try plant.command(.pause, on: "new")
        try plant.command(.stop(.requested, incomplete: false), on: "new")
        #expect(try gate.answer(for: "new", store) == .open)
        try plant.command(.delete(tagCounts: false), on: "new")
        try eventually("it is gone") { try gate.answer(for: "new", store) == .over }
        #expect(store.loads == before)
        // One that another process finds that way.
        #expect(try Plant(plant.log).startGate().answer(for: "new", store) == .over)
    }

    @Test("pauses that come while a session is looked up are not missed")
    func races() throws {
        let log = InMemoryEventLog()
        let plant = try Plant(log)
        try plant.command(.create(Plant.session("s", chunkBytes: 4096)), on: "s")
        try plant.command(.start, on: "s")
        try plant.command(.begin, on: "s")
        for round in 1...12 {
            let (gate, stop) = (ProcessingGate(log: log, report: .silent), StopSignal())
            let following = try OwnThread(name: "gate") { try gate.run(stop: stop) }
            let isHeld = round.isMultiple(of: 2)
            try concurrently(3) { number in
                let store = try log.open()
                if number == 0 {
                    try Plant.command(.pipeline(isHeld ? .resume : .pause), on: "s", in: store)
                }
                for _ in 0..<20 { _ = try gate.answer(for: "s", store) }
            }
            let store = try log.open()
            try eventually("round \(round) ends right") {
                try gate.answer(for: "s", store) == (isHeld ? .open : .held)
            }
            stop.set()
            _ = following.wait(milliseconds: 10_000)
        }
    }

    @Test("a pause that the log tells of during a look, whose page is older, counts")
    func lateLook() throws {
        let log = InMemoryEventLog(partitions: 1)
        let plant = try Plant(log)
        for session in ["s", "probe"] {
            for command in [SessionCommand.create(Plant.session(session, chunkBytes: 4096)), .start, .begin] {
                try plant.command(command, on: session)
            }
        }
        let gate = try plant.startGate()
        let probe = CountingStore(try log.open())
        func isKnown() throws -> Bool {
            let before = probe.loads
            _ = try gate.answer(for: "probe", probe)
            return probe.loads == before
        }
        try eventually("it follows the log") { try isKnown() }
        let slow = SlowStore(try log.open()) {
            try plant.command(.pipeline(.pause), on: "s")
            // What comes behind the pause in the partition is known: so is the pause.
            try plant.command(.pipeline(.pause), on: "probe")
            try eventually("the log has told") { try gate.answer(for: "probe", probe) == .held }
        }
        #expect(try gate.answer(for: "s", slow) == .held)
        #expect(slow.isDone)
        #expect(try gate.answer(for: "s", try log.open()) == .held)
    }

    @Test("waiting is no failure, however often", arguments: LogKind.allCases)
    func patience(_ kind: LogKind) throws {
        let log = try kind.open()
        _ = try log.open().append([SampleEvents.event("e", number: 1)], to: "s", expecting: .any)
        let (stage, stop) = (Patient(), StopSignal())
        let parked = Lock(0)
        let thread = try OwnThread(name: "worker") {
            try StageWorker(
                stage: stage, log: log, consumer: ConsumerName(instance: "i", number: 0),
                policy: RetryPolicy(), clock: SystemClock(), report: .silent
            ) { _, _ in
                parked.withLock { $0 += 1 }
                return []
            }.run(stop: stop)
        }
        try eventually("it is done") {
            stage.handled.withLock { $0 } == 80 || parked.withLock { $0 } > 0
        }
        stop.set()
        _ = thread.wait(milliseconds: 10_000)
        #expect(parked.withLock { $0 } == 0)
    }

    @Test("what is left to do for a deleted session is dropped", arguments: LogKind.allCases)
    func drops(_ kind: LogKind) throws {
        let plant = try Plant(try kind.open())
        try plant.record(sampleBytes(20_000), as: "s")
        try plant.command(.delete(tagCounts: false), on: "s")
        let image = ScratchBuffer()
        image.append([1, 2, 3])
        // A worker died between writing a file and telling of it.
        _ = try image.withBytes { try plant.vault.chunks.store($0, session: "s", sequence: 2) }
        try plant.startWorkers([StageName.allCases], gate: try plant.startGate())
        try eventually("the spool is empty") { try plant.vault.spool.sequences(session: "s").isEmpty }
        try eventually("no file is left") { try plant.vault.chunks.list(session: "s").files.isEmpty }
        #expect(try types(plant, "s") == ["ChunkRecorded"])
    }
}

/// A store whose first page is old by the time that it is handed out.
private final class SlowStore: EventStore {
    private let inner: any EventStore
    private let meanwhile: () throws -> Void
    private(set) var isDone = false

    init(_ inner: any EventStore, _ meanwhile: @escaping () throws -> Void) {
        (self.inner, self.meanwhile) = (inner, meanwhile)
    }

    var partitioning: Partitioning { inner.partitioning }
    var level: FormatLevel { inner.level }

    func append(_ batches: [AppendBatch]) throws(LogFailure) -> [AppendOutcome] { try inner.append(batches) }
    func load(_ key: String, after sequence: UInt64, limit: Int) throws(LogFailure) -> [RecordedEvent] {
        let page = try inner.load(key, after: sequence, limit: limit)
        guard !isDone else { return page }
        isDone = true
        do { try meanwhile() } catch { Issue.record("\(error)") }
        return page
    }
    func version(of key: String) throws(LogFailure) -> UInt64 { try inner.version(of: key) }
    func read(after position: LogPosition, limit: Int) throws(LogFailure) -> [RecordedEvent] {
        try inner.read(after: position, limit: limit)
    }
    func end(of partition: Int) throws(LogFailure) -> LogPosition { try inner.end(of: partition) }
}

/// A store that counts how often histories are read.
final class CountingStore: EventStore {
    private let inner: any EventStore
    private(set) var loads = 0

    init(_ inner: any EventStore) { self.inner = inner }

    var partitioning: Partitioning { inner.partitioning }
    var level: FormatLevel { inner.level }

    func append(_ batches: [AppendBatch]) throws(LogFailure) -> [AppendOutcome] { try inner.append(batches) }
    func load(_ key: String, after sequence: UInt64, limit: Int) throws(LogFailure) -> [RecordedEvent] {
        loads += 1
        return try inner.load(key, after: sequence, limit: limit)
    }
    func version(of key: String) throws(LogFailure) -> UInt64 { try inner.version(of: key) }
    func read(after position: LogPosition, limit: Int) throws(LogFailure) -> [RecordedEvent] {
        try inner.read(after: position, limit: limit)
    }
    func end(of partition: Int) throws(LogFailure) -> LogPosition { try inner.end(of: partition) }
}

/// A log that ends somewhere.
private final class CutStore: EventStore {
    let partitioning: Partitioning
    let level = FormatLevel.newest
    private let events: [RecordedEvent]

    init(events: [RecordedEvent]) {
        self.events = events
        partitioning = Partitioning(count: 1) ?? Self.one
    }

    private static let one = InMemoryEventLog(partitions: 1).partitioning

    func append(_ batches: [AppendBatch]) throws(LogFailure) -> [AppendOutcome] { [] }
    func load(_ key: String, after sequence: UInt64, limit: Int) throws(LogFailure) -> [RecordedEvent] {
        Array(events.filter { $0.partitionKey == key && $0.sequence > sequence }.prefix(limit))
    }
    func version(of key: String) throws(LogFailure) -> UInt64 { UInt64(events.count) }
    func read(after position: LogPosition, limit: Int) throws(LogFailure) -> [RecordedEvent] {
        Array(events.filter { $0.position > position }.prefix(limit))
    }
    func end(of partition: Int) throws(LogFailure) -> LogPosition { .start(of: partition) }
}
