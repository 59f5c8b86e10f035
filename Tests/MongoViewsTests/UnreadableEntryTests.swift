import Engine
import EventSourcing
import Pipeline
import Recording
import RedisLog
import Supervision
import TestServers
import Testing

@testable import MongoViews
import ReadModels

/// Entries that do not follow the log's format, and what the projector makes of them.
@Suite("Unreadable entries in the projector", .timeLimit(.minutes(10)))
struct UnreadableEntryTests {
    private func eventually(_ what: String, _ condition: () throws -> Bool) throws {
        let pause = StopSignal()
        let deadline = ContinuousClock.now + .seconds(120)
        while !(try condition()) {
            try #require(ContinuousClock.now < deadline, "not within 120 s: \(what)")
            _ = pause.wait(milliseconds: 10)
        }
    }

    private func running(_ fixture: ReplayFixture, _ body: () throws -> Void) throws {
        let stop = StopSignal()
        let (models, log) = (fixture.models, fixture.log)
        let thread = try OwnThread(name: "projector") {
            let projection = models.projection(epoch: log.epoch, log: try log.open())
            try ProjectionWorker(projection: projection, log: log, report: .silent).run(stop: stop)
        }
        defer {
            stop.set()
            _ = thread.wait(milliseconds: 10_000)
        }
        try body()
    }

    @Test(
        "the session waits there or at its next event, all others are shown, and mended it catches up",
        arguments: ["partly", "wholly"])
    func projector(_ spoiling: String) throws {
        let fixture = try ReplayFixture(partitions: 2)
        let first = fixture.history(seed: 41, sessions: 12)
        try fixture.append(first)
        let history = try fixture.events().filter { $0.partitionKey == "sess-3" }
        let place = history.count / 2
        func spoil(_ how: String) throws {
            let position = history[place].position
            try TestRedis.shared.spoil(
                database: fixture.log.address.first.database,
                stream: "reel:{\(LogPosition.partitionName(position.partition))}:log",
                entry: position.entryID, how)
        }
        try spoil(spoiling)
        let shelf = fixture.log.parkedEvents()
        func parked() throws -> [ParkedEvent] { try shelf.list(group: MongoReadModels.subscription.name) }
        func isCaughtUp() throws -> Bool {
            let ends = Set(try (0..<2).map { try fixture.store.end(of: $0) })
            return Set(try fixture.models.progress(epoch: fixture.log.epoch).values) == ends
        }
        func version(_ session: String) throws -> UInt64 {
            try fixture.pool.withClient { (client) throws(MongoFailure) in
                try client.find(MongoFind(), in: fixture.collections.sessions, SessionView.init)
                    .first { $0.sessionID == session }?.version ?? 0
            }
        }
        // One that does not say whose it is is missed by the event that comes after it.
        let expected = spoiling == "partly" ? [place] : [place, place + 1]
        try running(fixture) {
            try eventually("what cannot be shown is parked") { try parked().count == expected.count }
            try eventually("the checkpoints pass it") { try isCaughtUp() }
            try fixture.append(fixture.history(seed: 42, sessions: 5, prefix: "more"))
            try eventually("the new ones are shown") { try isCaughtUp() }
        }
        let found = try parked()
        #expect(found.map(\.position) == expected.map { history[$0].position })
        #expect(found.map(\.partitionKey) == (spoiling == "partly" ? ["sess-3"] : ["", "sess-3"]))
        #expect(try version("sess-3") == UInt64(place))
        let sums = Dictionary(grouping: first, by: \.partitionKey).mapValues(\.count)
        for (session, count) in sums where session != "sess-3" {
            #expect(try version(session) == UInt64(count), "\(session)")
        }
        try running(fixture) {
            try spoil("mend")
            for event in found {
                let subscription = MongoReadModels.subscription.name
                #expect(try shelf.retry(subscription: subscription, event.position) == .done)
            }
            try eventually("nothing is parked") { try parked().isEmpty }
        }
        try fixture.expectShown()
    }

    private func version(_ fixture: ReplayFixture, _ session: String) throws -> UInt64 {
        try fixture.pool.withClient { (client) throws(MongoFailure) in
            try client.find(MongoFind(), in: fixture.collections.sessions, SessionView.init)
                .first { $0.sessionID == session }?.version ?? 0
        }
    }

    @Test(
        "a replay goes on, ends that session where it ends, and lists the entry",
        arguments: ["partly", "wholly"])
    func replay(_ spoiling: String) throws {
        let fixture = try ReplayFixture(partitions: 2)
        try fixture.append(fixture.history(seed: 43, sessions: 40))
        let history = try fixture.events().filter { $0.partitionKey == "sess-3" }
        let place = history.count / 2
        let position = history[place].position
        try fixture.project()
        func spoil(_ how: String) throws {
            try TestRedis.shared.spoil(
                database: fixture.log.address.first.database,
                stream: "reel:{\(LogPosition.partitionName(position.partition))}:log",
                entry: position.entryID, how)
        }
        try spoil(spoiling)
        // More is shown than can be read now: that stays, whatever else differs.
        try fixture.tamper(fixture.collections.sessions, "session_id", "sess-5", "name", "somebody's")
        for verify in [true, false] {
            let outcome = try fixture.replay(verify: verify)
            #expect(outcome.unreadable.map(\.position) == [position] && outcome.unreadableCount == 1)
            #expect(outcome.waiting.map(\.partitionKey) == ["sess-3"] && outcome.waitingCount == 1)
            #expect(outcome.waiting.map(\.position) == [history[place + 1].position])
            #expect(outcome.waiting.first?.reason.contains("\(position)") == true)
            #expect(!outcome.isSwapped && outcome.isWithheld == !verify)
            #expect(outcome.comparison.listed.contains { $0.key == "sess-5" })
            #expect(try version(fixture, "sess-3") == UInt64(history.count))
        }
        let own = try fixture.replay(.history("sess-3"), verify: true)
        #expect(own.unreadable.map(\.position) == [position])
        #expect(own.waiting.map(\.position) == [position])
        #expect(own.comparison.ahead > 0)
        #expect(try fixture.replay(.history("sess-5")).isSwapped)
        // Where no more is shown than the log tells, the others are put right.
        let collections = fixture.collections
        for chunk in Set(history.map(\.subject)) where chunk != "sess-3" {
            try fixture.delete(collections.chunks, "chunk_id", chunk)
        }
        for name in [collections.sessions, collections.pipeline, collections.folds] {
            try fixture.delete(name, "session_id", "sess-3")
        }
        try fixture.tamper(fixture.collections.sessions, "session_id", "sess-5", "name", "somebody's")
        let outcome = try fixture.replay()
        #expect(outcome.isSwapped && !outcome.isComplete)
        #expect(try version(fixture, "sess-3") == UInt64(place))
        try spoil("mend")
        let mended = try fixture.replay()
        #expect(mended.isComplete && mended.isSwapped)
        try fixture.expectShown()
    }
}
