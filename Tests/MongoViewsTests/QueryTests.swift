import Base
import EventSourcing
import Recording
@testable import RecordingMongo
import TestServers
import Testing

@testable import MongoViews
import ReadModels

@Suite("Queries and keys", .timeLimit(.minutes(10)))
struct QueryTests {
    private static func models(_ log: [RecordedEvent]) throws -> (MongoReadModels, MongoPool, String) {
        let server = try TestMongo.shared
        let database = server.freshDatabaseName("queries")
        let pool = try MongoPool(MongoSettings(url: server.url))
        let models = MongoReadModels(pool, RecordingViews.all, database: database)
        let projection = models.projection(epoch: "one")
        _ = try projection.checkpoints()
        try projection.apply(log)
        return (models, pool, database)
    }

    @Test("filters, order and pages are those of the folds")
    func sessions() throws {
        var histories = Histories(seed: 21)
        let log = histories.log(sessions: 30)
        let queries = try Self.models(log).0.queries
        let expected = try Expected(log).sessions.values.sorted {
            ($0.createdAt, $0.sessionID) > ($1.createdAt, $1.sessionID)
        }
        let all = try queries.sessions(SessionFilter(), Page(limit: 100))
        #expect(all == expected)
        let second = try queries.sessions(SessionFilter(), Page(limit: 7, offset: 7))
        #expect(second == Array(expected[7..<14]))
        #expect(try queries.sessions(SessionFilter(), Page(limit: 0)).isEmpty)

        var filter = SessionFilter()
        filter.status = .completed
        filter.project = "atlas"
        filter.tag = "green"
        let matching = expected.filter {
            $0.status == .completed && $0.metadata.project == "atlas" && $0.metadata.tags.contains("green")
        }
        #expect(try queries.sessions(filter, Page(limit: 100)) == matching)
        #expect(try queries.sessionCount(filter) == matching.count)
        filter.owner = "nobody"
        #expect(try queries.sessionCount(filter) == 0)
        #expect(try queries.session("absent") == nil)
        #expect(try queries.pipeline(ofSession: "absent") == nil)
    }

    @Test("totals are sums over the sessions")
    func totals() throws {
        var histories = Histories(seed: 22)
        let log = histories.log(sessions: 20)
        let queries = try Self.models(log).0.queries
        let totals = try queries.totals()
        let sessions = try Expected(log).sessions.values
        #expect(totals.sessions.values.reduce(0, +) == 20)
        #expect(totals.chunks == sessions.reduce(0) { $0 + $1.statistics.chunksCount })
        #expect(totals.sizeBytes == sessions.reduce(0) { $0 + $1.statistics.sizeBytes })
        #expect(totals.durationSeconds == sessions.reduce(0) { $0 + $1.statistics.durationSeconds })
        #expect(totals.errors == sessions.reduce(0) { $0 + $1.statistics.errorCount })
        #expect(totals.startedCount == sessions.filter { $0.startedAt != nil }.count)
        let folds = try Expected(log).folds
        var work = WorkTally()
        for fold in folds.values { work.add(fold.tally.work) }
        #expect(totals.work.chunks == work.chunks && totals.work.steps == work.steps)
        #expect(abs(totals.work.sum_ms - work.sum_ms) < 1e-6 * work.sum_ms)
        #expect(totals.work.minimum_ms == work.minimum_ms && totals.work.maximum_ms == work.maximum_ms)
        #expect(totals.work.failures == work.failures && work.chunks > 0)
        #expect(totals.storedBytes == folds.values.reduce(0) { $0 + $1.tally.storedFileBytes })
        #expect(totals.storedChunks == folds.values.reduce(0) { $0 + $1.tally.storedCount })
        #expect(totals.storedOriginalBytes == folds.values.reduce(0) { $0 + $1.tally.storedOriginalBytes })
        #expect(totals.storedPayloadBytes == folds.values.reduce(0) { $0 + $1.tally.storedPayloadBytes })
        for (id, fold) in folds {
            let shown = try queries.statistics(ofSession: id)
            #expect(shown == SessionStatisticsResponse(fold))
        }
        #expect(try queries.statistics(ofSession: "absent") == nil)
    }

    @Test("chunks come in the order of their numbers, by status and time")
    func chunks() throws {
        var histories = Histories(seed: 23)
        let log = histories.log(sessions: 2, chunks: 12...12)
        let queries = try Self.models(log).0.queries
        let expected = try Expected(log).chunks.values.filter { $0.sessionID == "sess-1" }
            .sorted { $0.sequenceNumber < $1.sequenceNumber }
        #expect(try queries.chunks(ofSession: "sess-1", ChunkFilter(), Page(limit: 1000)) == expected)
        var filter = ChunkFilter()
        filter.status = .stored
        filter.from = expected[4].timestamp
        filter.to = expected[9].timestamp
        let matching = expected.filter {
            $0.status == .stored && $0.timestamp >= expected[4].timestamp
                && $0.timestamp <= expected[9].timestamp
        }
        #expect(try queries.chunks(ofSession: "sess-1", filter, Page(limit: 1000)) == matching)
        #expect(try queries.chunkCount(ofSession: "sess-1", filter) == matching.count)
        #expect(try queries.chunk(expected[0].chunkID) == expected[0])
        #expect(try queries.chunk("absent") == nil)
    }

    /// The names of every document's fields are exactly those of seed 000, `version` and `log_position`, in
    /// each of its states; what the seed does not know of sessions stands below `reel`.
    @Test("documents have the fields that the schema names, and no others")
    func fields() throws {
        var histories = Histories(seed: 24)
        let (_, pool, database) = try Self.models(histories.log(sessions: 5))
        let expected: [String: Set<String>] = [
            "sessions": [
                "_id", "session_id", "name", "status", "created_at", "started_at", "stopped_at", "rdp_config",
                "recording_config", "storage_config", "metadata", "statistics", "updated_at", "version",
                "log_position", "reel",
            ],
            "chunks": [
                "_id", "chunk_id", "session_id", "sequence_number", "timestamp", "status", "size_bytes",
                "duration_seconds", "frame_count", "merkle_hash", "storage_path", "compression_ratio",
                "quality_score", "encryption_key_id", "created_at", "processed_at", "updated_at", "version",
                "log_position",
            ],
            "pipeline": [
                "_id", "session_id", "pipeline_status", "stages", "overall_metrics", "created_at",
                "updated_at", "version", "log_position",
            ],
        ]
        try pool.withClient { (client) throws(MongoFailure) in
            for (collection, names) in expected {
                let name = MongoNamespace(database: database, collection: collection)
                let found = try client.find(MongoFind(), in: name) { (fields) throws(BSONError) in
                    Set(fields.names)
                }
                #expect(!found.isEmpty && found.allSatisfy { $0 == names }, "\(collection)")
            }
        }
    }

    @Test("a kept key that somebody has changed is named as that, not as a server that is away")
    func changedKeys() throws {
        let server = try TestMongo.shared
        let pool = try MongoPool(MongoSettings(url: server.url))
        let database = server.freshDatabaseName("vault")
        let name = MongoNamespace(database: database, collection: "keys")
        let records = try MongoKeyArchive(pool, database: database).open()
        for field in ["key_id", "kek_id", "nonce", "ciphertext", "created_at"] {
            let session = "s-\(field)"
            _ = try records.keep(
                KeyRecord(
                    sessionID: session, keyID: "k-\(field)", keyEncryptionKeyID: "kek-1",
                    nonce: [UInt8](repeating: 1, count: 24), ciphertext: [UInt8](repeating: 2, count: 48),
                    createdAt: Timestamp(milliseconds: 1)))
            try pool.withClient { (client) throws(MongoFailure) in
                let filter = BSONDocument { $0.append("session_id", session) }
                let change = BSONDocument { $0.append("$set") { $0.append(field, true) } }
                _ = try client.bulkWrite([.update(filter: filter, with: change, upsert: false)], to: name)
            }
            let refused = #expect(throws: UnreadableKeyRecord.self) {
                try records.record(ofSession: session)
            }
            #expect(refused?.sessionID == session && refused?.text.contains(field) == true, "\(field)")
        }
    }

    @Test("the first key of a session is kept, and answered ever after")
    func keys() throws {
        let server = try TestMongo.shared
        let pool = try MongoPool(MongoSettings(url: server.url))
        let records = try MongoKeyArchive(pool, database: server.freshDatabaseName("vault")).open()
        func record(_ session: String, _ key: String) -> KeyRecord {
            KeyRecord(
                sessionID: session, keyID: key, keyEncryptionKeyID: "kek-1",
                nonce: [UInt8](repeating: 1, count: 24), ciphertext: [UInt8](repeating: 2, count: 48),
                createdAt: Timestamp(milliseconds: 1_700_000_000_123))
        }
        let first = record("s1", "k1")
        #expect(try records.record(ofSession: "s1") == nil)
        #expect(try records.keep(first) == first)
        #expect(try records.keep(record("s1", "k2")) == first)
        #expect(try records.record(ofSession: "s1") == first)
        #expect(throws: MongoFailure.self) { try records.keep(record("s2", "k1")) }
        #expect(try records.record(ofSession: "s2") == nil)
    }
}
