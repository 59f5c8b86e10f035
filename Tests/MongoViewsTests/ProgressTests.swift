import Engine
import EventSourcing
import Pipeline
import Recording
import RedisLog
import Simulation
import Supervision
import TestServers
import Testing

@testable import MongoViews
import ReadModels

/// Those who look on: the archiver, which asks how far the read models are, and `reel status`.
@Suite("Looking at a projection's progress", .timeLimit(.minutes(10)))
struct ProgressTests {
    @Test("It is what the projection itself is told, and nothing is made for it")
    func readsOnly() throws {
        let fixture = try ReplayFixture(partitions: 2)
        func names() throws -> [String] {
            try fixture.pool.withClient { (client) throws(MongoFailure) in
                try client.collectionNames(in: fixture.collections.database, startingWith: "")
            }
        }
        #expect(try fixture.models.progress(epoch: fixture.log.epoch) == [:])
        #expect(try names() == [])
        try fixture.append(fixture.history(seed: 31, sessions: 4))
        try fixture.projectAtOnce()
        let ends = try (0..<2).map { try fixture.store.end(of: $0) }
        let progress = try fixture.models.progress(epoch: fixture.log.epoch)
        #expect(progress == [0: ends[0], 1: ends[1]])
        #expect(try fixture.projection().checkpoints() == progress)
        #expect(try fixture.models.progress(epoch: fixture.log.epoch, name: "other") == [:])
        #expect(throws: ProjectionFailure.self) { try fixture.models.progress(epoch: "another") }
        try fixture.models.drop()
        #expect(try fixture.models.progress(epoch: fixture.log.epoch) == [:])
        #expect(try names() == [])
    }

    @Test("A swap that was left half done is left to those who have to finish it")
    func leavesSwapsAlone() throws {
        let fixture = try ReplayFixture(partitions: 2)
        try fixture.append(fixture.history(seed: 32, sessions: 3))
        try fixture.projectAtOnce()
        let rebuild = fixture.rebuild()
        _ = try rebuild.begin()
        try rebuild.apply(try fixture.events())
        try rebuild.apply([])
        try rebuild.hold(milliseconds: 1)
        let marker = RebuildMarker(fixture.collections)
        func state() throws -> RebuildMarker.State {
            try fixture.pool.withProjectionClient { (client) throws(ProjectionFailure) in
                try marker.state(client)
            }
        }
        try fixture.pool.withClient { (client) throws(MongoFailure) in
            let begun = BSONDocument { builder in
                builder.append("$set") { builder in
                    builder.append("swap") { builder in
                        builder.append("rebuild", rebuild.id)
                        builder.append("collections", array: [fixture.collections.sessions.collection])
                    }
                }
            }
            let isMarker = BSONDocument { $0.append("_id", Checkpoints.markerID) }
            _ = try client.updateOne(isMarker, with: begun, in: fixture.collections.checkpoints)
        }
        let deadline = ContinuousClock.now + .seconds(20)
        while try state().holder != nil, ContinuousClock.now < deadline {
            _ = StopSignal().wait(milliseconds: 5)
        }
        let before = try state()
        #expect(before.swap != nil && before.holder == nil)
        #expect(try !fixture.models.progress(epoch: fixture.log.epoch).isEmpty)
        #expect(try state() == before)
        _ = try fixture.projection().checkpoints()
        #expect(try state().swap == nil)
    }

    /// A rebuild under which the log is archived and trimmed, as far as the read models have come, before
    /// every step.
    private final class Undermined: ReadModelRebuild {
        private let rebuild: MongoRebuild
        private let dig: () throws -> Void

        init(_ rebuild: MongoRebuild, _ dig: @escaping () throws -> Void) {
            self.rebuild = rebuild
            self.dig = dig
        }

        func begin() throws -> [Int: LogPosition] {
            let began = try rebuild.begin()
            try dig()
            return began
        }
        func apply(_ events: [RecordedEvent]) throws {
            try dig()
            try rebuild.apply(events)
        }
        func compare() throws -> ReadModelComparison {
            try dig()
            return try rebuild.compare()
        }
        func settle() throws -> ReadModelComparison { try rebuild.settle() }
        func note(_ progress: RebuildProgress) throws { try rebuild.note(progress) }
        func isDue() throws -> Bool { try rebuild.isDue() }
        func pass(_ ends: [LogPosition]) { rebuild.pass(ends) }
        func goBack() throws -> [Int: LogPosition] { try rebuild.goBack() }

        func hold(milliseconds: Int) throws {
            try rebuild.hold(milliseconds: milliseconds)
            try dig()
        }
        func swap() throws -> Bool {
            try dig()
            return try rebuild.swap()
        }
        func release() throws { try rebuild.release() }
        func discard() throws { try rebuild.discard() }
    }

    @Test("A replay reads on while the log is archived and trimmed under it")
    func archivedUnderneath() throws {
        let fixture = try ReplayFixture(archive: InMemorySegmentStore())
        let history = fixture.history(seed: 33, sessions: 60)
        try fixture.append(history)
        try fixture.projectAtOnce()
        try fixture.tamper(fixture.collections.sessions, "session_id", "sess-2", "name", "forged")
        var policy = ArchivePolicy()
        policy.afterEvents = 20
        let archiver = try fixture.log.archiver(policy)
        var archived = 0
        var digs = 0
        let rebuild = Undermined(fixture.rebuild()) {
            digs += 1
            let progress = try fixture.models.progress(epoch: fixture.log.epoch)
            for partition in 0..<4 {
                archived += try archiver.run(partition: partition, upTo: progress[partition]).events
            }
        }
        let replay = try Replay(rebuild, scope: .everything, log: fixture.log, stop: StopSignal())
        replay.settling_ms = 300
        let outcome = try replay.run(verifyOnly: false)
        #expect(outcome.isSwapped && outcome.events == history.count)
        #expect(outcome.comparison.differences == 1)
        #expect(digs > 5 && archived > history.count - 4 * 21, "\(digs), \(archived) of \(history.count)")
        try fixture.expectShown()
        // From now on almost nothing is in Redis; the next one finds nothing to mend.
        let again = try fixture.replay()
        #expect(again.comparison.differences == 0 && again.events == history.count)
        try fixture.expectShown()
    }
}
