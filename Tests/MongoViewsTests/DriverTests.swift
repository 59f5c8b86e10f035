import EventSourcing
import TestServers
import Testing

@testable import MongoViews
import ReadModels

@Suite("Driver", .timeLimit(.minutes(10)))
struct DriverTests {
    private static func pool(_ change: (inout MongoSettings) -> Void = { _ in }) throws -> MongoPool {
        var settings = MongoSettings(url: try TestMongo.shared.url)
        change(&settings)
        return try MongoPool(settings)
    }

    private static func fresh(_ collection: String) throws -> MongoNamespace {
        MongoNamespace(database: try TestMongo.shared.freshDatabaseName("driver"), collection: collection)
    }

    private static func guarded(_ id: String, _ version: Int64) -> MongoWrite {
        .replace(
            filter: BSONDocument { builder in
                builder.append("id", id)
                builder.append("version") { $0.append("$lt", int64: version) }
            },
            with: BSONDocument { builder in
                builder.append("id", id)
                builder.append("version", int64: version)
            }, upsert: true)
    }

    @Test("hello tells the replica set and that it takes writes")
    func hello() throws {
        let hello = try Self.pool().withClient { (client) throws(MongoFailure) in try client.hello() }
        #expect(hello.replicaSet == "reel")
        #expect(hello.isWritable)
    }

    @Test("guard misses are reported by place, and nothing else is lost")
    func guardMisses() throws {
        let name = try Self.fresh("guarded")
        try Self.pool().withClient { (client) throws(MongoFailure) in
            try client.createIndexes([DocumentIndex([("id", 1)], unique: true)], on: name)
            let first = try client.bulkWrite(
                [Self.guarded("a", 5), Self.guarded("b", 1)], to: name, key: "id")
            #expect(first == MongoBulkOutcome(upserted: 2))
            let second = try client.bulkWrite(
                [Self.guarded("a", 5), Self.guarded("b", 2), Self.guarded("a", 3), Self.guarded("c", 1)],
                to: name, key: "id")
            #expect(second == MongoBulkOutcome(matched: 1, upserted: 1, duplicates: [0, 2]))
            var query = MongoFind()
            query.sort = BSONDocument { $0.append("id", int32: 1) }
            let versions = try client.find(query, in: name) { (fields) throws(BSONError) in
                try fields.int("version")
            }
            #expect(versions == [5, 2, 1])
            #expect(try client.count(.empty, in: name) == 3)
        }
    }

    @Test("a refusal beside guard misses is thrown with the server's code")
    func refusal() throws {
        let name = try Self.fresh("refused")
        let failure = #expect(throws: MongoFailure.self) {
            try Self.pool().withClient { (client) throws(MongoFailure) in
                try client.createIndexes([DocumentIndex([("id", 1)], unique: true)], on: name)
                _ = try client.bulkWrite([Self.guarded("a", 5)], to: name, key: "id")
                let impossible = MongoWrite.update(
                    filter: BSONDocument { $0.append("id", "a") },
                    with: BSONDocument { builder in
                        builder.append("$inc") { $0.append("id", int32: 1) }
                    }, upsert: false)
                _ = try client.bulkWrite([Self.guarded("a", 3), impossible], to: name, key: "id")
            }
        }
        #expect(failure?.code == 14)
        #expect(failure?.collection == name.description)
        #expect(failure?.isTransient == false)
    }

    @Test("find pages, sorts and projects")
    func paging() throws {
        let name = try Self.fresh("paged")
        let found = try Self.pool().withClient { (client) throws(MongoFailure) in
            _ = try client.bulkWrite(
                (0..<250).map { number in
                    .insert(
                        BSONDocument { builder in
                            builder.append("n", int32: Int32(number))
                            builder.append("other", "x")
                        })
                }, to: name)
            var query = MongoFind(skip: 10, limit: 130)
            query.sort = BSONDocument { $0.append("n", int32: -1) }
            query.projection = BSONDocument { $0.append("n", int32: 1) }
            query.batchSize = 20
            return try client.find(query, in: name) { (fields) throws(BSONError) in
                #expect(fields["other"] == nil)
                return try fields.int("n")
            }
        }
        #expect(found == Array((110...239).reversed()))
    }

    @Test("an unreachable server is named without credentials, within the limit")
    func unreachable() throws {
        var settings = MongoSettings(url: "mongodb://someone:sesame@127.0.0.1:9/?authSource=admin")
        settings.serverSelectionTimeout_ms = 300
        settings.connectTimeout_ms = 200
        let pool = try MongoPool(settings)
        let clock = ContinuousClock()
        let start = clock.now
        let failure = #expect(throws: MongoFailure.self) {
            try pool.withClient { (client) throws(MongoFailure) in _ = try client.hello() }
        }
        // Within the limit, and not for ever: a busy machine takes longer than the limit alone.
        #expect(clock.now - start < .seconds(60))
        let text = try #require(failure).description
        #expect(failure?.isUnreachable == true && failure?.isTransient == true)
        #expect(text.contains("127.0.0.1:9"))
        #expect(!text.contains("sesame") && !text.contains("someone"))
    }

    @Test("a connection string that cannot be read is not repeated")
    func badURL() throws {
        let failure = #expect(throws: MongoFailure.self) {
            _ = try MongoPool(MongoSettings(url: "mongo://someone:sesame@host"))
        }
        #expect(failure?.description.contains("sesame") == false)
    }

    @Test("an exhausted pool answers an error and not a hang")
    func exhausted() throws {
        let pool = try Self.pool { settings in
            settings.maxPoolSize = 1
            settings.waitQueueTimeout_ms = 100
        }
        try pool.withClient { (first) throws(MongoFailure) in
            _ = try first.hello()
            let failure = #expect(throws: MongoFailure.self) {
                try pool.withClient { (second) throws(MongoFailure) in _ = try second.hello() }
            }
            #expect(failure?.isTransient == true)
            #expect(failure?.operation == "connection checkout")
        }
        try pool.withClient { (again) throws(MongoFailure) in _ = try again.hello() }
    }

    @Test("dropping a database takes its collections along, and may be repeated")
    func drop() throws {
        let name = try Self.fresh("dropped")
        try Self.pool().withClient { (client) throws(MongoFailure) in
            _ = try client.bulkWrite([Self.guarded("a", 1)], to: name)
            try client.dropDatabase(name.database)
            try client.dropDatabase(name.database)
            #expect(try client.count(.empty, in: name) == 0)
        }
    }
}
