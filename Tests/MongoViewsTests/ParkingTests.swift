import Engine
import Base
import EventSourcing
import Pipeline
import Recording
import Simulation
import RedisLog
import Supervision
import TestServers
import Testing

@testable import MongoViews

/// A log in which one event can't be understood, until it is mended: as an older version of the program
/// would see a newer one's event.
private final class SpoiledLog: EventLog {
    private let inner: RedisEventLog
    private let spoiled: Lock<String?>

    init(_ inner: RedisEventLog, spoiling id: String) {
        self.inner = inner
        spoiled = Lock(id)
    }

    func mend() { spoiled.withLock { $0 = nil } }

    fileprivate func seen(_ events: [RecordedEvent]) -> [RecordedEvent] {
        guard let id = spoiled.withLock({ $0 }) else { return events }
        return events.map { event in
            guard event.id == id else { return event }
            var event = event
            event.event.version = 99
            return event
        }
    }

    func open() throws(LogFailure) -> any EventStore { SpoiledStore(try inner.open(), self) }
    func join(
        group: String, consumer: ConsumerName, types: Set<String>
    ) throws(LogFailure) -> any CompetingSubscription {
        try inner.join(group: group, consumer: consumer, types: types)
    }
    func follow(after positions: [LogPosition]) throws(LogFailure) -> any OrderedFeed {
        SpoiledFeed(try inner.follow(after: positions), self)
    }
    var level: FormatLevel { inner.level }
    func liveness() throws(LogFailure) -> any Liveness { try inner.liveness() }
    func checkpoints() throws(LogFailure) -> any CheckpointStore { try inner.checkpoints() }
    func leases() throws(LogFailure) -> any PartitionLeases { try inner.leases() }
    func orderedParking() throws(LogFailure) -> any OrderedParking { try inner.orderedParking() }
    func index(_ name: String) throws(LogFailure) -> any LogIndex { try inner.index(name) }
    var liftings: Int { inner.liftings }
}

private final class SpoiledFeed: OrderedFeed {
    private let inner: any OrderedFeed
    private let log: SpoiledLog

    init(_ inner: any OrderedFeed, _ log: SpoiledLog) {
        self.inner = inner
        self.log = log
    }

    func next(limit: Int, waitMilliseconds: Int) throws(LogFailure) -> [RecordedEvent] {
        log.seen(try inner.next(limit: limit, waitMilliseconds: min(waitMilliseconds, 50)))
    }
    func seek(to position: LogPosition) { inner.seek(to: position) }
}

private final class SpoiledStore: EventStore {
    private let inner: any EventStore
    private let log: SpoiledLog

    init(_ inner: any EventStore, _ log: SpoiledLog) {
        self.inner = inner
        self.log = log
    }

    var partitioning: Partitioning { inner.partitioning }
    var level: FormatLevel { inner.level }
    func append(_ batches: [AppendBatch]) throws(LogFailure) -> [AppendOutcome] { try inner.append(batches) }
    func load(_ key: String, after sequence: UInt64, limit: Int) throws(LogFailure) -> [RecordedEvent] {
        log.seen(try inner.load(key, after: sequence, limit: limit))
    }
    func version(of key: String) throws(LogFailure) -> UInt64 { try inner.version(of: key) }
    func read(after position: LogPosition, limit: Int) throws(LogFailure) -> [RecordedEvent] {
        log.seen(try inner.read(after: position, limit: limit))
    }
    func end(of partition: Int) throws(LogFailure) -> LogPosition { try inner.end(of: partition) }
}

@Suite("Parking in the projector", .timeLimit(.minutes(10)))
struct ParkingTests {
    private func running(
        _ fixture: ReplayFixture, _ log: SpoiledLog, _ body: () throws -> Void
    ) throws {
        let stop = StopSignal()
        let (models, epoch) = (fixture.models, fixture.log.epoch)
        let thread = try OwnThread(name: "projector") {
            let projection = models.projection(epoch: epoch, log: try log.open())
            try ProjectionWorker(projection: projection, log: log, report: .silent).run(stop: stop)
        }
        defer {
            stop.set()
            _ = thread.wait(milliseconds: 10_000)
        }
        try body()
    }

    private func eventually(_ what: String, _ condition: () throws -> Bool) throws {
        let pause = StopSignal()
        let deadline = ContinuousClock.now + .seconds(30)
        while !(try condition()) {
            try #require(ContinuousClock.now < deadline, "not within 30 s: \(what)")
            _ = pause.wait(milliseconds: 10)
        }
    }

    @Test("later events of a session wait behind a poison event, the read models of all others go on")
    func poison() throws {
        let fixture = try ReplayFixture(partitions: 2)
        let first = fixture.history(seed: 7, sessions: 12)
        try fixture.append(first)
        let history = first.filter { $0.partitionKey == "sess-3" }
        let poison = try #require(history.dropFirst(history.count / 2).first)
        let log = SpoiledLog(fixture.log, spoiling: poison.id)
        let parked = fixture.log.parkedEvents()
        func version(_ session: String) throws -> UInt64 {
            try fixture.pool.withClient { (client) throws(MongoFailure) in
                try client.find(MongoFind(), in: fixture.collections.sessions, SessionView.init)
                    .first { $0.sessionID == session }?.version ?? 0
            }
        }
        func ends() throws -> Set<LogPosition> {
            Set(try (0..<2).map { try fixture.store.end(of: $0) })
        }
        func isCaughtUp() throws -> Bool {
            Set(try fixture.projection().checkpoints().values) == (try ends())
        }
        try running(fixture, log) {
            try eventually("the event is parked") {
                try parked.count(group: MongoReadModels.subscription.name) == 1
            }
            try eventually("the checkpoints pass it") { try isCaughtUp() }
        }
        let event = try #require(try parked.list(group: MongoReadModels.subscription.name).first)
        #expect(event.eventID == poison.id)
        #expect(event.data == poison.data)
        // What cannot be understood is not tried again.
        #expect(event.reason.attempts == 1)
        #expect(try version("sess-3") == poison.sequence - 1)
        // Another owner, and more events of the session that waits and of new ones.
        try fixture.append(fixture.history(seed: 8, sessions: 5, prefix: "more"))
        let name = ProposedEvent(
            sample: RecordingEvent.session(.updated(SessionEvent.Updated(sessionID: "sess-3"))), id: "late",
            time: SystemClock().now(), context: EventContext(source: "/test", actor: .system("test")))
        _ = try fixture.store.append([name], to: "sess-3", expecting: .any)
        try running(fixture, log) {
            try eventually("the new ones are shown") { try isCaughtUp() }
            #expect(try version("sess-3") == poison.sequence - 1)
            log.mend()
            let name = MongoReadModels.subscription.name
            #expect(try parked.retry(subscription: name, event.position) == .done)
            try eventually("nothing is parked") { try parked.count(group: name) == 0 }
        }
        try fixture.expectShown()
    }
}
