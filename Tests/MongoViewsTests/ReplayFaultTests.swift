import Engine
import Base
import EventSourcing
import Pipeline
import Recording
@testable import RecordingMongo
import RedisLog
import Supervision
import Synchronization
import TestServers
import Testing

@testable import MongoViews
import ReadModels

@Suite("Replay among faults and traffic", .timeLimit(.minutes(10)))
struct ReplayFaultTests {
    /// Dies after so many calls, like a process that is killed: nothing is tidied up.
    private final class Mortal: ReadModelRebuild {
        struct Killed: Error {}

        private let rebuild: MongoRebuild
        private var calls: Int

        init(_ rebuild: MongoRebuild, calls: Int) {
            self.rebuild = rebuild
            self.calls = calls
        }

        private func step() throws {
            guard calls > 0 else { throw Killed() }
            calls -= 1
        }

        func begin() throws -> [Int: LogPosition] {
            try step()
            return try rebuild.begin()
        }

        func apply(_ events: [RecordedEvent]) throws {
            try step()
            try rebuild.apply(events)
        }

        func compare() throws -> ReadModelComparison {
            try step()
            return try rebuild.compare()
        }

        func settle() throws -> ReadModelComparison {
            try step()
            return try rebuild.settle()
        }

        func note(_ progress: RebuildProgress) throws { try rebuild.note(progress) }
        func isDue() throws -> Bool { try rebuild.isDue() }
        func pass(_ ends: [LogPosition]) { rebuild.pass(ends) }
        func goBack() throws -> [Int: LogPosition] { try rebuild.goBack() }

        func hold(milliseconds: Int) throws {
            try step()
            try rebuild.hold(milliseconds: milliseconds)
        }

        func swap() throws -> Bool {
            try step()
            return try rebuild.swap()
        }

        // A dead process lets nobody go on.
        func release() throws { throw Killed() }

        func discard() throws {
            try step()
            try rebuild.discard()
        }
    }

    /// Runs `body` again until nobody else's lease or hold is in the way.
    private static func whenFree<Answer>(_ body: () throws -> Answer) throws -> Answer {
        let deadline = ContinuousClock.now + .seconds(20)
        while true {
            do { return try body() } catch let failure as ProjectionFailure
                where ContinuousClock.now < deadline && failure.isOfAnotherRebuild
            {
                _ = StopSignal().wait(milliseconds: 20)
            }
        }
    }

    @Test("Killed at any step, the next one goes on and ends right")
    func killedAtEveryStep() throws {
        let fixture = try ReplayFixture()
        try fixture.append(fixture.history(seed: 21, sessions: 5))
        try fixture.projectAtOnce()
        var calls = 0
        var resumed = 0
        while true {
            try fixture.tamper(fixture.collections.sessions, "session_id", "sess-2", "name", "x\(calls)")
            let killed = Mortal(fixture.rebuild(), calls: calls)
            do {
                let replay = try Replay(killed, scope: .everything, log: fixture.log, stop: StopSignal())
                replay.settling_ms = 0
                replay.holding_ms = 200
                #expect(try Self.whenFree { try replay.run(verifyOnly: false) }.isSwapped)
                break
            } catch is Mortal.Killed {}
            let next = fixture.rebuild()
            let replay = try Replay(next, scope: .everything, log: fixture.log, stop: StopSignal())
            let outcome = try Self.whenFree { try replay.run(verifyOnly: false) }
            #expect(outcome.isSwapped, "killed after \(calls) calls")
            if next.isResumed { resumed += 1 }
            try fixture.expectShown()
            // A projector can go on at once.
            try Self.whenFree { try fixture.project() }
            calls += 1
            try #require(calls < 60)
        }
        try fixture.expectShown()
        #expect(calls > 6 && resumed > 2)
    }

    @Test("Killed between two renames, the next projector finishes the swap", arguments: 0...4)
    func killedInTheSwap(renames: Int) throws {
        let fixture = try ReplayFixture(partitions: 2)
        try fixture.append(fixture.history(seed: 22, sessions: 4))
        try fixture.projectAtOnce()
        let shown = fixture.collections
        for name in [shown.sessions, shown.pipeline] {
            try fixture.delete(name, "session_id", "sess-1")
        }
        let rebuild = fixture.rebuild()
        _ = try rebuild.begin()
        try rebuild.apply(try fixture.events())
        try rebuild.apply([])
        try rebuild.hold(milliseconds: 60_000)
        let marker = RebuildMarker(shown)
        let built = Collections(database: shown.database, rebuild: rebuild.id)
        let projector = fixture.projection()
        try fixture.pool.withProjectionClient { (client) throws(ProjectionFailure) in
            let swap = RebuildMarker.Swap(
                rebuild: rebuild.id, collections: shown.documents.map(\.collection))
            let isBegun = try marker.begin(swap, client)
            #expect(isBegun)
            for (from, to) in zip(built.documents, shown.documents).prefix(renames) {
                _ = try wrap { () throws(MongoFailure) in try client.rename(from, to: to) }
            }
        }
        _ = try projector.checkpoints()
        let more = fixture.history(seed: 23, sessions: 2, prefix: "more")
        try fixture.append(more)
        let fresh = try fixture.events().filter { $0.partitionKey.hasPrefix("more") }
        // Until somebody finishes the swap nobody writes.
        #expect(throws: ProjectionFailure.self) { try projector.apply(fresh) }
        // Its time passes.
        try fixture.pool.withClient { (client) throws(MongoFailure) in
            let past = BSONDocument { builder in
                builder.append("$set") { $0.append("hold.until", "$$NOW") }
            }
            let held = BSONDocument { $0.append("hold.by", rebuild.id) }
            let isPast = try client.updateOne(held, with: past, in: shown.checkpoints)
            #expect(isPast)
        }
        _ = try projector.checkpoints()
        try projector.apply(fresh)
        try fixture.expectShown()
    }

    @Test("A hold that ran out swaps nothing")
    func lateSwap() throws {
        let fixture = try ReplayFixture(partitions: 1)
        try fixture.append(fixture.history(seed: 24, sessions: 2))
        try fixture.projectAtOnce()
        for scope in [RebuildScope.everything, .history("sess-1")] {
            let rebuild = fixture.rebuild(scope)
            _ = try rebuild.begin()
            try rebuild.apply([])
            try rebuild.hold(milliseconds: 1)
            _ = StopSignal().wait(milliseconds: 20)
            #expect(try !rebuild.swap())
            try rebuild.discard()
        }
        try fixture.expectShown()
    }

    @Test("Two at a time are refused; the second one goes on when the first is gone")
    func oneAtATime() throws {
        let fixture = try ReplayFixture(partitions: 1)
        try fixture.append(fixture.history(seed: 25, sessions: 2))
        let first = fixture.rebuild()
        first.lease.lease_ms = 60_000
        _ = try first.begin()
        #expect(throws: ProjectionFailure.self) { try fixture.replay() }
        try first.suspend()
        #expect(try fixture.replay().isSwapped)
        try fixture.expectShown(counted: false)
    }

    @Test("Whoever finds a rebuild at work is told who, since when and how far")
    func whoIsAtWork() throws {
        let fixture = try ReplayFixture(partitions: 1)
        try fixture.append(fixture.history(seed: 27, sessions: 2))
        func other() throws -> RunningRebuild? {
            do { _ = try fixture.rebuild(by: "a second one").begin() } catch ProjectionFailure.rebuilding(
                let other)
            {
                return other
            }
            return nil
        }
        let first = fixture.rebuild(by: "the first one")
        first.lease.lease_ms = 60_000
        _ = try first.begin()
        let began = try #require(try other())
        #expect(began.worker == "the first one")
        #expect(began.progress == nil)
        let since = try #require(began.since)
        #expect(began.until.milliseconds - since.milliseconds == 60_000)
        #expect((1...60_000).contains(began.left_ms))
        let progress = RebuildProgress(step: .rebuilding, events: 3, total: 12)
        try first.note(progress)
        let later = try #require(try other())
        #expect(later.progress == progress)
        #expect(progress.percent == 25)
        // It is the same one, and it lives.
        #expect(later.since == since)
        #expect(later.until > began.until)
        try first.suspend()
        #expect(try other() == nil)
    }

    @Test("Killed while projectors are held, the next rebuild of anything waits for its lease alone")
    func killedWhileHolding() throws {
        let fixture = try ReplayFixture(partitions: 1)
        try fixture.append(fixture.history(seed: 28, sessions: 3))
        try fixture.projectAtOnce()
        let killed = fixture.rebuild()
        _ = try killed.begin()
        try killed.apply(try fixture.events())
        try killed.apply([])
        try killed.hold(milliseconds: 600_000)
        try fixture.tamper(fixture.collections.sessions, "session_id", "sess-1", "name", "forged")
        #expect(try Self.whenFree { try fixture.replay(.history("sess-1")) }.isSwapped)
        // What the dead one held is over for everybody.
        #expect((try? killed.swap()) != true)
        try fixture.project()
        try fixture.expectShown()
    }

    @Test("A swap that its rebuild did not finish is finished by the next one, which is another one")
    func killedInTheSwapAndFollowed() throws {
        let fixture = try ReplayFixture(partitions: 1)
        try fixture.append(fixture.history(seed: 29, sessions: 3))
        try fixture.projectAtOnce()
        let killed = fixture.rebuild()
        _ = try killed.begin()
        try killed.apply(try fixture.events())
        try killed.apply([])
        try killed.hold(milliseconds: 600_000)
        let shown = fixture.collections
        let marker = RebuildMarker(shown)
        let swap = RebuildMarker.Swap(
            rebuild: killed.id, collections: shown.documents.map(\.collection))
        try fixture.pool.withProjectionClient { (client) throws(ProjectionFailure) in
            let isBegun = try marker.begin(swap, client)
            #expect(isBegun)
        }
        let next = fixture.rebuild()
        _ = try Self.whenFree { try next.begin() }
        #expect(next.id != killed.id)
        let state = try fixture.pool.withProjectionClient { (client) throws(ProjectionFailure) in
            try marker.state(client)
        }
        #expect(state == RebuildMarker.State(generation: killed.id))
        try next.discard()
        try fixture.project()
        try fixture.expectShown()
    }

    @Test("Nothing that comes in during replays is lost or shown older than before")
    func traffic() throws {
        let fixture = try ReplayFixture()
        let history = fixture.history(seed: 26, sessions: 40)
        try fixture.append(Array(history.prefix(history.count / 4)))
        let stop = StopSignal()
        let (log, models, collections, pool) = (
            fixture.log, fixture.models, fixture.collections, fixture.pool
        )
        let projector = try OwnThread<Void>(name: "projector") {
            let projection = models.projection(epoch: log.epoch, log: try log.open())
            try ProjectionWorker(projection: projection, log: log, report: .silent).run(stop: stop)
        }
        let swaps = Atomic<Int>(0)
        let writer = try OwnThread<Void>(name: "writer") {
            let store = try log.open()
            let written = history.dropFirst(history.count / 4)
            for (number, event) in written.enumerated() {
                // However slow this machine is, some of it comes in while the second replay runs.
                let deadline = ContinuousClock.now + .seconds(90)
                while number == written.count / 2, swaps.load(ordering: .relaxed) == 0,
                    ContinuousClock.now < deadline
                { _ = StopSignal().wait(milliseconds: 20) }
                _ = try store.append([event.event], to: event.partitionKey, expecting: .any)
                _ = StopSignal().wait(milliseconds: 2)
            }
        }
        let setbacks = Atomic<Int>(0)
        let reader = try OwnThread<Void>(name: "reader") {
            var seen: [String: UInt64] = [:]
            while !stop.isSet {
                for session in try models.queries.sessions(SessionFilter(), Page(limit: 100)) {
                    let last = seen.updateValue(session.version, forKey: session.sessionID) ?? 0
                    if session.version < last { setbacks.wrappingAdd(1, ordering: .relaxed) }
                }
                // The sums are of the last checkpoint, and never less than what a list shows.
                let list = try models.queries.sessionList(SessionFilter(), limit: 100, from: .offset(0))
                if seen.count > list.pagination.total {
                    setbacks.wrappingAdd(1, ordering: .relaxed)
                }
            }
        }
        var replays = 0
        while !writer.isFinished {
            replays += 1
            try pool.withClient { (client) throws(MongoFailure) in
                let stray = BSONDocument { $0.append("session_id", "stray-\(replays)") }
                _ = try client.bulkWrite([.insert(stray)], to: collections.pipeline)
            }
            let outcome = try fixture.replay()
            #expect(outcome.comparison.listed.allSatisfy { $0.key.hasPrefix("stray") })
            if outcome.isSwapped { swaps.wrappingAdd(1, ordering: .relaxed) }
        }
        try writer.join()
        let total = try fixture.events().count
        let deadline = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < deadline {
            let sum = try models.queries.sessions(SessionFilter(), Page(limit: 100)).map(\.version).reduce(
                0, +)
            if sum >= total { break }
            _ = stop.wait(milliseconds: 50)
        }
        stop.set()
        try projector.join()
        try reader.join()
        #expect(swaps.load(ordering: .relaxed) > 1)
        #expect(setbacks.load(ordering: .relaxed) == 0)
        try fixture.expectShown()
    }
}

extension ProjectionFailure {
    /// Whether another rebuild is in the way.
    fileprivate var isOfAnotherRebuild: Bool {
        switch self {
        case .held, .rebuilding: true
        default: false
        }
    }
}
