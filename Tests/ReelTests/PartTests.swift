import Engine
import Base
import Console
import EventSourcing
import Foundation
import Pipeline
import Recording
import Simulation
import Supervision
import Testing

@testable import Commands

@Suite struct PartTests {
    /// The vectors of RFC 4648, section 10.
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ])
    func base64(text: String, encoded: String) {
        #expect(Array(text.utf8).withUnsafeBytes(Base64.encode) == encoded)
    }

    @Test func base64OfEveryLength() {
        for length in 0..<70 {
            let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 200) }
            #expect(bytes.withUnsafeBytes(Base64.encode) == Data(bytes).base64EncodedString())
        }
    }

    @Test func endpointsAreReadAsTheyWereWritten() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/reel-endpoints-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        #expect(throws: CommandFailure.self) { try Endpoints.find(in: folder) }
        let data = try DataFolder(creating: folder + "/a/b")
        #expect(throws: CommandFailure.self) { try Endpoints.find(in: data.path) }
        let written = Endpoints(
            redisURL: "redis://:s\"ecret@h:1", mongodbURL: "mongodb://h", vaultURL: "mongodb://v",
            roleURLs: [.pipeline: "http://h:8083"], chunkStore: "/c",
            adminTokenFile: nil, spool: "/s", keys: "/k", archive: "/archive", pid: 7,
            startedAt: Timestamp(milliseconds: 1234))
        try written.write(to: data.endpoints)
        let read = try Endpoints.find(in: data.path)
        #expect(read.redisURL == written.redisURL)
        #expect(read.chunkStore == "/c")
        #expect(read.pid == 7)
        #expect(read.startedAt == written.startedAt)
        #expect(read.roleURLs == [.pipeline: "http://h:8083"])
        let mode = try FileManager.default.attributesOfItem(atPath: data.endpoints)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        #expect(try FileManager.default.contentsOfDirectory(atPath: data.path) == ["endpoints.json"])
        try Data("{}".utf8).write(to: URL(fileURLWithPath: data.endpoints))
        #expect(throws: CommandFailure.self) { try Endpoints.find(in: data.path) }
    }

    @Test func foldersAreRefusedWithTheReason() throws {
        let file = FileManager.default.temporaryDirectory.path + "/reel-file-\(UUID().uuidString)"
        try Data().write(to: URL(fileURLWithPath: file))
        defer { try? FileManager.default.removeItem(atPath: file) }
        #expect(throws: CommandFailure.self) { try DataFolder(creating: file) }
        #expect(throws: CommandFailure.self) { try DataFolder(creating: file + "/below") }
        #expect(DataFolder.parent(of: "a") == ".")
        #expect(DataFolder.parent(of: "/a") == "/")
        #expect(DataFolder.parent(of: "/a/b") == "/a")
    }

    @Test func statusesOfErrors() {
        #expect(Failures.status(of: UsageError(["x"])) == .usage)
        #expect(Failures.status(of: SessionRejection.exists) == .no)
        let away = LogFailure(.unreachable, operation: "open", key: "k", text: "t")
        #expect(Failures.status(of: away) == .dependency)
        #expect(Failures.status(of: RecordingFailure.failed(away, kept: nil)) == .dependency)
        #expect(Failures.status(of: RecordingFailure.rejected(.exists)) == .no)
        #expect(Failures.status(of: CommandFailure(.interrupted, "")) == .interrupted)
        #expect(Failures.message(of: away, hint: "do this").hasSuffix("do this"))
    }

    @Test func timesAndRatiosInTables() {
        #expect(ShortTime.text(Timestamp(milliseconds: 0)) == "1970-01-01 00:00:00")
        #expect(ShortTime.text(nil) == "")
        #expect(Ratio.text(0.1234) == "0.123")
        #expect(Ratio.text(1) == "1.000")
        #expect(Ratio.text(0.0009) == "0.001")
        #expect(Ratio.text(nil) == "")
    }

    @Test func aPoolEndsWithTheFirstRoleThatFails() throws {
        struct Broken: Error {}
        let ended = StopSignal()
        let pool = RolePool(
            name: "roles",
            roles: [
                Role(name: "patient") {
                    $0.wait()
                    ended.set()
                }, Role(name: "broken") { _ in throw Broken() },
            ], report: .silent)
        #expect(throws: Broken.self) { try pool.run(stop: StopSignal()) }
        #expect(ended.isSet)
        let idle = RolePool(name: "roles", roles: [Role(name: "idle") { _ in }], report: .silent)
        #expect(throws: RoleEnded.self) { try idle.run(stop: StopSignal()) }
        let stop = StopSignal()
        stop.set()
        let patient = Role(name: "patient") { $0.wait() }
        try RolePool(name: "roles", roles: [patient], report: .silent).run(stop: stop)
    }

    @Test func aRoleWhoseServerGoesAwayWhileItIsBuiltIsBuiltAgain() throws {
        struct Broken: Error {}
        let away = LogFailure(.unreachable, operation: "open", key: "k", text: "gone")
        let report = RoleLog.silent
        let tries = Lock(0)
        let stop = StopSignal()
        let late = Role(name: "late") {
            let number = tries.withLock { tries in
                tries += 1
                return tries
            }
            guard number == 3 else { throw away }
            return {
                stop.set()
                $0.wait()
            }
        }
        try RolePool(name: "roles", roles: [late], report: report).run(stop: stop)
        #expect(tries.withLock { $0 } == 3)
        #expect(report.outages.current.isEmpty)
        // What waiting does not mend ends it.
        let broken = Role(name: "broken") { () throws -> @Sendable (StopSignal) throws -> Void in
            throw Broken()
        }
        #expect(throws: Broken.self) {
            try RolePool(name: "roles", roles: [broken], report: report).run(stop: StopSignal())
        }
    }
}
