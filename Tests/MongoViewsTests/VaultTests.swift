import Base
import EventSourcing
import Recording
@testable import RecordingMongo
import TestServers
import Testing

@testable import MongoViews
import ReadModels

/// What the vault's database is asked for beside single keys.
@Suite("The vault's database", .timeLimit(.minutes(10)))
struct VaultDatabaseTests {
    private let pool: MongoPool
    private let database: String
    private let vault: MongoVault

    init() throws {
        let server = try TestMongo.shared
        pool = try MongoPool(MongoSettings(url: server.url))
        database = server.freshDatabaseName("vault")
        vault = MongoVault(pool, database: database)
    }

    private var keys: MongoNamespace { MongoNamespace(database: database, collection: "keys") }

    private func record(_ session: String, kek: String = "kek-1") -> KeyRecord {
        KeyRecord(
            sessionID: session, keyID: "key-\(session)", keyEncryptionKeyID: kek, nonce: [1], ciphertext: [2],
            createdAt: Timestamp(milliseconds: 5))
    }

    private func command(_ build: (inout BSONBuilder) -> Void) throws {
        try pool.withClient { (client) throws(MongoFailure) in
            _ = try client.command(BSONDocument(build), operation: "test", on: keys)
        }
    }

    @Test("records are found for many sessions, and those that do not read are left out")
    func records() throws {
        let kept = try vault.keys.open()
        for session in ["a", "b", "c"] { _ = try kept.keep(record(session, kek: "kek-\(session)")) }
        try pool.withClient { (client) throws(MongoFailure) in
            _ = try client.bulkWrite([.insert(BSONDocument { $0.append("session_id", "d") })], to: keys)
        }
        #expect(try vault.records(ofSessions: ["a", "c", "d", "e"]).map(\.sessionID).sorted() == ["a", "c"])
        #expect(try vault.records(ofSessions: []) == [])
        #expect(try vault.wrappers() == ["kek-a", "kek-b", "kek-c"])
    }

    @Test("a key of another session, or one that somebody's rule keeps out, is an error that names why")
    func refused() throws {
        let kept = try vault.keys.open()
        _ = try kept.keep(record("a"))
        #expect(try kept.keep(record("a")).keyID == "key-a")
        var other = record("b")
        other.keyID = "key-a"
        let taken = #expect(throws: MongoFailure.self) { try kept.keep(other) }
        #expect(taken?.kind == .refused && taken?.text.contains("index: key_id_1") == true)
        #expect(try vault.prepare() == [])
        try command { builder in
            builder.append("createIndexes", "keys")
            builder.append("indexes", array: [0]) { builder, key, _ in
                builder.append(key) { builder in
                    builder.append("key") { $0.append("kek_id", int32: 1) }
                    builder.append("name", "one_for_each")
                    builder.append("unique", true)
                }
            }
        }
        try command { builder in
            builder.append("collMod", "keys")
            builder.append("validator") { $0.append("mine") { $0.append("$exists", true) } }
        }
        let notes = try vault.prepare()
        #expect(notes.count == 2)
        #expect(notes.contains { $0.contains("one_for_each") } && notes.contains { $0.contains("validator") })
        let failure = #expect(throws: MongoFailure.self) { try kept.keep(record("c")) }
        #expect(failure?.kind == .refused && failure?.remedy == .operators, "\(String(describing: failure))")
    }

    @Test("indexes that are gone come back, and documents that stand twice are an error")
    func indexes() throws {
        let kept = try vault.keys.open()
        _ = try kept.keep(record("a"))
        try command { builder in
            builder.append("dropIndexes", "keys")
            builder.append("index", "*")
        }
        #expect(try vault.prepare() == [])
        let found = try pool.withClient { (client) throws(MongoFailure) in
            try client.indexes(of: keys).filter(\.isUnique).map(\.name).sorted()
        }
        #expect(found == ["key_id_1", "session_id_1"])
        try command { builder in
            builder.append("dropIndexes", "keys")
            builder.append("index", "*")
        }
        try pool.withClient { (client) throws(MongoFailure) in
            _ = try client.bulkWrite([.insert(BSONDocument { $0.append("session_id", "a") })], to: keys)
        }
        let failure = #expect(throws: MongoFailure.self) { try vault.prepare() }
        #expect(failure?.text.contains("session_id_1") == true && failure?.remedy == .operators)
    }

    @Test("a collection that was dropped is another one, however many keys it has")
    func outline() throws {
        let kept = try vault.keys.open()
        _ = try kept.keep(record("a"))
        let before = try vault.outline()
        _ = try kept.keep(record("b"))
        try kept.destroy(ofSession: "a")
        #expect(try !vault.outline().isOther(than: before))
        try pool.withClient { (client) throws(MongoFailure) in try client.dropCollection(keys) }
        #expect(try vault.outline().isOther(than: before))
        _ = try vault.prepare()
        _ = try kept.keep(record("b"))
        #expect(try vault.outline().isOther(than: before))
    }

    @Test("the report of a look is kept, its names bounded")
    func report() throws {
        #expect(try vault.report() == nil)
        for count in [0, 3, 500] {
            let names = (0..<count).map { "session \($0)" }
            let report = MongoVault.Report(
                time: Timestamp(milliseconds: 1_000), count: count, named: names)
            try vault.keep(report)
            let found = try #require(try vault.report())
            #expect(found.count == count && found.time == report.time)
            #expect(found.named == Array(names.prefix(MongoVault.Report.namedLimit)))
        }
    }

    @Test("sessions with chunks are asked for page by page with the key of their first chunk")
    func demands() throws {
        let fixture = try ReplayFixture(partitions: 2)
        try fixture.append(fixture.history(seed: 81, sessions: 7))
        try fixture.project()
        let expected = try Expected(fixture.events())
        var found: [KeyDemand] = []
        while true {
            let page = try fixture.models.keyDemands(behind: found.last?.sessionID ?? "", limit: 3)
            if page.isEmpty { break }
            found += page
        }
        let sessions = expected.folds.values.filter { $0.tally.chunkCount > 0 }.map(\.sessionID).sorted()
        #expect(found.map(\.sessionID) == sessions)
        #expect(found.allSatisfy { $0.keyID == "key-\($0.sessionID)" })
    }
}
