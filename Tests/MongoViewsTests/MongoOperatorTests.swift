import Engine
import Base
import EmbeddedServers
import EventSourcing
import Pipeline
import RedisLog
import Supervision
import TestServers
import Testing

@testable import MongoViews
import ReadModels

/// What somebody who operates MongoDB can put right is named, and waited for.
@Suite("MongoDB's operators", .timeLimit(.minutes(10)))
struct MongoOperatorTests {
    private static func pool(_ url: String, connections: Int32 = 32) throws -> MongoPool {
        var settings = MongoSettings(url: url)
        settings.serverSelectionTimeout_ms = 1_000
        settings.connectTimeout_ms = 1_000
        settings.maxPoolSize = connections
        return try MongoPool(settings)
    }

    private static func failure(_ pool: MongoPool, database: String = "reel") -> MongoFailure? {
        do throws(MongoFailure) {
            try pool.withClient { (client) throws(MongoFailure) in
                _ = try client.bulkWrite(
                    [.insert(BSONDocument { $0.append("secret", "sesame") })],
                    to: MongoNamespace(database: database, collection: "things"))
            }
            return nil
        } catch { return error }
    }

    private static func command(
        _ mongo: TestMongo, url: String? = nil, _ build: (inout BSONBuilder) -> Void
    ) throws {
        let pool = try pool(url ?? mongo.url(of: mongo.logins?.admin))
        let admin = MongoNamespace(database: "admin", collection: "")
        try pool.withClient { (client) throws(MongoFailure) in
            _ = try client.command(BSONDocument(build), operation: "test", on: admin)
        }
    }

    private static func createUser(_ mongo: TestMongo, password: String? = nil) throws {
        let login = try #require(mongo.logins?.readModels)
        try command(mongo) { builder in
            builder.append("createUser", login.user)
            builder.append("pwd", password ?? login.password)
            builder.append("roles", array: [0]) { builder, key, _ in
                builder.append(key) { builder in
                    builder.append("role", "readWrite")
                    builder.append("db", "reel")
                }
            }
        }
    }

    @Test("logins and rights are named, without the command and without a password")
    func denied() throws {
        let mongo = try TestMongo.start(hasUsers: true)
        let login = try #require(mongo.logins?.readModels)
        for wrong in [
            ServerLogin(user: login.user, password: "sesame"),
            ServerLogin(user: "nobody", password: login.password),
        ] {
            let failure = try #require(Self.failure(try Self.pool(mongo.url(of: wrong))))
            #expect(failure.kind == .denied && failure.remedy == .operators, "\(failure)")
            #expect(failure.text == "Authentication failed.")
            #expect(failure.description.contains("ops/docs/servers.md"))
            #expect(!failure.description.contains(wrong.password))
        }
        let nobody = try #require(Self.failure(try Self.pool(mongo.url(of: nil))))
        #expect(nobody.kind == .denied && nobody.text == "command insert requires authentication")
        let other = try #require(Self.failure(try Self.pool(mongo.url), database: "reel_vault"))
        #expect(other.kind == .denied && other.text == "not authorized on reel_vault")
        #expect(!other.description.contains("sesame") && !other.description.contains("lsid"))
        #expect(Self.failure(try Self.pool(mongo.url)) == nil)
    }

    @Test("a replica set of another name, none, and one without a primary are told apart")
    func sets() throws {
        let mongo = try TestMongo.start()
        let url = "mongodb://127.0.0.1:\(mongo.port)/?replicaSet="
        let other = try #require(Self.failure(try Self.pool(url + "reed")))
        #expect(other.kind == .otherSet && other.remedy == .operators, "\(other)")
        #expect(
            other.text.hasSuffix("127.0.0.1:\(mongo.port) is of the replica set reel, and the URL names reed")
        )
        try Self.command(mongo) { builder in
            builder.append("replSetStepDown", int32: 20)
            builder.append("secondaryCatchUpPeriodSecs", int32: 0)
            builder.append("force", true)
        }
        let without = try #require(Self.failure(try Self.pool(url + "reel")))
        #expect(without.kind == .notPrimary && without.remedy == .time, "\(without)")
        #expect(without.text.contains("127.0.0.1:\(mongo.port) answers, and is no primary"))
        let direct = "mongodb://127.0.0.1:\(mongo.port)/?directConnection=true"
        #expect(Self.failure(try Self.pool(direct))?.kind == .notPrimary)
        // Stepping down lasts for its 20 seconds, unless it is ended.
        try Self.command(mongo, url: direct) { $0.append("replSetFreeze", int32: 0) }
        #expect(try eventually { Self.failure(try Self.pool(url + "reel")) == nil })
        let nobody = try #require(Self.failure(try Self.pool("mongodb://127.0.0.1:9/?replicaSet=reel")))
        #expect(nobody.kind == .unreachable && nobody.remedy == .time)
    }

    @Test("a certificate that is missing is named")
    func certificates() throws {
        let mongo = try TestMongo.shared
        let failure = try #require(Self.failure(try Self.pool(mongo.url + "&tls=true")))
        #expect(failure.kind == .certificate && failure.remedy == .operators, "\(failure)")
    }

    @Test("a server that takes no more connections is waited for")
    func crowded() throws {
        let mongo = try TestMongo.start(arguments: ["--maxConns", "6"])
        var pools: [MongoPool] = []
        var failure: MongoFailure?
        for _ in 0..<12 where failure == nil {
            let pool = try Self.pool(mongo.url, connections: 2)
            failure = Self.failure(pool)
            pools.append(pool)
        }
        let found = try #require(failure, "all connections were taken")
        #expect(found.remedy == .time, "\(found)")
        pools = []
        #expect(try eventually { Self.failure(try Self.pool(mongo.url, connections: 2)) == nil })
    }

    private func eventually(_ condition: () throws -> Bool) throws -> Bool {
        let pause = StopSignal()
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            if try condition() { return true }
            _ = pause.wait(milliseconds: 50)
        }
        return false
    }

    /// What somebody takes away from the projector's user, and gives back.
    enum Deed: CaseIterable, Sendable { case user, rights, password }

    @Test(
        "a projector waits for its user, its password and its rights, and goes on", arguments: Deed.allCases)
    func projector(_ deed: Deed) throws {
        let mongo = try TestMongo.start(hasUsers: true)
        let login = try #require(mongo.logins?.readModels)
        let fixture = try ReplayFixture(partitions: 2, mongo: mongo)
        try fixture.append(fixture.history(seed: 71, sessions: 4))
        let told = Lock<[String]>([])
        let report = RoleLog { level, text in
            told.withLock { if level == .error || level == .warning { $0.append(text) } }
        }
        let stop = StopSignal()
        let (models, log) = (fixture.models, fixture.log)
        let thread = try OwnThread(name: "projector") {
            let projection = models.projection(epoch: log.epoch, log: try log.open())
            try ProjectionWorker(projection: projection, log: log, report: report).run(stop: stop)
        }
        defer {
            stop.set()
            _ = thread.wait(milliseconds: 20_000)
        }
        func isCaughtUp() -> Bool {
            guard let expected = try? Expected(fixture.events()).sessions.count else { return false }
            let found = try? fixture.pool.withClient { (client) throws(MongoFailure) in
                try client.count(.empty, in: fixture.collections.sessions)
            }
            return found == Int64(expected)
        }
        #expect(try eventually { isCaughtUp() })
        switch deed {
        case .user: try Self.command(mongo) { $0.append("dropUser", login.user) }
        case .rights:
            try Self.command(mongo) { builder in
                builder.append("updateUser", login.user)
                builder.append("roles", array: [String]())
            }
        case .password:
            // A user that is made anew logs everybody out.
            try Self.command(mongo) { $0.append("dropUser", login.user) }
            try Self.createUser(mongo, password: "another")
        }
        try fixture.append(fixture.history(seed: 72, sessions: 3, prefix: "later"))
        #expect(try eventually { report.outages.current.contains { $0.remedy == .operators } })
        #expect(told.withLock { $0.contains { $0.contains("ops/docs/servers.md") } })
        #expect(!told.withLock { $0.joined() }.contains(login.password))
        switch deed {
        case .user: try Self.createUser(mongo)
        case .rights:
            try Self.command(mongo) { builder in
                builder.append("grantRolesToUser", login.user)
                builder.append("roles", array: [0]) { builder, key, _ in
                    builder.append(key) { builder in
                        builder.append("role", "readWrite")
                        builder.append("db", "reel")
                    }
                }
            }
        case .password:
            try Self.command(mongo) { builder in
                builder.append("updateUser", login.user)
                builder.append("pwd", login.password)
            }
        }
        #expect(try eventually { isCaughtUp() })
        #expect(try eventually { report.outages.current.isEmpty })
        try fixture.expectShown()
    }
}
