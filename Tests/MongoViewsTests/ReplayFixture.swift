import Engine
import EventSourcing
import Pipeline
import Recording
@testable import RecordingMongo
import RedisLog
import Supervision
import TestServers
import Testing

@testable import MongoViews
import ReadModels

/// A log in a real Redis and read models in a real MongoDB, both of their own.
struct ReplayFixture {
    let pool: MongoPool
    let models: MongoReadModels
    let collections: Collections
    let log: RedisEventLog
    let store: any EventStore

    /// - Parameters:
    ///   - archive: where older events may be moved to.
    ///   - mongo: a server of its own, whose user has database `reel`.
    init(
        partitions: Int = 4, archive: (any SegmentStore)? = nil, mongo own: TestMongo? = nil
    ) throws {
        let mongo = try own ?? TestMongo.shared
        let redis = try TestRedis.shared
        let database = own == nil ? mongo.freshDatabaseName("replay") : "reel"
        var settings = MongoSettings(url: mongo.url)
        if own != nil { settings.serverSelectionTimeout_ms = 1_000 }
        pool = try MongoPool(settings)
        models = MongoReadModels(pool, RecordingViews.all, database: database)
        collections = Collections(database: database)
        var options = RedisEventLog.Options()
        options.archive = archive
        log = try RedisEventLog.open(
            "\(redis.url)/\(redis.freshDatabase())", createWith: partitions, options: options)
        store = try log.open()
    }

    func append(_ events: [RecordedEvent]) throws {
        for start in stride(from: 0, to: events.count, by: 500) {
            let outcomes = try store.append(
                events[start..<min(events.count, start + 500)].map {
                    AppendBatch(to: $0.partitionKey, expecting: .any, [$0.event])
                })
            for outcome in outcomes {
                guard case .appended = outcome else { throw LogFixtureFailure(outcome: outcome) }
            }
        }
    }

    /// Everything in the log, partition by partition.
    func events() throws -> [RecordedEvent] {
        try (0..<store.partitioning.count).flatMap { partition in
            try store.read(after: .start(of: partition), limit: 1_000_000)
        }
    }

    func projection() -> MongoProjection { models.projection(epoch: log.epoch, log: store) }

    /// What a projector does until it has nothing more to do.
    func project() throws {
        let projection = projection()
        let saved = try projection.checkpoints()
        for event in try events() where event.position > saved[event.position.partition] ?? .start(of: 0) {
            try projection.apply([event])
        }
        try projection.apply([])
    }

    /// As fast as that, in one piece.
    func projectAtOnce() throws {
        let projection = projection()
        _ = try projection.checkpoints()
        try projection.apply(try events())
    }

    func rebuild(_ scope: RebuildScope = .everything, by worker: String = "a test") -> MongoRebuild {
        var limits = MongoProjection.Limits()
        limits.catchUpBatch = 1
        limits.eventsHeld = 300
        let rebuild = models.rebuild(
            scope, epoch: log.epoch, log: store, programVersion: "test", worker: worker, limits: limits)
        rebuild.lease.lease_ms = 300
        return rebuild
    }

    @discardableResult
    func replay(
        _ scope: RebuildScope = .everything, verify: Bool = false, settling_ms: Int = 300
    ) throws -> Replay.Outcome {
        let replay = try Replay(rebuild(scope), scope: scope, log: log, stop: StopSignal())
        replay.settling_ms = settling_ms
        return try replay.run(verifyOnly: verify)
    }

    func write(_ write: MongoWrite, to name: MongoNamespace) throws {
        try pool.withClient { (client) throws(MongoFailure) in
            _ = try client.bulkWrite([write], to: name)
        }
    }

    /// Sets one field of one document, as somebody with a shell would.
    func tamper(
        _ name: MongoNamespace, _ keyName: String, _ key: String, _ field: String, _ value: String
    ) throws {
        try write(
            .update(
                filter: BSONDocument { $0.append(keyName, key) },
                with: BSONDocument { $0.append("$set") { $0.append(field, value) } }, upsert: false), to: name
        )
    }

    func delete(_ name: MongoNamespace, _ keyName: String, _ key: String) throws {
        try pool.withClient { (client) throws(MongoFailure) in
            let filter = BSONDocument { $0.append(keyName, key) }
            _ = try client.perform(MongoTransaction(writes: [(name, .delete(filter: filter))]))
        }
    }

    /// That what is shown is exactly the fold of the log, and that no rebuild left anything.
    /// - Parameter counted: whether the sums must be kept, too.
    func expectShown(counted: Bool = true, _ source: SourceLocation = #_sourceLocation) throws {
        let expected = try Expected(try events())
        try pool.withClient { (client) throws(MongoFailure) in
            let sessions = try client.find(MongoFind(), in: collections.sessions, SessionView.init)
            let pipelines = try client.find(MongoFind(), in: collections.pipeline, PipelineView.init)
            let chunks = try client.find(MongoFind(), in: collections.chunks, ChunkView.init)
            #expect(sessions.count == expected.sessions.count, sourceLocation: source)
            #expect(pipelines.count == expected.pipelines.count, sourceLocation: source)
            #expect(chunks.count == expected.chunks.count, sourceLocation: source)
            let differing =
                sessions.filter { expected.sessions[$0.sessionID] != $0 }.map(\.sessionID)
                + pipelines.filter { expected.pipelines[$0.sessionID] != $0 }.map(\.sessionID)
                + chunks.filter { expected.chunks[$0.chunkID] != $0 }.map(\.chunkID)
            #expect(differing.isEmpty, "\(differing.prefix(10))", sourceLocation: source)
            let left = try client.collectionNames(
                in: collections.database, startingWith: Collections.rebuildPrefix)
            #expect(left.isEmpty, sourceLocation: source)
        }
        let kept = try models.queries.keptTotals()
        #expect(kept == expected.totals || (kept == nil && !counted), sourceLocation: source)
    }

    func history(seed: UInt64, sessions: Int, prefix: String = "sess") -> [RecordedEvent] {
        var histories = Histories(seed: seed, partitions: store.partitioning.count, prefix: prefix)
        return histories.log(sessions: sessions, chunks: 1...6)
    }
}

struct LogFixtureFailure: Error {
    let outcome: AppendOutcome
}
