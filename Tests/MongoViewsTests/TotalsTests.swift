import Base
import EventSourcing
import Pipeline
import Recording
@testable import RecordingMongo
import Simulation
import RedisLog
import TestServers
import Testing

@testable import MongoViews
import ReadModels
import Engine

/// Sums over all sessions, as the projector keeps them. That they are right after crashes, redelivery,
/// retries and swaps is tested where these are: every fixture compares them.
@Suite("Kept totals", .timeLimit(.minutes(10)))
struct TotalsTests {
    /// Takes away what an earlier version of the program did not keep.
    private func makeOld(_ fixture: ReplayFixture) throws {
        func update(_ name: MongoNamespace, _ filter: BSONDocument, _ change: BSONDocument) throws {
            try fixture.write(.update(filter: filter, with: change, upsert: false), to: name)
        }
        func without(_ fields: [String]) -> BSONDocument {
            BSONDocument { builder in
                builder.append("$unset") { builder in for field in fields { builder.append(field, "") } }
            }
        }
        for partition in 0..<fixture.store.partitioning.count {
            let name = "\(MongoReadModels.subscription.name)/\(LogPosition.partitionName(partition))"
            try update(
                fixture.collections.checkpoints, BSONDocument { $0.append("_id", name) }, without(["totals"]))
        }
        for id in try Expected(try fixture.events()).folds.keys {
            try update(
                fixture.collections.folds, BSONDocument { $0.append("session_id", id) },
                without(["tally.work", "tally.quality", "tally.dropped_frames"]))
        }
        try update(
            fixture.collections.checkpoints, BSONDocument { $0.append("_id", Checkpoints.markerID) },
            BSONDocument { builder in builder.append("$set") { $0.append("format", int32: 1) } })
    }

    @Test("read models of an earlier version are told apart, answer, and a rebuild makes them whole")
    func upgrade() throws {
        let fixture = try ReplayFixture()
        try fixture.append(fixture.history(seed: 61, sessions: 9))
        try fixture.project()
        let (models, epoch) = (fixture.models, fixture.log.epoch)
        #expect(try models.shortcoming(epoch: epoch) == nil)
        try makeOld(fixture)
        #expect(try models.shortcoming(epoch: epoch) == .earlierFormat)
        // The work that was done before is not known, everything else is.
        let expected = try Expected(try fixture.events()).totals
        var before = try models.queries.totals()
        #expect(before.work.steps == 0 && expected.work.steps > 0)
        before.work = expected.work
        #expect(before == expected)
        #expect(try models.queries.sessionCount(SessionFilter()) == 9)
        // It goes on as it is, and does not take itself for whole.
        try fixture.append(fixture.history(seed: 62, sessions: 3, prefix: "later"))
        try fixture.project()
        #expect(try models.shortcoming(epoch: epoch) == .earlierFormat)
        #expect(try models.queries.keptTotals() == nil)

        #expect(try fixture.replay(verify: true).comparison.differences > 0)
        #expect(try fixture.replay().isSwapped)
        #expect(try models.shortcoming(epoch: epoch) == nil)
        try fixture.expectShown()
        try fixture.append(fixture.history(seed: 63, sessions: 3, prefix: "last"))
        try fixture.project()
        try fixture.expectShown()
    }

    @Test("what is not counted makes a rebuild due even where no document differs")
    func uncounted() throws {
        let fixture = try ReplayFixture(partitions: 2)
        try fixture.append(fixture.history(seed: 64, sessions: 5))
        try fixture.project()
        let name = "\(MongoReadModels.subscription.name)/p001"
        let lost = BSONDocument { builder in builder.append("$unset") { $0.append("totals", "") } }
        try fixture.write(
            .update(filter: BSONDocument { $0.append("_id", name) }, with: lost, upsert: false),
            to: fixture.collections.checkpoints)
        let epoch = fixture.log.epoch
        #expect(try fixture.models.shortcoming(epoch: epoch) == .unknownTotals(partitions: [1]))
        try fixture.expectShown(counted: false)
        let outcome = try fixture.replay()
        #expect(outcome.isSwapped && outcome.comparison.differences == 0)
        #expect(try fixture.models.shortcoming(epoch: epoch) == nil)
        try fixture.expectShown()
        // With nothing missing there is nothing to do.
        let again = try fixture.replay()
        #expect(!again.isSwapped)
    }

    @Test("sums that are wrong are found and mended")
    func wrong() throws {
        let fixture = try ReplayFixture(partitions: 1)
        try fixture.append(fixture.history(seed: 65, sessions: 4))
        try fixture.project()
        let name = "\(MongoReadModels.subscription.name)/p000"
        let change = BSONDocument { builder in
            builder.append("$set") { $0.append("totals.chunks", int64: Int64(1)) }
        }
        try fixture.write(
            .update(filter: BSONDocument { $0.append("_id", name) }, with: change, upsert: false),
            to: fixture.collections.checkpoints)
        let found = try fixture.replay(verify: true).comparison
        #expect(
            found.listed == [
                ReadModelDifference(collection: "checkpoints", key: "p000", .changed(["totals"]))
            ])
        #expect(try fixture.replay().isSwapped)
        try fixture.expectShown()
    }

    @Test("a session that was mended alone leaves its partition uncounted, not wrong")
    func oneSession() throws {
        let fixture = try ReplayFixture(partitions: 1)
        try fixture.append(fixture.history(seed: 66, sessions: 4))
        try fixture.project()
        let bytes = BSONDocument { builder in
            builder.append("$set") { $0.append("tally.size_bytes", int64: Int64(1)) }
        }
        try fixture.write(
            .update(
                filter: BSONDocument { $0.append("session_id", "sess-1") }, with: bytes, upsert: false),
            to: fixture.collections.folds)
        #expect(try fixture.replay(.history("sess-1")).isSwapped)
        #expect(try fixture.models.queries.keptTotals() == nil)
        #expect(try fixture.models.shortcoming(epoch: fixture.log.epoch) != nil)
        try fixture.expectShown(counted: false)
        #expect(try fixture.replay().isSwapped)
        try fixture.expectShown()
    }

    @Test("a deleted session takes its bytes along, and leaves the work that was done")
    func deleted() throws {
        let fixture = try ReplayFixture(partitions: 1)
        try fixture.append(fixture.history(seed: 67, sessions: 6))
        try fixture.project()
        let before = try fixture.models.queries.totals()
        let gone = try #require(
            try Expected(try fixture.events()).folds.values.first { $0.tally.storedFileBytes > 0 })
        let deletion = ProposedEvent(
            sample: RecordingEvent.session(.deleted(sessionID: gone.sessionID)), id: "gone",
            time: SystemClock().now(), context: EventContext(source: "/test", actor: .system("test")))
        _ = try fixture.store.append([deletion], to: gone.sessionID, expecting: .any)
        try fixture.project()
        let after = try fixture.models.queries.totals()
        #expect(after.sessions.values.reduce(0, +) == before.sessions.values.reduce(0, +) - 1)
        #expect(after.storedBytes == before.storedBytes - gone.tally.storedFileBytes)
        #expect(after.work == before.work && after.sessions[.deleted] == nil)
        try fixture.expectShown()
    }
}
