import Engine
import Base
import EventSourcing
import Foundation
import Pipeline
import RedisLog
import Simulation
import Supervision
import TestServers
import Testing

/// Takes events down in the order in which they were handled, and fails on one of them until it is mended.
private final class Diary: OrderedHandler {
    struct Poison: EventFailure {
        let position: LogPosition?
    }

    /// What several diaries, one after the other, have handled.
    final class Pages: Sendable {
        private let state = Lock<([String: [UInt64]], poison: String?, tries: Int)>(([:], nil, 0))

        init(poison: String) { state.withLock { $0.poison = poison } }

        var poison: String? { state.withLock { $0.poison } }
        var tries: Int { state.withLock { $0.tries } }
        func mend() { state.withLock { $0.poison = nil } }
        func sequences(of key: String) -> [UInt64] { state.withLock { $0.0[key] ?? [] } }

        fileprivate func take(_ event: RecordedEvent) throws {
            try state.withLock { state in
                if event.id == state.poison {
                    state.tries += 1
                    throw Poison(position: event.position)
                }
                // A repeated event has no further effect.
                guard event.sequence > state.0[event.partitionKey]?.last ?? 0 else { return }
                state.0[event.partitionKey, default: []].append(event.sequence)
            }
        }
    }

    let name = "diary"
    let pages: Pages

    init(_ pages: Pages) { self.pages = pages }

    func handle(_ events: [RecordedEvent], _ store: any EventStore) throws {
        for event in events { try pages.take(event) }
    }
    func reset() {}
}

/// A stage that never succeeds.
private final class Hopeless: Stage {
    let name = "hopeless"
    let consumes: Set<String> = ["Sampled"]
    let handled = Lock(0)

    func handle(_ delivery: Delivery) -> StageOutcome {
        handled.withLock { $0 += 1 }
        return .failed(errors: ["it cannot be done", "there is no way"])
    }
    func settled(_ delivery: Delivery, appended: Bool) {}
    func resultID(of delivery: Delivery) -> String? { "\(delivery.event.id)/done" }
}

@Suite("Parking")
struct ParkingTests {
    private func append(_ log: any EventLog, _ key: String, _ numbers: ClosedRange<Int>) throws {
        let store = try log.open()
        for number in numbers {
            let event = SampleEvents.event("\(key)-\(number)", number: number)
            _ = try store.append([event], to: key, expecting: .any)
        }
    }

    private func running(
        _ log: any EventLog, _ pages: Diary.Pages, _ body: () throws -> Void
    ) throws {
        let stop = StopSignal()
        let thread = try OwnThread(name: "diary") {
            try OrderedWorker(
                handler: Diary(pages), log: log, policy: RetryPolicy(baseMilliseconds: 1), report: .silent
            ).run(stop: stop)
        }
        defer {
            stop.set()
            _ = thread.wait(milliseconds: 10_000)
        }
        try body()
    }

    private func parked(_ log: any EventLog) throws -> [(LogPosition, ParkedReason)] {
        if let log = log as? RedisEventLog {
            return try log.parkedEvents().list(group: "diary").map { ($0.position, $0.reason) }
        }
        let memory = try #require(log as? InMemoryEventLog)
        return memory.parked(subscription: "diary").map { ($0.key, $0.value) }
    }

    /// Whether it was still parked when it was asked for.
    @discardableResult
    private func retry(_ log: any EventLog, _ position: LogPosition) throws -> Bool {
        if let log = log as? RedisEventLog {
            return try log.parkedEvents().retry(subscription: "diary", position) == .done
        }
        (log as? InMemoryEventLog)?.retryParked("diary", position)
        return true
    }

    @Test(
        "a poison event holds back its own session, over a restart, and what waited goes on in order",
        arguments: LogKind.allCases)
    func poisonHaltsItsOwn(_ kind: LogKind) throws {
        // One partition: what goes on stands behind the poison event in the same stream.
        let log = try kind.open(partitions: 1)
        let pages = Diary.Pages(poison: "bad-3")
        try append(log, "bad", 1...5)
        try append(log, "good", 1...5)
        try running(log, pages) {
            try eventually("the others go on") { pages.sequences(of: "good") == [1, 2, 3, 4, 5] }
            try eventually("the event is parked") { try parked(log).count == 1 }
            #expect(pages.tries == 3)
        }
        let (position, reason) = try #require(try parked(log).first)
        #expect(reason.attempts == 3)
        #expect(reason.stage == "diary")
        #expect(reason.errors.count == 2)
        #expect(pages.sequences(of: "bad") == [1, 2])
        try append(log, "bad", 6...7)
        try running(log, pages) {
            try append(log, "good", 6...9)
            try eventually("the others go on") { pages.sequences(of: "good").count == 9 }
            let checkpoint = try eventuallyCheckpoint(log, atEndOf: 0)
            #expect(checkpoint == (try log.open().end(of: 0)))
            #expect(pages.sequences(of: "bad") == [1, 2])
            // Asked too early: it is tried once more and waits again.
            #expect(try retry(log, position))
            try eventually("it is tried") { pages.tries == 4 }
            pages.mend()
            try eventually("it goes on in order") {
                // What was asked before may be done between the two looks.
                if try parked(log).first != nil { try retry(log, position) }
                return pages.sequences(of: "bad") == [1, 2, 3, 4, 5, 6, 7]
            }
            try eventually("nothing is parked") { try parked(log).isEmpty }
            try append(log, "bad", 8...8)
            try eventually("new events follow") { pages.sequences(of: "bad").last == 8 }
        }
        #expect(pages.sequences(of: "good") == Array(1...9))
    }

    private func eventuallyCheckpoint(_ log: any EventLog, atEndOf partition: Int) throws -> LogPosition? {
        let checkpoints = try log.checkpoints()
        let end = try log.open().end(of: partition)
        try eventually("the checkpoint passes what waits") {
            try checkpoints.load("diary")[partition] == end
        }
        return try checkpoints.load("diary")[partition]
    }

    @Test("a session that is given up is passed over for good")
    func givenUp() throws {
        let log = try #require(try LogKind.redis.open(partitions: 1) as? RedisEventLog)
        let pages = Diary.Pages(poison: "bad-1")
        try append(log, "bad", 1...2)
        try running(log, pages) {
            try eventually("the event is parked") { try parked(log).count == 1 }
            let desk = log.parkedEvents()
            let event = try #require(try desk.list(group: "diary").first)
            #expect(event.sequence == 1)
            #expect(String(decoding: event.data, as: UTF8.self) == "{\"number\":1}")
            let outcome = try desk.discard(
                subscription: "diary", event.position, partitionKey: event.partitionKey)
            #expect(outcome == .done)
            pages.mend()
            try append(log, "bad", 3...3)
            try append(log, "good", 1...1)
            try eventually("others go on") { pages.sequences(of: "good") == [1] }
        }
        try running(log, pages) {
            try append(log, "good", 2...2)
            try eventually("others go on") { pages.sequences(of: "good") == [1, 2] }
        }
        #expect(pages.sequences(of: "bad").isEmpty)
    }

    @Test("what another worker has done is not given up by one that fails late", arguments: LogKind.allCases)
    func lateFailure(_ kind: LogKind) throws {
        let log = try kind.open()
        try append(log, "done", 1...1)
        try append(log, "open", 1...1)
        let store = try log.open()
        let item = try #require(try store.load("done", after: 0, limit: 1).first)
        let result = SampleEvents.event("\(item.id)/done", type: "Done")
        _ = try store.append([result], to: "done", expecting: .any)
        let stage = Hopeless()
        let stop = StopSignal()
        let worker = UncheckedBox(
            StageWorker(
                stage: stage, log: log, consumer: ConsumerName(instance: "late", number: 0),
                policy: RetryPolicy(baseMilliseconds: 1), clock: SystemClock(), report: .silent
            ) { delivery, _ in [SampleEvents.event("\(delivery.event.id)/given up", type: "GivenUp")] })
        let thread = try OwnThread(name: "worker") { try worker.value.run(stop: stop) }
        try eventually("both have failed") { stage.handled.withLock { $0 } == 6 }
        stop.set()
        _ = thread.wait(milliseconds: 10_000)
        #expect(try store.load("done", after: 0, limit: 9).map(\.type) == ["Sampled", "Done"])
        #expect(try store.load("open", after: 0, limit: 9).map(\.type) == ["Sampled", "GivenUp"])
        if let log = log as? RedisEventLog {
            #expect(try log.parkedEvents().list(group: "hopeless").map(\.partitionKey) == ["open"])
        } else {
            let memory = try #require(log as? InMemoryEventLog)
            #expect(memory.parked(group: "hopeless").count == 1)
        }
    }

    @Test("a delivery that the worker cannot get past is parked, and what comes behind it goes on")
    func beyondMending() throws {
        let log = try LogKind.redis.open()
        let redis = try #require(log as? RedisEventLog)
        try append(log, "bad", 1...1)
        try append(log, "good", 1...1)
        let stage = Hopeless()
        let stop = StopSignal()
        let worker = UncheckedBox(
            StageWorker(
                stage: stage, log: log, consumer: ConsumerName(instance: "worker", number: 0),
                policy: RetryPolicy(maximumDeliveries: 3), clock: SystemClock(), report: .silent,
                gate: BrokenGate(), parkedEvents: { _, _ in [] }))
        let thread = try OwnThread(name: "worker") { try worker.value.run(stop: stop) }
        // The first because nobody can say whether it may be worked on, the second after its three tries.
        try eventually("both are parked") { try redis.parkedEvents().list(group: "hopeless").count == 2 }
        stop.set()
        _ = thread.wait(milliseconds: 10_000)
        let parked = try redis.parkedEvents().list(group: "hopeless")
        let bad = try #require(parked.first { $0.partitionKey == "bad" })
        #expect(bad.reason.attempts == 4)
        #expect(bad.reason.errors == ["tried 4 times without an outcome"])
    }

    @Test("tries are counted across restarts", arguments: LogKind.allCases)
    func triesSurvive(_ kind: LogKind) throws {
        let log = try kind.open()
        try append(log, "s", 1...1)
        let stage = Hopeless()
        // Each worker dies after its first try: the pause before the second is longer than its life.
        for life in 1...3 {
            let stop = StopSignal()
            let policy = RetryPolicy(baseMilliseconds: 60_000, capMilliseconds: 60_000)
            let worker = StageWorker(
                stage: stage, log: log, consumer: ConsumerName(instance: "life-\(life)", number: 0),
                policy: policy, clock: SystemClock(), report: .silent, parkedEvents: { _, _ in [] })
            let box = UncheckedBox(worker)
            let thread = try OwnThread(name: "worker") { try box.value.run(stop: stop) }
            try eventually("try \(life)") { stage.handled.withLock { $0 } == life }
            stop.set()
            _ = thread.wait(milliseconds: 10_000)
        }
        #expect(stage.handled.withLock { $0 } == 3)
        if let log = log as? RedisEventLog {
            let event = try #require(try log.parkedEvents().list(group: "hopeless").first)
            #expect(event.reason.attempts == 3)
            #expect(event.reason.errors == ["it cannot be done", "there is no way"])
            #expect(String(decoding: event.data, as: UTF8.self) == "{\"number\":1}")
        } else {
            let memory = try #require(log as? InMemoryEventLog)
            #expect(memory.parked(group: "hopeless").values.first?.attempts == 3)
        }
    }
}

/// Cannot be asked about one history.
private struct BrokenGate: StageGate {
    func answer(for partitionKey: String, _ store: any EventStore) throws(LogFailure) -> GateAnswer {
        guard partitionKey == "bad" else { return .open }
        throw LogFailure(.corrupt, operation: "load", key: partitionKey, text: "it is damaged")
    }
}

/// Hands a worker over to the one thread that uses it.
private struct UncheckedBox<Value>: @unchecked Sendable {
    // Sendable because the test's thread lets go of the value before the other one takes it.
    let value: Value
    init(_ value: Value) { self.value = value }
}
