import EventSourcing
import Recording
@testable import RecordingMongo
import TestServers
import Testing

@testable import MongoViews
import ReadModels

@Suite("Projection", .timeLimit(.minutes(10)))
struct ProjectionTests {
    /// Read models in a database of their own.
    private struct Fixture {
        let pool: MongoPool
        let models: MongoReadModels
        let collections: Collections

        init(_ server: TestMongo) throws {
            let database = server.freshDatabaseName("views")
            pool = try MongoPool(MongoSettings(url: server.url))
            models = MongoReadModels(pool, RecordingViews.all, database: database)
            collections = Collections(database: database)
        }

        /// One that knows where it begins.
        func begun(log: (any EventStore)? = nil) throws -> MongoProjection {
            let projection = projection(log: log)
            _ = try projection.checkpoints()
            return projection
        }

        /// Small caches, so that states are loaded again and again.
        func projection(
            epoch: String = "one", log: (any EventStore)? = nil, held: Int = 0
        ) -> MongoProjection {
            var limits = MongoProjection.Limits()
            limits.states = FolderLimits(histories: 3, parts: 5)
            limits.keysPerQuery = 4
            limits.catchUpBatch = 15
            limits.eventsHeld = held
            return models.projection(epoch: epoch, log: log, limits: limits)
        }

        func expect(_ log: [RecordedEvent], _ source: SourceLocation = #_sourceLocation) throws {
            let expected = try Expected(log)
            try pool.withClient { (client) throws(MongoFailure) in
                let everything = MongoFind()
                let sessions = try client.find(everything, in: collections.sessions, SessionView.init)
                let pipelines = try client.find(everything, in: collections.pipeline, PipelineView.init)
                let chunks = try client.find(everything, in: collections.chunks, ChunkView.init)
                #expect(sessions.count == expected.sessions.count, sourceLocation: source)
                #expect(chunks.count == expected.chunks.count, sourceLocation: source)
                #expect(pipelines.count == expected.pipelines.count, sourceLocation: source)
                for session in sessions {
                    #expect(session == expected.sessions[session.sessionID], sourceLocation: source)
                }
                for pipeline in pipelines {
                    #expect(pipeline == expected.pipelines[pipeline.sessionID], sourceLocation: source)
                }
                for chunk in chunks {
                    #expect(chunk == expected.chunks[chunk.chunkID], sourceLocation: source)
                }
            }
        }
    }

    private static func position(_ event: RecordedEvent?) -> LogPosition? { event?.position }

    @Test(
        "incremental building with redelivery equals the fold of the log",
        arguments: [0, 0, 0, 1, 60, 60, 60])
    func redelivery(_ held: Int) throws {
        let seed = UInt64.random(in: .min ... .max)
        print("seed \(seed)")
        var histories = Histories(seed: seed)
        let log = histories.log(sessions: 12)
        let fixture = try Fixture(TestMongo.shared)
        let store = HistoryStore(log, histories.partitioning)
        let projection = fixture.projection(log: store, held: held)
        _ = try projection.checkpoints()
        for batch in histories.redelivered(log) { try projection.apply(batch) }
        try projection.apply([])
        try fixture.expect(log)
        #expect(try fixture.models.queries.keptTotals() == Expected(log).totals, "seed \(seed)")
        #expect(projection.repairs == 0, "seed \(seed)")
        let ends = Dictionary(log.map { ($0.position.partition, $0.position) }, uniquingKeysWith: max)
        #expect(try fixture.projection().checkpoints() == ends, "seed \(seed)")

        // A second projection that begins at the log's beginning changes nothing.
        try fixture.begun(log: store).apply(log)
        try fixture.expect(log)
        #expect(try fixture.models.queries.keptTotals() == Expected(log).totals, "seed \(seed)")
    }

    @Test("two owners of the same partitions, one behind the other, leave what one would")
    func twoOwners() throws {
        var histories = Histories(seed: 7)
        let log = histories.log(sessions: 8)
        let fixture = try Fixture(TestMongo.shared)
        let store = HistoryStore(log, histories.partitioning)
        let stale = try fixture.begun(log: store)
        let fresh = try fixture.begun(log: store)
        let (ahead, behind) = (histories.redelivered(log), histories.redelivered(log))
        for turn in 0..<max(ahead.count, behind.count) {
            if turn < ahead.count { try fresh.apply(ahead[turn]) }
            if turn >= 3, turn - 3 < behind.count { try stale.apply(behind[turn - 3]) }
        }
        for turn in max(0, behind.count - 3)..<behind.count { try stale.apply(behind[turn]) }
        try fixture.expect(log)
        #expect(try fixture.models.queries.keptTotals() == Expected(log).totals)
    }

    @Test("a gap is named and nothing is skipped")
    func gap() throws {
        var histories = Histories(seed: 3)
        let log = histories.log(sessions: 1, chunks: 3...3)
        let fixture = try Fixture(TestMongo.shared)
        let projection = try fixture.begun()
        try projection.apply(Array(log[..<4]))
        let failure = #expect(throws: ProjectionFailure.self) { try projection.apply(Array(log[5...])) }
        let expected = ProjectionFailure.fold(
            .gap(history: "sess-0", contained: 4, given: 6, position: log[5].position))
        #expect(failure == expected)
        #expect(failure?.isTransient == true)
        #expect(failure?.description.contains("sess-0") == true)
        let checkpoint = try projection.checkpoints()[log[3].position.partition]
        #expect(checkpoint == log[3].position)
        try projection.apply(Array(log[4...]))
        try fixture.expect(log)
    }

    @Test("with the log at hand a gap is repaired and counted")
    func repair() throws {
        var histories = Histories(seed: 4)
        let log = histories.log(sessions: 3, chunks: 3...5)
        let fixture = try Fixture(TestMongo.shared)
        try fixture.begun().apply(Array(log[..<20]))
        try fixture.pool.withClient { (client) throws(MongoFailure) in
            for name in [fixture.collections.folds, fixture.collections.chunks] {
                let request = BSONDocument { builder in
                    builder.append("delete", name.collection)
                    builder.append("deletes", array: [0]) { builder, key, _ in
                        builder.append(key) { builder in
                            builder.append("q") { _ in }
                            builder.append("limit", int32: 0)
                        }
                    }
                }
                _ = try client.command(request, operation: "delete", on: name)
            }
        }
        let projection = try fixture.begun(log: HistoryStore(log, histories.partitioning))
        try projection.apply(Array(log[20...]))
        #expect(projection.repairs > 0)
        try fixture.expect(log)
    }

    @Test("a dropped database is noticed and built again")
    func dropped() throws {
        var histories = Histories(seed: 5)
        let log = histories.log(sessions: 6)
        let fixture = try Fixture(TestMongo.shared)
        let projection = try fixture.begun()
        try projection.apply(Array(log[..<40]))
        #expect(try projection.isIntact())
        try fixture.models.drop()
        #expect(try !projection.isIntact())
        #expect(throws: ProjectionFailure.checkpointsLost(database: fixture.collections.database)) {
            try projection.apply([])
        }
        let failure = #expect(throws: ProjectionFailure.self) {
            try projection.apply(Array(log[40..<60]))
        }
        #expect(failure == .checkpointsLost(database: fixture.collections.database))
        #expect(try projection.checkpoints().isEmpty)
        try projection.apply(log)
        try fixture.expect(log)
        let names = try fixture.pool.withClient { (client) throws(MongoFailure) in
            try Self.indexNames(of: fixture.collections.chunks, client)
        }
        #expect(names.contains("chunk_id_1") && names.contains("session_id_1_sequence_number_1"))
    }

    @Test("read models of another log are refused, untouched")
    func otherLog() throws {
        var histories = Histories(seed: 6)
        let log = histories.log(sessions: 2)
        let fixture = try Fixture(TestMongo.shared)
        try fixture.begun().apply(log)
        let failure = #expect(throws: ProjectionFailure.self) {
            _ = try fixture.projection(epoch: "two").checkpoints()
        }
        let database = fixture.collections.database
        #expect(failure == .otherLog(database: database, found: "one", expected: "two"))
        try fixture.expect(log)
    }

    @Test("an event that cannot be understood is named, and those before it stay unsaved")
    func malformed() throws {
        var histories = Histories(seed: 8)
        var log = histories.log(sessions: 1)
        log[2].event.data = Array("{\"session_id\":7}".utf8)
        let projection = try Fixture(TestMongo.shared).begun()
        let failure = #expect(throws: ProjectionFailure.self) { try projection.apply(log) }
        guard case .fold(.malformed(_, "sess-0", log[2].position)) = failure else {
            Issue.record("\(String(describing: failure))")
            return
        }
        #expect(try projection.checkpoints().isEmpty)
    }

    static func indexNames(
        of name: MongoNamespace, _ client: borrowing MongoClient
    ) throws(MongoFailure) -> [String] {
        try client.aggregate([BSONDocument { $0.append("$indexStats") { _ in } }], in: name) {
            (fields) throws(BSONError) in try fields.string("name")
        }
    }
}

/// A log in memory that only answers what repairs ask.
final class HistoryStore: EventStore {
    let partitioning: Partitioning
    let level = FormatLevel.newest
    private let log: [RecordedEvent]

    init(_ log: [RecordedEvent], _ partitioning: Partitioning) {
        self.log = log
        self.partitioning = partitioning
    }

    func load(
        _ partitionKey: String, after sequence: UInt64, limit: Int
    ) throws(LogFailure) -> [RecordedEvent] {
        Array(log.filter { $0.partitionKey == partitionKey && $0.sequence > sequence }.prefix(limit))
    }

    func append(_ batches: [AppendBatch]) throws(LogFailure) -> [AppendOutcome] {
        throw LogFailure(.refusingWrites, operation: "append", key: "", text: "read only")
    }

    func version(of partitionKey: String) throws(LogFailure) -> UInt64 {
        log.last { $0.partitionKey == partitionKey }?.sequence ?? 0
    }

    func read(after position: LogPosition, limit: Int) throws(LogFailure) -> [RecordedEvent] {
        let partition = log.filter { $0.position.partition == position.partition && $0.position > position }
        return Array(partition.prefix(limit))
    }

    func end(of partition: Int) throws(LogFailure) -> LogPosition {
        log.last { $0.position.partition == partition }?.position ?? .start(of: partition)
    }
}
