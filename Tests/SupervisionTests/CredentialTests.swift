import Base
import EventSourcing
import Foundation
import Glibc
import Supervision
import Testing

@testable import EmbeddedServers

@Suite("Credentials of the embedded servers")
struct CredentialTests {
    private let scratch = Scratch()

    private var file: CredentialFile {
        CredentialFile(
            folder: scratch.path, redis: scratch.path + "/redis", mongodb: scratch.path + "/mongodb")
    }

    // MARK: - The file

    @Test func theFileIsMadeOnceForItsOwnerAlone() throws {
        let made = try file.open(isRotating: false)
        var facts = stat()
        #expect(stat(file.path, &facts) == 0)
        #expect(facts.st_mode & 0o777 == 0o600)
        #expect(try file.open(isRotating: false) == made)
        let fresh = try file.open(isRotating: true)
        #expect(fresh != made)
        #expect(try file.open(isRotating: false) == fresh)
        let passwords = [
            fresh.redis, fresh.mongo.admin, fresh.mongo.readModels, fresh.mongo.vault, fresh.mongo.dashboards,
        ].map(\.password)
        #expect(Set(passwords).count == passwords.count)
        #expect(passwords.allSatisfy { $0.count == 64 })
        #expect(!"\(fresh) \(fresh.redis)".contains(fresh.redis.password))
    }

    /// What a folder looks like whose servers have had credentials.
    private func leaveTraces() throws {
        let redis = EmbeddedRedis(
            folder: scratch.path + "/redis", port: 1, login: try file.open(isRotating: false).redis)
        try FileManager.default.createDirectory(atPath: redis.folder, withIntermediateDirectories: true)
        _ = try redis.command()
    }

    @Test func aLostFileIsNamedWithTheWayOut() throws {
        try leaveTraces()
        unlink(file.path)
        #expect(throws: CredentialFailure.lost(path: file.path)) { try file.open(isRotating: false) }
        #expect(CredentialFailure.lost(path: "p").description.contains("--rotate-credentials"))
        let made = try file.open(isRotating: true)
        #expect(try file.open(isRotating: false) == made)
    }

    @Test func aFileThatOthersCanReadIsRefused() throws {
        _ = try file.open(isRotating: false)
        for mode in [0o640, 0o604, 0o620] as [mode_t] {
            chmod(file.path, mode)
            #expect(throws: CredentialFailure.exposed(path: file.path, mode: mode)) {
                try file.open(isRotating: false)
            }
        }
        chmod(file.path, 0o400)
        #expect(throws: Never.self) { try file.open(isRotating: false) }
    }

    @Test func everyTruncationAndEveryDoubtfulWordIsRefused() throws {
        let whole = try file.open(isRotating: false).json
        let bytes = Array(whole.utf8)
        for length in 0..<bytes.count - 2 {
            #expect(ServerCredentials(json: String(decoding: bytes[..<length], as: UTF8.self)) == nil)
        }
        for word in ["a b", "a@b", "", "a\\nb", "é", String(repeating: "a", count: 300)] {
            let changed = whole.replacing("\"user\":\"reel_vault\"", with: "\"user\":\"\(word)\"")
            #expect(changed != whole)
            #expect(ServerCredentials(json: changed) == nil, "\(word)")
        }
        #expect(ServerCredentials(json: whole.replacing("\"format\":1", with: "\"format\":2")) == nil)
    }

    @Test func whatIsNoSuchFileIsRefused() throws {
        #expect(mkfifo(file.path, 0o600) == 0)
        #expect(throws: CredentialFailure.damaged(path: file.path)) { try file.open(isRotating: false) }
        unlink(file.path)
        symlink("/dev/null", file.path)
        #expect(throws: CredentialFailure.self) { try file.open(isRotating: false) }
        let rotated = try file.open(isRotating: true)
        #expect(try file.open(isRotating: false) == rotated)
    }

    // MARK: - redis-server

    @Test func redisTakesNoStranger() throws {
        let login = try file.open(isRotating: false).redis
        let redis = EmbeddedRedis(
            folder: scratch.path + "/redis", port: try Loopback.freePort(), login: login)
        let child = try redis.start()
        defer { child.terminate(withinMilliseconds: 10_000) }
        for command in [
            "PING", "GET reel:meta", "INFO", "CONFIG SET appendfsync no", "FLUSHALL", "ACL WHOAMI", "KEYS *",
            "SHUTDOWN NOSAVE", "AUTH default x", "AUTH \(login.user) x", "AUTH x",
        ] {
            let answer = try ask(redis.port, command)
            #expect(answer.hasPrefix("-NOAUTH") || answer.hasPrefix("-WRONGPASS"), "\(command): \(answer)")
        }
        #expect(try ask(redis.port, "AUTH \(login.user) \(login.password)") == "+OK")
        #expect(redis.url == "redis://\(login.user):\(login.password)@127.0.0.1:\(redis.port)")
        try expectNoPassword([login], child.pid, below: redis.folder)
    }

    private func expectNoPassword(
        _ logins: [ServerLogin], _ pid: Int32, below folder: String
    ) throws {
        let arguments = try String(contentsOfFile: "/proc/\(pid)/cmdline", encoding: .utf8)
        let environment = try String(contentsOfFile: "/proc/\(pid)/environ", encoding: .utf8)
        let names = try FileManager.default.contentsOfDirectory(atPath: folder)
        for login in logins {
            #expect(!arguments.contains(login.password))
            #expect(!environment.contains(login.password))
            for name in names {
                let bytes = FileManager.default.contents(atPath: "\(folder)/\(name)") ?? Data()
                #expect(bytes.range(of: Data(login.password.utf8)) == nil, "\(name)")
            }
        }
    }

    @Test func whatRedisHasAcknowledgedIsThereAfterARestartWithAndWithoutAPassword() throws {
        let port = try Loopback.freePort()
        var login: ServerLogin?
        var number = 0
        func with(_ login: ServerLogin?, _ body: ([String]) throws -> Void) throws {
            let server = EmbeddedRedis(folder: scratch.path + "/redis", port: port, login: login)
            let child = try server.start()
            try body(login.map { ["AUTH \($0.user) \($0.password)"] } ?? [])
            child.send(SIGKILL)
            _ = child.wait()
        }
        // A folder of before gets its password, keeps it, and gets another one.
        for isRotating in [nil, false, false, true] {
            if let isRotating { login = try file.open(isRotating: isRotating).redis }
            try with(login) { hello in
                // What a function writes stands in the file as a transaction.
                let writes = ["MULTI", "SET a\(number) x", "XADD s * k v", "EXEC", "SET b\(number) x"]
                let answers = try ask(port, hello + writes)
                #expect(!answers.contains { $0.hasPrefix("-") }, "\(answers)")
                number += 1
            }
            try with(login) { hello in
                let keys = (0..<number).map { "EXISTS a\($0) b\($0)" }
                let answers = try ask(port, hello + keys + ["XLEN s"])
                #expect(answers.suffix(number + 1) == keys.map { _ in ":2" } + [":\(number)"])
                if login != nil { #expect(try ask(port, "PING").hasPrefix("-NOAUTH")) }
            }
        }
    }

    // MARK: - mongod

    private func mongo(
        _ logins: ServerCredentials.MongoLogins?, port: UInt16,
        report: @escaping @Sendable (String) -> Void = { _ in }
    ) -> EmbeddedMongo {
        EmbeddedMongo(folder: scratch.path + "/mongodb", port: port, logins: logins, report: report)
    }

    /// Whether a command succeeds; the refusal's text where it does not.
    private func outcome(
        _ port: UInt16, as login: ServerLogin?, _ build: (inout JSONWriter) -> Void
    ) -> String {
        do throws(MongoRefusal) {
            try MongoAdministration(port: port, as: login).run(build)
            return "done"
        } catch { return error.description }
    }

    @Test func mongodTakesNoStranger() throws {
        let logins = try file.open(isRotating: false).mongo
        let mongo = mongo(logins, port: try Loopback.freePort())
        let child = try mongo.start()
        defer { child.terminate(withinMilliseconds: 20_000) }
        let all = [logins.admin, logins.readModels, logins.vault, logins.dashboards]
        for login in all {
            #expect(outcome(mongo.port, as: login) { $0.member("connectionStatus", 1) } == "done")
            let wrong = ServerLogin(user: login.user, password: "x")
            #expect(outcome(mongo.port, as: wrong) { $0.member("ping", 1) } == "Authentication failed.")
        }
        for command in ["usersInfo", "listDatabases", "getParameter", "shutdown", "replSetGetConfig"] {
            let found = outcome(mongo.port, as: nil) { json in
                json.key(dynamic: command)
                json.value(1)
            }
            #expect(found == "command \(command) requires authentication")
        }
        let found = outcome(mongo.port, as: nil) { json in
            json.member("createUser", "stranger")
            json.member("pwd", "sesame")
            json.member("roles", ["root"])
        }
        #expect(found == "command createUser requires authentication")
        try expectNoPassword(all, child.pid, below: mongo.folder)
    }

    @Test func aUserOfMongodHasItsOwnDatabaseAlone() throws {
        let logins = try file.open(isRotating: false).mongo
        let mongo = mongo(logins, port: try Loopback.freePort())
        let child = try mongo.start()
        defer { child.terminate(withinMilliseconds: 20_000) }
        func roles(_ login: ServerLogin) throws -> [String] {
            let answer = try MongoAdministration(port: mongo.port, as: login).run {
                $0.member("connectionStatus", 1)
            }
            return (answer["authInfo"]?["authenticatedUserRoles"]?.array ?? []).map {
                "\($0["role"]?.string ?? "?") \($0["db"]?.string ?? "?")"
            }.sorted()
        }
        #expect(try roles(logins.readModels) == ["dbAdmin reel", "readWrite reel"])
        #expect(try roles(logins.vault) == ["readWrite reel_vault"])
        #expect(try roles(logins.dashboards) == ["read reel"])
        #expect(try roles(logins.admin) == ["root admin"])
    }

    @Test func aPasswordThatIsAnotherOneIsSetAgainAndSaid() throws {
        let logins = try file.open(isRotating: false).mongo
        let port = try Loopback.freePort()
        let told = Lock<[String]>([])
        let first = mongo(logins, port: port) { text in told.withLock { $0.append(text) } }
        let child = try first.start()
        #expect(told.withLock { $0 } == [])
        #expect(
            outcome(port, as: logins.admin) { json in
                json.member("updateUser", logins.vault.user)
                json.member("pwd", "other")
                json.member("roles", [String]())
            } == "done")
        child.terminate(withinMilliseconds: 20_000)
        let fresh = try file.open(isRotating: true).mongo
        let again = mongo(fresh, port: port) { text in told.withLock { $0.append(text) } }
        let next = try again.start()
        defer { next.terminate(withinMilliseconds: 20_000) }
        #expect(told.withLock { $0 }.count == 4)
        #expect(outcome(port, as: logins.vault) { $0.member("ping", 1) } == "Authentication failed.")
        for login in [fresh.admin, fresh.readModels, fresh.vault, fresh.dashboards] {
            #expect(outcome(port, as: login) { $0.member("ping", 1) } == "done")
        }
    }

    @Test func aMongodWithoutUsersGetsThemHoweverOftenItIsKilledMeanwhile() throws {
        let port = try Loopback.freePort()
        let before = try mongo(nil, port: port).start()
        before.send(SIGKILL)
        _ = before.wait()
        let logins = try file.open(isRotating: false).mongo
        // Later and later: before it listens, while it becomes a primary, while it gets its users.
        for milliseconds in [50, 400, 700, 900, 1_100] {
            let upgraded = mongo(logins, port: port)
            var command = try upgraded.command()
            command.logFile = upgraded.logFile
            let child = try ChildProcess(command)
            let end = ContinuousClock.now + .milliseconds(milliseconds)
            while ContinuousClock.now < end { _ = upgraded.probe() }
            child.send(SIGKILL)
            _ = child.wait()
        }
        let upgraded = mongo(logins, port: port)
        let child = try upgraded.start()
        defer { child.terminate(withinMilliseconds: 20_000) }
        for login in [logins.admin, logins.readModels, logins.vault, logins.dashboards] {
            #expect(outcome(port, as: login) { $0.member("ping", 1) } == "done")
        }
        #expect(outcome(port, as: nil) { $0.member("usersInfo", 1) } != "done")
    }
}
