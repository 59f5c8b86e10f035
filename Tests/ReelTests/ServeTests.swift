import Base
import Console
import EventSourcing
import Foundation
import Pipeline
import Supervision
import Testing

@testable import Commands

@Suite struct ServeTests {
    private static let urls = ["REDIS_URL": "redis://h", "MONGODB_URL": "mongodb://h"]

    private func plan(_ arguments: [String]) throws -> ServePlan {
        try ServePlan(try settings(["serve"] + arguments, environment: Self.urls))
    }

    @Test(arguments: [
        (["processor"], [StageName.compress, .encrypt, .validate]),
        (["storage"], [.store]),
        (["processor", "storage"], [.compress, .encrypt, .validate, .store]),
        (["processor", "--stages", "encrypt"], [.encrypt]),
        (["processor", "storage", "--stages", "compress,validate"], [.compress, .validate, .store]),
        (["pipeline", "projector"], []),
        (["projector"], []),
        (["recorder"], []),
    ])
    func rolesHaveTheirStages(arguments: [String], stages: [StageName]) throws {
        let choice = try plan(arguments).choice
        #expect(choice.stages.sorted() == stages)
        #expect(choice.needsVault == (choice.names != [.projector]))
    }

    @Test func everythingIsEveryRoleThatThereIs() {
        #expect(RoleChoice.everything.stages == Set(StageName.allCases))
        #expect(RoleChoice.everything.text == "pipeline,recorder,processor,storage,api,projector")
    }

    @Test(
        arguments: [
            (["pipeline"], [:], [:]),
            (["pipeline", "--port", "90"], [:], [.pipeline: 90]),
            // The process's port is the API's where it has one.
            (["pipeline", "api", "--port", "90"], [:], [.api: 90]),
            (["recorder", "processor"], ["PORT": "91"], [.recorder: 91]),
            (["api", "--pipeline-port", "92", "--api-port", "93"], ["PORT": "91"], [.api: 93]),
            (
                ["projector", "api"], ["REEL_PROJECTOR_PORT": "94", "REEL_API_PORT": "95"],
                [.projector: 94, .api: 95]
            ),
        ] as [([String], [String: String], [RoleName: UInt16])])
    func rolesHaveTheirPorts(
        arguments: [String], variables: [String: String], ports: [RoleName: UInt16]
    ) throws {
        let environment = Self.urls.merging(variables) { $1 }
        let plan = try ServePlan(try settings(["serve"] + arguments, environment: environment))
        #expect(plan.web.ports == ports)
    }

    @Test func aPortIsOneRolesAlone() throws {
        for more in [
            ["--port", "90", "--recorder-port", "90"], ["--api-port", "7", "--pipeline-port", "7"],
        ] {
            #expect(throws: UsageError.self) { try plan(["api", "pipeline", "recorder"] + more) }
        }
        _ = try plan(["api", "--port", "90", "--recorder-port", "90"])
    }

    @Test func foldersAreNamedOrInTheDataFolder() throws {
        let places = try plan(["storage", "--keys", "/k", "--data", "/nowhere/d"]).places
        #expect(places.keys == "/k")
        #expect(places.spool == "/nowhere/d/spool")
        #expect(places.chunks == "/nowhere/d/chunks")
    }

    @Test func aReadyFileIsReadAsItWasWritten() throws {
        let path = FileManager.default.temporaryDirectory.path + "/reel-ready-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let now = Timestamp(milliseconds: 1_000_000)
        let file = InServiceFile(
            pid: 7, instance: "i", roles: "storage", stages: "store", state: .cutOff, time: now)
        try file.write(to: path)
        #expect(InServiceFile(try FileText.read(path)) == file)
        #expect(InServiceFile("{}") == nil)
        #expect(file.objection(to: .live, at: now) == nil)
        #expect(file.objection(to: .ready, at: now) != nil)
        for distance: Int64 in [-11_000, 11_000] {
            let then = Timestamp(milliseconds: 1_000_000 + distance)
            #expect(file.objection(to: .live, at: then) != nil)
        }
    }

    @Test func aStartWaitsForWhatMayPassAndForNothingElse() throws {
        struct Broken: Error {}
        let wait = StartupWait(seconds: 30, log: Log(level: .error, service: "t"), command: "t")
        let away = LogFailure(.unreachable, operation: "open", key: "k", text: "t")
        var tries = 0
        let answer = try wait.run(StopSignal()) {
            tries += 1
            if tries < 2 { throw away }
            return 7
        }
        #expect(answer == 7)
        #expect(throws: Broken.self) { try wait.run(StopSignal()) { throw Broken() } }
        let none = StartupWait(seconds: 0, log: Log(level: .error, service: "t"), command: "t")
        #expect(throws: away) { try none.run(StopSignal()) { throw away } }
        let stopped = StopSignal()
        stopped.set()
        #expect(throws: away) { try wait.run(stopped) { throw away } }
    }

    @Test func systemsAreFoundByTheirServers() throws {
        let found = try Endpoints.find(
            try settings(
                ["status", "--data", "/nowhere/d", "--keys", "/k"], environment: Self.urls))
        #expect(found.redisURL == "redis://h")
        #expect(found.keys == "/k")
        #expect(found.spool == "/nowhere/d/spool")
        #expect(found.pid == nil)
        let half = try settings(["status", "--data", "/nowhere/d"], environment: ["REDIS_URL": "redis://h"])
        #expect(throws: CommandFailure.self) { try Endpoints.find(half) }
    }
}
