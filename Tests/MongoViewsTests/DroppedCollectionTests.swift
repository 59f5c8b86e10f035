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

/// What somebody drops, renames or spoils is noticed while the projector runs, and built again; what others
/// have set on the collections stays.
@Suite("Dropped collections", .timeLimit(.minutes(10)))
struct DroppedCollectionTests {
    private let fixture: ReplayFixture

    init() throws { fixture = try ReplayFixture(partitions: 2) }

    private var shown: Collections { fixture.collections }

    private func command(_ name: MongoNamespace, _ build: (inout BSONBuilder) -> Void) throws {
        try fixture.pool.withClient { (client) throws(MongoFailure) in
            _ = try client.command(BSONDocument(build), operation: "test", on: name)
        }
    }

    private func drop(_ name: MongoNamespace) throws {
        try fixture.pool.withClient { (client) throws(MongoFailure) in try client.dropCollection(name) }
    }

    /// What the roles do: project, and build again what is short.
    private func running(_ body: () throws -> Void) throws {
        let stop = StopSignal()
        let (models, log) = (fixture.models, fixture.log)
        let projecting = try OwnThread(name: "projector") {
            var limits = MongoProjection.Limits()
            limits.lookMilliseconds = 200
            let projection = models.projection(epoch: log.epoch, log: try log.open(), limits: limits)
            try ProjectionWorker(projection: projection, log: log, report: .silent).run(stop: stop)
        }
        let rebuilding = try OwnThread(name: "rebuilder") {
            while !stop.wait(milliseconds: 200) {
                guard let lack = try? models.shortcoming(epoch: log.epoch, isQuick: true) else { continue }
                guard case .lostCollections = lack else { continue }
                let rebuild = models.rebuild(
                    .everything, epoch: log.epoch, log: try log.open(), programVersion: "test",
                    worker: "a test")
                let replay = try Replay(rebuild, scope: .everything, log: log, stop: stop)
                do { _ = try replay.run(verifyOnly: false) } catch { try? rebuild.suspend() }
            }
        }
        defer {
            stop.set()
            _ = projecting.wait(milliseconds: 20_000)
            _ = rebuilding.wait(milliseconds: 20_000)
        }
        try body()
    }

    private func eventually(_ what: String, _ condition: () throws -> Bool) throws {
        let pause = StopSignal()
        let deadline = ContinuousClock.now + .seconds(60)
        // A query that was under way when its collection was dropped, or replaced, says so.
        func holds() throws -> Bool {
            do { return try condition() } catch let failure as MongoFailure where failure.kind == .busy {
                return false
            }
        }
        while !(try holds()) {
            try #require(ContinuousClock.now < deadline, "not within 60 s: \(what)")
            _ = pause.wait(milliseconds: 20)
        }
    }

    private func isWhole() throws -> Bool {
        // Between two steps of a swap there may be nothing.
        guard let expected = try? Expected(fixture.events()) else { return false }
        return try fixture.pool.withClient { (client) throws(MongoFailure) in
            let counts = [
                (shown.sessions, expected.sessions.count), (shown.chunks, expected.chunks.count),
                (shown.pipeline, expected.pipelines.count), (shown.folds, expected.folds.count),
            ]
            for (name, count) in counts where try client.count(.empty, in: name) != Int64(count) {
                return false
            }
            for (name, indexes) in shown.indexes {
                let found = Set(try client.indexes(of: name).map(\.name))
                if !found.isSuperset(of: indexes.map(\.name)) { return false }
            }
            return true
        }
    }

    /// What somebody does to one of the collections.
    enum Deed: Sendable { case drop, rename, dropIndexes, dropDatabase }

    private static let deeds: [(Deed, String)] =
        ["sessions", "chunks", "pipeline", "folds", "audit", "checkpoints"].map { (.drop, $0) }
        + [
            (.rename, "sessions"), (.dropIndexes, "sessions"), (.dropIndexes, "chunks"),
            (.dropDatabase, "all of them"),
        ]

    @Test(
        "it is noticed while the projector runs, and whole again with its indexes", arguments: deeds)
    func whileRunning(_ deed: Deed, _ collection: String) throws {
        let name = MongoNamespace(database: shown.database, collection: collection)
        try fixture.append(fixture.history(seed: 31, sessions: 6))
        try running {
            try eventually("everything is shown") { try isWhole() }
            switch deed {
            case .drop: try drop(name)
            case .rename:
                let other = MongoNamespace(database: name.database, collection: "mine")
                try fixture.pool.withClient { (client) throws(MongoFailure) in
                    _ = try client.rename(name, to: other)
                }
            case .dropIndexes:
                try command(name) { builder in
                    builder.append("dropIndexes", name.collection)
                    builder.append("index", "*")
                }
            case .dropDatabase: try fixture.models.drop()
            }
            // More arrives, so that the server makes again by itself what was dropped.
            try fixture.append(fixture.history(seed: 32, sessions: 3, prefix: "later"))
            try eventually("everything is there again") { try isWhole() }
            try eventually("nothing is short any more") {
                try fixture.models.shortcoming(epoch: fixture.log.epoch, isQuick: true) == nil
            }
        }
        try fixture.expectShown(counted: false)
    }

    @Test("what was dropped while nothing ran is noticed at the next start, once")
    func whileStopped() throws {
        try fixture.append(fixture.history(seed: 33, sessions: 5))
        try fixture.project()
        try drop(shown.chunks)
        let failure = #expect(throws: ProjectionFailure.self) { try fixture.projection().checkpoints() }
        #expect(failure?.description.contains("\(shown.chunks) was dropped or renamed") == true)
        #expect(failure?.isTransient == true)
        let epoch = fixture.log.epoch
        #expect(try fixture.models.shortcoming(epoch: epoch) == .lostCollections(["\(shown.chunks)"]))
        // Said once, and not forgotten.
        #expect(throws: Never.self) { try fixture.projection().checkpoints() }
        #expect(try fixture.models.shortcoming(epoch: epoch) == .lostCollections(["\(shown.chunks)"]))
        #expect(try fixture.replay().isSwapped)
        #expect(try fixture.models.shortcoming(epoch: epoch) == nil)
        #expect(throws: Never.self) { try fixture.projection().checkpoints() }
        try fixture.expectShown()
    }

    @Test("documents that stand twice, where the unique index was gone, are built again")
    func twice() throws {
        try fixture.append(fixture.history(seed: 34, sessions: 5))
        try fixture.project()
        try fixture.pool.withClient { (client) throws(MongoFailure) in
            try client.dropIndex("session_id_1", on: shown.sessions)
        }
        try fixture.write(.insert(BSONDocument { $0.append("session_id", "sess-1") }), to: shown.sessions)
        let failure = #expect(throws: ProjectionFailure.self) { try fixture.projection().checkpoints() }
        #expect(failure?.description.contains("holds documents twice") == true)
        #expect(throws: Never.self) { try fixture.projection().checkpoints() }
        #expect(try fixture.replay().isSwapped)
        try fixture.expectShown()
        #expect(throws: Never.self) { try fixture.projection().checkpoints() }
    }

    @Test("a view in the place of a collection is named, and waited for")
    func view() throws {
        try drop(shown.pipeline)
        try command(shown.sessions) { builder in
            builder.append("create", "pipeline")
            builder.append("viewOn", "sessions")
            builder.append("pipeline", array: [String]())
        }
        let failure = #expect(throws: ProjectionFailure.self) { try fixture.projection().checkpoints() }
        #expect(failure?.remedy == .operators)
        #expect(failure?.description.contains("view") == true, "\(String(describing: failure))")
        try drop(shown.pipeline)
        try fixture.append(fixture.history(seed: 35, sessions: 2))
        try fixture.project()
        try fixture.expectShown()
    }

    // MARK: - Rules of others

    private func rules(of name: MongoNamespace) throws -> (options: BSONDocument, indexes: Set<String>) {
        try fixture.pool.withClient { (client) throws(MongoFailure) in
            let facts = try client.collections(in: name.database).first { $0.name == name.collection }
            return (facts?.options ?? .empty, Set(try client.indexes(of: name).map(\.name)))
        }
    }

    private func addIndex(_ index: String, _ field: String) throws {
        try command(shown.sessions) { builder in
            builder.append("createIndexes", "sessions")
            builder.append("indexes", array: [0]) { builder, key, _ in
                builder.append(key) { builder in
                    builder.append("key") { $0.append(field, int32: -1) }
                    builder.append("name", index)
                    builder.append("partialFilterExpression") { $0.append("status", "completed") }
                }
            }
        }
    }

    @Test("a replay keeps others' indexes, validators, options and views")
    func kept() throws {
        try fixture.append(fixture.history(seed: 36, sessions: 6))
        try fixture.project()
        try addIndex("mine", "name")
        try command(shown.sessions) { builder in
            builder.append("collMod", "sessions")
            builder.append("validator") { builder in
                builder.append("name") { $0.append("$type", "string") }
            }
            builder.append("validationLevel", "moderate")
            builder.append("validationAction", "warn")
        }
        try command(shown.sessions) { builder in
            builder.append("create", "names")
            builder.append("viewOn", "sessions")
            builder.append("pipeline", array: [0]) { builder, key, _ in
                builder.append(key) { builder in builder.append("$project") { $0.append("name", int32: 1) } }
            }
        }
        let before = try rules(of: shown.sessions)
        #expect(before.options != .empty && before.indexes.contains("mine"))
        try fixture.tamper(shown.sessions, "session_id", "sess-1", "name", "x")
        #expect(try fixture.replay().isSwapped)
        let after = try rules(of: shown.sessions)
        #expect(after.options == before.options)
        #expect(after.indexes == before.indexes)
        let names = try fixture.pool.withClient { (client) throws(MongoFailure) in
            try client.count(
                .empty, in: MongoNamespace(database: shown.database, collection: "names"))
        }
        #expect(names == 6)
        try fixture.expectShown()
    }

    @Test("indexes that come and go while it is built are those of the end, and changed options stop it")
    func changed() throws {
        try fixture.append(fixture.history(seed: 37, sessions: 4))
        try fixture.project()
        try addIndex("old", "name")
        let rebuild = fixture.rebuild()
        _ = try rebuild.begin()
        try rebuild.apply(try fixture.events())
        try rebuild.apply([])
        try fixture.pool.withClient { (client) throws(MongoFailure) in
            try client.dropIndex("old", on: shown.sessions)
        }
        try addIndex("new", "status")
        try rebuild.hold(milliseconds: 10_000)
        #expect(try rebuild.swap())
        let indexes = try rules(of: shown.sessions).indexes
        #expect(indexes.contains("new") && !indexes.contains("old"))
        try fixture.expectShown()

        let second = fixture.rebuild()
        _ = try second.begin()
        try command(shown.sessions) { builder in
            builder.append("collMod", "sessions")
            builder.append("validator") { builder in
                builder.append("name") { $0.append("$type", "string") }
            }
        }
        let failure = #expect(throws: ProjectionFailure.self) { try second.hold(milliseconds: 10_000) }
        #expect(failure?.description.contains("options were changed") == true)
        try second.suspend()
        // What was begun under other rules does not count.
        try fixture.tamper(shown.sessions, "session_id", "sess-1", "name", "x")
        #expect(try fixture.replay().isSwapped)
        #expect(try rules(of: shown.sessions).options != .empty)
        try fixture.expectShown()
    }

    @Test("a rebuild that lost a collection of its own begins afresh")
    func ownLost() throws {
        try fixture.append(fixture.history(seed: 38, sessions: 4))
        try fixture.project()
        try fixture.tamper(shown.sessions, "session_id", "sess-1", "name", "x")
        let rebuild = fixture.rebuild()
        _ = try rebuild.begin()
        try rebuild.apply(try fixture.events())
        try rebuild.apply([])
        let built = Collections(database: shown.database, rebuild: rebuild.id)
        try rebuild.suspend()
        try drop(built.sessions)
        #expect(try fixture.replay().isSwapped)
        try fixture.expectShown()
    }

    @Test("a collection of somebody's whose name looks like a rebuild's is left alone")
    func others() throws {
        let names = ["replay_mine", "replay_0123456789abcdef_notes", "replay_statistics_sessions"].map {
            MongoNamespace(database: shown.database, collection: $0)
        }
        for name in names { try fixture.write(.insert(BSONDocument { $0.append("a", "b") }), to: name) }
        try fixture.append(fixture.history(seed: 39, sessions: 2))
        try fixture.project()
        try fixture.tamper(shown.sessions, "session_id", "sess-1", "name", "x")
        #expect(try fixture.replay().isSwapped)
        for name in names {
            let count = try fixture.pool.withClient { (client) throws(MongoFailure) in
                try client.count(.empty, in: name)
            }
            #expect(count == 1, "\(name)")
        }
    }
}
