import ChunkFiles
import Engine
import Base
import EventSourcing
import Foundation
import Pipeline
import Recording
import RedisLog
import Simulation
import Supervision
import TestServers
import Testing

/// Fails at everything, as a worker does that comes too late.
private final class Failing: Stage {
    let name = "failing"
    let consumes: Set<String> = ["Sampled"]

    func handle(_ delivery: Delivery) -> StageOutcome { .failed(errors: ["it is gone"]) }
    func settled(_ delivery: Delivery, appended: Bool) {}
    func resultID(of delivery: Delivery) -> String? { "\(delivery.event.id)/done" }
}

/// Lines that a role wrote.
private final class Lines: Sendable {
    private let lines = Shared<[String]>([])
    var report: RoleLog { RoleLog { [lines] level, text in lines.change { $0.append("\(level) \(text)") } } }
    func count(_ part: String) -> Int { lines.value.count { $0.contains(part) } }
}

/// What an entry that cannot be read does to those who work on its session, and to others: nothing.
@Suite("Sessions with unreadable entries", .timeLimit(.minutes(10)))
struct UnreadableSessionTests {
    private func entries(_ plant: Plant, _ session: String) throws -> [RecordedEvent] {
        var events: [RecordedEvent] = []
        try plant.log.open().forEachEntry(of: session) { if let event = $0.event { events.append(event) } }
        return events
    }

    @Test(
        "pages give everything in its place, whatever their size",
        arguments: LogKind.allCases, Spoiling.allCases)
    func pages(_ kind: LogKind, _ spoiling: Spoiling) throws {
        let log = try kind.open(partitions: 1)
        let store = try log.open()
        for number in 1...23 {
            _ = try store.append([SampleEvents.event("e\(number)", number: number)], to: "s", expecting: .any)
        }
        let places = try store.load("s", after: 0, limit: 100).map(\.position)
        let bad = [1, 7, 8, 23]
        for number in bad { try log.spoil(places[number - 1], spoiling) }
        for limit in [1, 2, 3, 7, 22, 23, 24, 500] {
            for byPlace in [false, true] {
                var found: [LogEntry] = []
                var isLast = false
                while !isLast {
                    let page =
                        byPlace
                        ? try store.entries(after: found.last?.position ?? .start(of: 0), limit: limit)
                        : try store.entries(of: "s", after: found.last?.sequence ?? 0, limit: limit)
                    #expect(page.entries.count == limit || page.isLast)
                    found += page.entries
                    isLast = page.isLast
                }
                #expect(found.map(\.position) == places)
                let holes = found.indices.filter { found[$0].event == nil }.map { $0 + 1 }
                #expect(holes == bad, "limit \(limit)")
                if !byPlace { #expect(found.map(\.sequence) == (1...23).map { UInt64($0) }) }
            }
        }
        #expect(try store.entries(of: "s", after: 9, limit: 3).entries.map(\.sequence) == [10, 11, 12])
        #expect(try store.entries(of: "s", after: 23, limit: 3).entries.isEmpty)
    }

    @Test(
        "its chunks are worked on, what fails is parked with its reason, and others go on",
        arguments: LogKind.allCases, Spoiling.allCases)
    func workers(_ kind: LogKind, _ spoiling: Spoiling) throws {
        let plant = try Plant(try kind.open(partitions: 2))
        try plant.record(sampleBytes(20_000), as: "bad")
        let events = try plant.events(of: "bad")
        let chunks = events.filter { $0.type == "ChunkRecorded" }
        // The session began here: whoever asks whether it is paused reads over it.
        let bad = events[1].position
        try plant.log.spoil(bad, spoiling)
        let spool = plant.vault.spool
        func path(_ number: Int) throws -> String {
            try spool.file(number, of: "bad")
        }
        try Data([1, 2, 3]).write(to: URL(fileURLWithPath: path(2)))
        try FileManager.default.removeItem(atPath: path(4))
        try plant.startCompletion()
        let gate = try plant.startGate()
        try plant.startWorkers([StageName.allCases], gate: gate)
        try eventually("what fails is parked") {
            try plant.log.parked(group: "compress").count >= 3
                && entries(plant, "bad").count { $0.type == "ChunkStored" } >= 3
        }
        let parked = try plant.log.parked(group: "compress")
        #expect(Set(parked.keys) == [bad, chunks[1].position, chunks[3].position])
        #expect(parked[chunks[3].position]?.errors.last?.contains("\(bad)") == true)
        let found = try entries(plant, "bad").compactMap { try RecordingEvent($0) }
        var (stored, failed): ([Int], [Int]) = ([], [])
        for case .chunk(let chunk) in found {
            if case .stored(let sealed) = chunk { stored.append(sealed.chunk.sequenceNumber) }
            if case .failed(let reference, _, _, _) = chunk { failed.append(reference.sequenceNumber) }
        }
        #expect(stored.sorted() == [1, 3, 5])
        #expect(failed.sorted() == [2, 4])
        // The same worker goes on with others.
        try plant.record(sampleBytes(9000, seed: 2), as: "good")
        try plant.wait(for: .completed, of: "good")
    }

    @Test("one that was taken out of the stream holds up its own session alone")
    func takenOut() throws {
        let log = try #require(try LogKind.redis.open(partitions: 1) as? RedisEventLog)
        let plant = try Plant(log)
        // Stopped before anything is worked on: what could close it stands before what cannot be read.
        try plant.record(sampleBytes(9000), as: "bad")
        try plant.startWorkers([StageName.allCases], gate: try plant.startGate())
        try eventually("everything is stored") { try plant.state(of: "bad").isEverythingStored }
        let events = try plant.events(of: "bad")
        let place = try #require(events.firstIndex { $0.type == "ChunkSealed" })
        try TestRedis.shared.run(
            "EVAL", "redis.call('SELECT', ARGV[1]) return redis.call('XDEL', ARGV[2], ARGV[3])", "0",
            "\(log.address.first.database)", "reel:{p000}:log", events[place].position.entryID)
        let page = try log.open().entries(of: "bad", after: 0, limit: 500)
        #expect(page.entries.map(\.position) == events.map(\.position))
        #expect(page.entries.indices.filter { page.entries[$0].event == nil } == [place])
        // What is gone halts its partition, until somebody accepts that.
        #expect(try log.halts().lift(0, by: "anna", because: "test") != nil)
        try log.halts().refresh()
        try plant.startCompletion()
        try plant.record(sampleBytes(9000, seed: 2), as: "good")
        try plant.wait(for: .completed, of: "good")
        let shelf = log.parkedEvents()
        try eventually("it is parked") { try shelf.list(group: "completion").count == 1 }
        let parked = try shelf.list(group: "completion")
        #expect(parked.map(\.position) == [events[place + 1].position])
        #expect(parked[0].reason.errors.contains { $0.contains("\(events[place].position)") })
        // Asked to try again it is parked again, and the others go on all the same.
        #expect(try shelf.retry(subscription: "completion", parked[0].position) == .done)
        try eventually("it was tried") {
            try log.orderedParking().heldBack("completion", in: 0).keys.map(\.isRetryAsked) == [false]
        }
        try plant.record(sampleBytes(9000, seed: 3), as: "better")
        try plant.wait(for: .completed, of: "better")
    }

    @Test("what was done by somebody else is not given up, and what was not is", arguments: [true, false])
    func late(_ isDone: Bool) throws {
        let log = InMemoryEventLog(partitions: 1)
        let store = try log.open()
        for id in ["e1", "e2", isDone ? "e1/done" : "other"] {
            _ = try store.append([SampleEvents.event(id, number: 1)], to: "s", expecting: .any)
        }
        log.spoil(log.allEvents()[1].position, .wholly)
        let stop = StopSignal()
        let thread = try OwnThread(name: "worker") {
            try StageWorker(
                stage: Failing(), log: log, consumer: ConsumerName(instance: "i", number: 0),
                policy: RetryPolicy(baseMilliseconds: 1), clock: SystemClock(), report: .silent
            ) { delivery, _ in
                guard delivery.event.id == "e1" else { return [] }
                return [SampleEvents.event("e1/failed", number: 1)]
            }.run(stop: stop)
        }
        try eventually("it is settled") {
            log.pendingCount(group: "failing") == 0 && log.behindCount(group: "failing") == 0
        }
        stop.set()
        try thread.join()
        let first = log.allEvents()[0].position
        #expect((log.parked(group: "failing")[first]?.errors == ["it is gone"]) == !isDone)
        #expect(log.allEvents().contains { $0.id == "e1/failed" } == !isDone)
    }

    @Test(
        "whether it is paused or deleted is told by what can be read of it",
        arguments: LogKind.allCases, Spoiling.allCases)
    func gate(_ kind: LogKind, _ spoiling: Spoiling) throws {
        let plant = try Plant(try kind.open(partitions: 2))
        let lines = Lines()
        let (log, stop) = (plant.log, StopSignal())
        let gate = ProcessingGate(log: log, report: lines.report)
        let following = try OwnThread(name: "gate") { try gate.run(stop: stop) }
        defer {
            stop.set()
            _ = following.wait(milliseconds: 10_000)
        }
        for session in ["s", "t"] {
            for command in [SessionCommand.create(Plant.session(session, chunkBytes: 4096)), .start, .begin] {
                try plant.command(command, on: session)
            }
        }
        let store = CountingStore(try log.open())
        func answer(_ session: String) throws -> GateAnswer { try gate.answer(for: session, store) }
        // Not before it follows the log does the gate know anything without a look.
        try eventually("both are known") {
            let before = store.loads
            return try answer("s") == .open && answer("t") == .open && store.loads == before
        }
        let bad = try log.addUnreadable(to: "s", spoiling)
        try eventually("it goes on behind it") { lines.count("\(bad)") == 1 }
        #expect(try answer("s") == .open)
        let pause = try #require(PipelineStep(sessionID: "s", from: .active, .pause))
        _ = try store.append([event(.pipeline(pause))], to: "s", expecting: .any)
        try eventually("a pause behind it counts") { try answer("s") == .held }
        try plant.command(.pipeline(.pause), on: "t")
        try eventually("others are followed") { try answer("t") == .held }
        // One that never followed has it from the history.
        let other = ProcessingGate(log: log, report: .silent)
        #expect(try other.answer(for: "s", store) == .held)
        _ = try store.append([event(.session(.deleted(sessionID: "s")))], to: "s", expecting: .any)
        try eventually("it is deleted") { try answer("s") == .over }
        #expect(try other.answer(for: "s", store) == .over)
        #expect(lines.count("\(bad)") == 1)
        #expect(lines.count("trying again") == 0)
    }

    private func event(_ fact: RecordingEvent) throws -> ProposedEvent {
        try ProposedEvent(
            fact, id: UUID().uuidString, time: SystemClock().now(),
            context: EventContext(source: "/test", actor: .system("test")), at: .newest)
    }

    @Test(
        "what is late of a deleted one is removed when all of it can be read, and nothing of one that lives",
        arguments: Spoiling.allCases)
    func removal(_ spoiling: Spoiling) throws {
        let log = InMemoryEventLog(partitions: 1)
        let plant = try Plant(log)
        try plant.startWorkers([StageName.allCases])
        for session in ["dead", "alive"] {
            try plant.record(sampleBytes(5000), as: session)
            try eventually("it is stored") { try plant.state(of: session).isEverythingStored }
        }
        try plant.command(.delete(tagCounts: false), on: "dead")
        var late: [RecordedEvent] = []
        var spoilt: [LogPosition] = []
        for session in ["dead", "alive"] {
            let events = try plant.events(of: session)
            late.append(try #require(events.last { $0.type == "ChunkStored" }))
            spoilt.append(events[1].position)
            log.spoil(events[1].position, spoiling)
        }
        let handler = SessionRemoval(
            SessionRemoval.Places(plant.vault, passwords: nil), clock: SystemClock(), report: .silent)
        func files(_ session: String) throws -> [Int] {
            try plant.vault.chunks.list(session: session).files.map(\.sequenceNumber)
        }
        // What cannot be read may be that a case holds it.
        #expect(throws: (any Error).self) { try handler.handle(late, try log.open()) }
        #expect(try files("dead") == [1, 2])
        log.spoil(spoilt[0], nil)
        try handler.handle(late, try log.open())
        #expect(try files("dead") == [1])
        #expect(try files("alive") == [1, 2])
    }

    @Test(
        "its spool is emptied when it is over and all of it can be read, and not before",
        arguments: Spoiling.allCases)
    func sweep(_ spoiling: Spoiling) throws {
        let log = InMemoryEventLog(partitions: 1)
        let plant = try Plant(log)
        for session in ["over", "open", "good", "garbled"] {
            try plant.record(sampleBytes(5000), as: session)
            if ["over", "good"].contains(session) {
                try plant.command(.delete(tagCounts: false), on: session)
            }
        }
        let place = try plant.events(of: "over")[1].position
        log.spoil(place, spoiling)
        log.spoil(try plant.events(of: "open")[1].position, spoiling)
        // Of what is not understood nobody knows that it is over.
        _ = try log.open().append([SampleEvents.event("x", number: 1)], to: "garbled", expecting: .any)
        let (spool, stop, lines) = (plant.vault.spool, StopSignal(), Lines())
        let thread = try OwnThread(name: "sweep") {
            try SpoolSweep(spool: spool, log: log, report: lines.report, pauseMilliseconds: 20)
                .run(stop: stop)
        }
        // Of two sweeps the second began when the first had gone through all.
        try eventually("what is over goes") {
            try !spool.sessions().contains("good") && lines.count("session=over") >= 2
        }
        #expect(try Set(spool.sessions()) == ["over", "open", "garbled"])
        #expect(lines.count("\(place)") >= 2)
        log.spoil(place, nil)
        try eventually("it goes when it can be read") { try Set(spool.sessions()) == ["open", "garbled"] }
        stop.set()
        try thread.join()
        #expect(try spool.sequences(session: "open") == [1, 2])
    }
}
