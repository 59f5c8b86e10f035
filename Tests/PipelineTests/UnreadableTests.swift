import Engine
import Base
import EventSourcing
import Pipeline
import Recording
import RedisLog
import Simulation
import Supervision
import TestServers
import Testing

/// Takes events down, each once, whatever comes first.
private final class Register: OrderedHandler {
    final class Pages: Sendable {
        private let state = Lock<[String: Set<UInt64>]>([:])
        func sequences(of key: String) -> [UInt64] { state.withLock { ($0[key] ?? []).sorted() } }
        fileprivate func take(_ event: RecordedEvent) {
            _ = state.withLock { $0[event.partitionKey, default: []].insert(event.sequence) }
        }
    }

    let name = "register"
    let pages: Pages

    init(_ pages: Pages) { self.pages = pages }

    func handle(_ events: [RecordedEvent], _ store: any EventStore) throws {
        for event in events { pages.take(event) }
    }
    func reset() {}
}

extension EventLog {
    /// Makes an entry unreadable; nil mends it.
    func spoil(_ position: LogPosition, _ spoiling: Spoiling?) throws {
        guard let log = self as? RedisEventLog else {
            return try #require(self as? InMemoryEventLog).spoil(position, spoiling)
        }
        let words: [Spoiling?: String] = [.partly: "partly", .wholly: "wholly", nil: "mend"]
        try TestRedis.shared.spoil(
            database: log.address.first.database,
            stream: "reel:{\(LogPosition.partitionName(position.partition))}:log", entry: position.entryID,
            try #require(words[spoiling]))
    }

    /// Appends an entry to a history that nobody has ever been able to read.
    func addUnreadable(to key: String, _ spoiling: Spoiling) throws -> LogPosition {
        guard let log = self as? RedisEventLog else {
            return try #require(self as? InMemoryEventLog).addUnreadable(to: key, spoiling)
        }
        let partition = log.partitioning.partition(of: key)
        let entry = try TestRedis.shared.addUnreadable(
            database: log.address.first.database, prefix: "reel:{\(LogPosition.partitionName(partition))}",
            partitionKey: key, isNamed: spoiling == .partly)
        return try #require(LogPosition(partition: partition, entryID: entry))
    }

    /// What a consumer group has set aside, by place.
    func parked(group: String) throws -> [LogPosition: ParkedReason] {
        guard let log = self as? RedisEventLog else {
            return try #require(self as? InMemoryEventLog).parked(group: group)
        }
        let list = try log.parkedEvents().list(group: group)
        return Dictionary(uniqueKeysWithValues: list.map { ($0.position, $0.reason) })
    }

    fileprivate func add(_ key: String, _ numbers: ClosedRange<Int>) throws {
        let store = try open()
        for number in numbers {
            _ = try store.append(
                [SampleEvents.event("\(key)-\(number)", number: number)], to: key, expecting: .any)
        }
    }

    fileprivate func place(of key: String, _ sequence: UInt64) throws -> LogPosition {
        let found = try open().load(key, after: sequence - 1, limit: 1)
        return try #require(found.first).position
    }

    /// What an ordered subscription has set aside, by place.
    func parked(behind subscription: String) throws -> [LogPosition: ParkedReason] {
        guard let log = self as? InMemoryEventLog else { return try parked(group: subscription) }
        return log.parked(subscription: subscription)
    }

    /// Asks an ordered subscription to try what it has set aside again.
    func retry(_ subscription: String, _ position: LogPosition) throws {
        if let log = self as? RedisEventLog {
            #expect(try log.parkedEvents().retry(subscription: subscription, position) == .done)
        } else {
            (self as? InMemoryEventLog)?.retryParked(subscription, position)
        }
    }
}

/// Entries that do not follow the log's format: somebody else's, a later version's, damaged ones.
@Suite("Unreadable entries", .timeLimit(.minutes(10)))
struct UnreadableTests {
    private func running(_ log: any EventLog, _ pages: Register.Pages, _ body: () throws -> Void) throws {
        let stop = StopSignal()
        let thread = try OwnThread(name: "register") {
            try OrderedWorker(handler: Register(pages), log: log, report: .silent).run(stop: stop)
        }
        defer {
            stop.set()
            _ = thread.wait(milliseconds: 10_000)
        }
        try body()
    }

    @Test(
        "a feed gives everything before it, names it, and goes on behind it",
        arguments: LogKind.allCases, Spoiling.allCases)
    func feed(_ kind: LogKind, _ spoiling: Spoiling) throws {
        let log = try kind.open(partitions: 2)
        let partitioning = try log.open().partitioning
        let keys = (0..<2).map { SampleEvents.key(in: $0, of: partitioning) }
        try log.add(keys[0], 1...5)
        try log.add(keys[1], 1...4)
        let bad = try log.place(of: keys[0], 3)
        try log.spoil(bad, spoiling)
        let feed = try log.follow(after: (0..<2).map { .start(of: $0) })
        var events = try feed.next(limit: 10, waitMilliseconds: 100)
        while events.count < 6 { events += try feed.next(limit: 10, waitMilliseconds: 100) }
        #expect(
            Set(events.map(\.id))
                == Set([1, 2].map { "\(keys[0])-\($0)" } + (1...4).map { "\(keys[1])-\($0)" }))
        try log.add(keys[1], 5...5)
        for _ in 0..<2 {
            let failure = #expect(throws: LogFailure.self) {
                try feed.next(limit: 10, waitMilliseconds: 100)
            }
            #expect(failure?.unreadableEntry == bad)
            #expect(failure?.isTransient == false)
        }
        feed.seek(to: bad)
        events = []
        while events.count < 3 { events += try feed.next(limit: 10, waitMilliseconds: 100) }
        #expect(Set(events.map(\.id)) == ["\(keys[0])-4", "\(keys[0])-5", "\(keys[1])-5"])
    }

    @Test(
        "it is parked by name, its session waits as far as it says whose it is, others go on, a retry reads it again",
        arguments: LogKind.allCases, Spoiling.allCases)
    func ordered(_ kind: LogKind, _ spoiling: Spoiling) throws {
        let log = try kind.open(partitions: 1)
        let pages = Register.Pages()
        try log.add("bad", 1...5)
        try log.add("good", 1...5)
        let bad = try log.place(of: "bad", 3)
        try log.spoil(bad, spoiling)
        let seen: [UInt64] = spoiling == .partly ? [1, 2] : [1, 2, 4, 5]
        try running(log, pages) {
            try eventually("the others go on") { pages.sequences(of: "good") == [1, 2, 3, 4, 5] }
            try eventually("it is parked") { try log.parked(behind: "register").count == 1 }
        }
        let reason = try #require(try log.parked(behind: "register")[bad])
        #expect(reason.stage == "register" && reason.attempts == 1)
        #expect(reason.errors.first == "the entry does not follow the log's format")
        #expect(pages.sequences(of: "bad") == seen)
        try log.add("good", 6...9)
        try running(log, pages) {
            try eventually("the others go on after a restart") { pages.sequences(of: "good").count == 9 }
            let end = try log.open().end(of: 0)
            try eventually("the checkpoint passes it") { try log.checkpoints().load("register")[0] == end }
            // Asked too early: it is parked again, and asking has come to its end.
            try log.retry("register", bad)
            try eventually("it was tried") {
                try log.orderedParking().heldBack("register", in: 0).keys.map(\.isRetryAsked) == [false]
            }
            #expect(pages.sequences(of: "bad") == seen)
            try log.spoil(bad, nil)
            try log.retry("register", bad)
            try eventually("its session goes on") { pages.sequences(of: "bad") == [1, 2, 3, 4, 5] }
            try eventually("nothing is parked") { try log.parked(behind: "register").isEmpty }
            try log.add("bad", 6...6)
            try eventually("new events follow") { pages.sequences(of: "bad").last == 6 }
        }
        #expect(pages.sequences(of: "good") == Array(1...9))
    }

    @Test(
        "a session that waits takes what it can, and waits at the next one", arguments: LogKind.allCases)
    func several(_ kind: LogKind) throws {
        let log = try kind.open(partitions: 1)
        let pages = Register.Pages()
        try log.add("bad", 1...6)
        let (first, second) = (try log.place(of: "bad", 2), try log.place(of: "bad", 5))
        try log.spoil(first, .partly)
        try log.spoil(second, .wholly)
        try running(log, pages) {
            // The second one does not say whose it is: it is parked by itself.
            try eventually("both are parked") {
                try Set(log.parked(behind: "register").keys) == [first, second]
            }
            #expect(pages.sequences(of: "bad") == [1])
            try log.spoil(first, nil)
            try log.retry("register", first)
            try eventually("it goes on up to the second") { pages.sequences(of: "bad") == [1, 2, 3, 4] }
            try eventually("the second is left") {
                try Array(log.parked(behind: "register").keys) == [second]
            }
            // Its history tells whose it is; asked too early it remains so.
            func held() throws -> [HeldKey] { try log.orderedParking().heldBack("register", in: 0).keys }
            #expect(try held().map(\.partitionKey) == ["bad"])
            try log.retry("register", second)
            try eventually("it was tried") { try held().map(\.isRetryAsked) == [false] }
            #expect(try held().map(\.partitionKey) == ["bad"])
        }
        try log.add("bad", 7...7)
        try running(log, pages) {
            try log.spoil(second, nil)
            try log.retry("register", second)
            try eventually("everything is there") { pages.sequences(of: "bad") == Array(1...7) }
            try eventually("nothing is parked") { try log.parked(behind: "register").isEmpty }
        }
    }

    @Test(
        "in a competing subscription it is set aside and the others are delivered, in the other types too",
        arguments: LogKind.allCases, Spoiling.allCases)
    func competing(_ kind: LogKind, _ spoiling: Spoiling) throws {
        let log = try kind.open(partitions: 1)
        try log.add("bad", 1...4)
        let bad = try log.place(of: "bad", 2)
        try log.spoil(bad, spoiling)
        let member = try log.join(
            group: "register", consumer: ConsumerName(instance: "one", number: 0), types: ["Sampled"])
        var taken: [Delivery] = []
        try eventually("the others come") {
            let batch = try member.next(limit: 10, waitMilliseconds: 50)
            try member.acknowledge(batch.map(\.event.position))
            taken += batch
            return taken.count >= 3
        }
        #expect(taken.map(\.event.sequence) == [1, 3, 4])
        #expect(try member.next(limit: 10, waitMilliseconds: 50).isEmpty)
        guard let redis = log as? RedisEventLog else {
            let memory = try #require(log as? InMemoryEventLog)
            #expect(Array(memory.parked(group: "register").keys) == [bad])
            return
        }
        let shelf = redis.parkedEvents()
        let parked = try #require(try shelf.find(group: "register", bad))
        #expect(parked.partitionKey == (spoiling == .partly ? "bad" : ""))
        #expect(parked.reason.errors.count == 2)
        // Its bytes are kept as they stand there.
        #expect(String(decoding: parked.data, as: UTF8.self).contains("entry_hex"))
        // Tried again too early it comes back to the shelf; mended it is delivered.
        #expect(try shelf.retry(group: "register", bad) == .done)
        try eventually("it is parked again") {
            _ = try member.next(limit: 10, waitMilliseconds: 50)
            return try shelf.count(group: "register") == 1
        }
        try log.spoil(bad, nil)
        #expect(try shelf.retry(group: "register", bad) == .done)
        try eventually("it is delivered") {
            let batch = try member.next(limit: 10, waitMilliseconds: 50)
            taken += batch
            return batch.map(\.event.position) == [bad]
        }
        #expect(taken.last?.event.sequence == 2)
    }

    @Test(
        "a session with one is completed when it can be read again, and others meanwhile",
        arguments: Spoiling.allCases)
    func completion(_ spoiling: Spoiling) throws {
        let log = InMemoryEventLog(partitions: 1)
        let plant = try Plant(log)
        try plant.startWorkers([StageName.allCases])
        let bytes = sampleBytes(30_000)
        try plant.record(bytes, as: "s")
        try eventually("everything is stored") { try plant.state(of: "s").isEverythingStored }
        let events = try plant.events(of: "s")
        let place = try #require(events.firstIndex { $0.type == "ChunkSealed" })
        log.spoil(events[place].position, spoiling)
        try plant.startCompletion()
        try plant.record(sampleBytes(9000, seed: 2), as: "t")
        try plant.wait(for: .completed, of: "t")
        let expected = spoiling == .partly ? [place] : [place, place + 1]
        let positions = Set(expected.map { events[$0].position })
        try eventually("it is parked") { Set(log.parked(subscription: "completion").keys) == positions }
        log.spoil(events[place].position, nil)
        for position in positions.sorted() { log.retryParked("completion", position) }
        try plant.wait(for: .completed, of: "s")
        try eventually("nothing is parked") { log.parked(subscription: "completion").isEmpty }
        #expect(try plant.export("s") == bytes)
    }
}
