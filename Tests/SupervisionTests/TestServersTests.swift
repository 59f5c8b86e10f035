import EmbeddedServers
import Glibc
import Supervision
import Testing
import TestServers

@Suite("Real servers for tests", .serialized)
struct TestServersTests {
    @Test func redisAnswersAndKeepsItsPortAndDataThroughAKill() throws {
        let redis = try TestRedis.start()
        let port = redis.port
        #expect(try ask(port, "SET greeting hello") == "+OK")
        redis.kill()
        #expect(redis.pid == nil)
        #expect(Loopback.isFree(port))
        try redis.restart()
        #expect(redis.port == port)
        #expect(try ask(port, "GET greeting") == "$5")
        redis.stop()
        #expect(redis.pid == nil)
    }

    @Test func aPausedRedisAnswersOnlyWhenItIsResumed() throws {
        let redis = try TestRedis.start()
        redis.pause()
        #expect(throws: NoAnswer.self) { try ask(redis.port, "PING", milliseconds: 100) }
        redis.resume()
        #expect(try ask(redis.port, "PING") == "+PONG")
    }

    @Test func aFolderIsGoneWithItsServer() throws {
        var folder = ""
        do {
            let redis = try TestRedis.start()
            folder = redis.folder
            #expect(access(folder, F_OK) == 0)
        }
        #expect(access(folder, F_OK) != 0)
    }

    @Test func databasesOfTheSharedServerAreDifferent() throws {
        let redis = try TestRedis.shared
        #expect(try TestRedis.shared === redis)
        let first = redis.freshDatabase()
        let second = redis.freshDatabase()
        #expect(first != second)
        #expect(try ask(redis.port, "SELECT \(second)") == "+OK")
    }

    @Test func mongodIsAWritablePrimaryAgainAfterAKill() throws {
        let mongo = try TestMongo.start()
        let description = EmbeddedMongo(folder: mongo.folder, port: mongo.port)
        #expect(description.probe() == .ready)
        mongo.kill()
        #expect(description.probe() != .ready)
        try mongo.restart()
        #expect(description.probe() == .ready)
        #expect(mongo.freshDatabaseName() != mongo.freshDatabaseName())
    }
}
