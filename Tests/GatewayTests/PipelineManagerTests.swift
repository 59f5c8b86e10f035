import ChunkFiles
import Base
import EventSourcing
import Foundation
import Gateway
import HTTPServer
import Pipeline
import Recording
import Simulation
import Testing
import APIKit

@Suite("Pipeline Manager")
struct PipelineManagerTests {
    /// The session API and the Pipeline Manager over one log.
    private func pair(
        _ change: (inout GatewayParts, inout GatewaySettings) -> Void = { _, _ in }
    ) throws -> (api: TestGateway, manager: TestGateway) {
        let api = try TestGateway()
        return (api, try TestGateway(serving: .pipeline, beside: api, change))
    }

    private func state(_ manager: TestGateway, _ id: String) throws -> String? {
        try manager.ask("GET", "/pipelines/\(id)/status").json["state"]?.string
    }

    @Test("A pipeline goes its way, with its session, to where it is cleaned up and the recording stays")
    func life() throws {
        let (api, manager) = try pair()
        try api.startProcessing()
        let id = try api.makeSession()
        let made = try manager.ask("POST", "/pipelines", body: #"{"session_id":"\#(id)"}"#)
        #expect(made.status == 200)
        #expect(made.json["state"]?.string == "created")
        let started = try manager.ask("POST", "/pipelines/\(id)/start")
        #expect(started.status == 200)
        #expect(started.json["state"]?.string == "active")
        #expect(started.json["session_status"]?.string == "recording")
        let bytes = sampleBytes(50_000)
        let chunk = try manager.upload(bytes, 1, to: id, among: "pipelines")
        #expect(chunk.status == 201)
        #expect(chunk[header: "Location"] == nil)
        #expect(try manager.upload(bytes, 1, to: id, among: "pipelines").status == 200)
        let paused = try manager.ask("POST", "/pipelines/\(id)/pause")
        #expect(paused.json["state"]?.string == "paused" && paused.json["is_held"]?.bool == true)
        let resumed = try manager.ask("POST", "/pipelines/\(id)/resume")
        #expect(resumed.json["state"]?.string == "active" && resumed.json["is_held"]?.bool == false)
        let stopped = try manager.ask("POST", "/pipelines/\(id)/stop")
        #expect(stopped.status == 200)
        #expect(["stopping", "stopped"].contains(stopped.json["state"]?.string))
        try api.wait(for: "completed", of: id)
        let done = try manager.ask("GET", "/pipelines/\(id)/status")
        #expect(done.json["state"]?.string == "stopped")
        #expect(
            done.json["chunks"]?["recorded"]?.integer == 1 && done.json["chunks"]?["stored"]?.integer == 1)
        #expect(done.json["stages"]?.array?.count == 4)
        for _ in 0..<2 {
            let cleaned = try manager.ask("DELETE", "/pipelines/\(id)")
            #expect(cleaned.status == 200)
            #expect(cleaned.json["state"]?.string == "destroyed")
        }
        #expect(try api.ask("GET", "/sessions/\(id)/media").body == bytes)
        let steps = api.events(of: id).filter { $0.type == "PipelineStateChanged" }
        #expect(steps.last?.context.source == "/reel/pipeline")
    }

    @Test("A pipeline that is asked for with everything brings its session, with and without a prefix")
    func new() throws {
        let (api, manager) = try pair()
        let made = try manager.ask("POST", "/pipelines", as: "olga", body: sessionBody())
        #expect(made.status == 201)
        let id = try #require(made.json["session_id"]?.string)
        #expect(made[header: "Location"] == "/api/v1/pipelines/\(id)/status")
        #expect(try api.ask("GET", "/sessions/\(id)", as: "olga").status == 200)
        let bare = try Client(manager.server.port).ask(
            "POST", "/pipelines", as: "olga", ["Content-Type: application/json"],
            body: Array(sessionBody().utf8))
        #expect(bare.status == 201)
        let location = try #require(bare[header: "Location"])
        #expect(location.hasPrefix("/pipelines/"))
        let read = try Client(manager.server.port).ask("GET", location, as: "olga")
        #expect(read.status == 200)
        let tag = try #require(read[header: "ETag"])
        let again = try Client(manager.server.port).ask(
            "GET", location, as: "olga", ["If-None-Match: \(tag)"])
        #expect(again.status == 304)
        #expect(try manager.ask("GET", "/sessions/\(id)").status == 404)
    }

    @Test("What the state does not allow is a 409 that says so")
    func states() throws {
        let (api, manager) = try pair()
        let id = try api.makeSession()
        func refused(_ method: String, _ path: String, body: String? = nil) throws -> String? {
            let answer = try manager.ask(method, path, body: body)
            #expect(answer.status == 409, "\(path): \(answer.text)")
            return answer.code
        }
        #expect(try refused("POST", "/pipelines/\(id)/stop") == "REEL_ERR_3004")
        #expect(try refused("POST", "/pipelines/\(id)/pause") == "REEL_ERR_3006")
        #expect(try refused("DELETE", "/pipelines/\(id)") == "REEL_ERR_3006")
        #expect(try manager.upload([1], 1, to: id, among: "pipelines").status == 409)
        #expect(try manager.ask("POST", "/pipelines/\(id)/start").status == 200)
        #expect(try refused("POST", "/pipelines/\(id)/start") == "REEL_ERR_3004")
        #expect(try refused("POST", "/pipelines/\(id)/resume") == "REEL_ERR_3006")
        #expect(try refused("DELETE", "/pipelines/\(id)") == "REEL_ERR_3006")
        #expect(try refused("POST", "/pipelines", body: #"{"session_id":"\#(id)"}"#) == "REEL_ERR_3003")
        let taken = sessionBody(#""session_id":"\#(id)""#)
        #expect(try refused("POST", "/pipelines", body: taken) == "REEL_ERR_3003")
        #expect(try state(manager, id) == "active")
    }

    @Test("What cannot be understood is refused with every rule")
    func malformed() throws {
        let (api, manager) = try pair { $1.chunkBytes = 1000 }
        let id = try api.makeSession()
        for (body, fields) in [
            ("{}", ["name", "rdp_config"]), (#"{"session_id":7}"#, ["session_id"]),
            (#"{"session_id":"a b"}"#, ["session_id"]), (#"{"session_id":null}"#, ["session_id"]),
            (#"{"session_id":"\#(id)","surprise":1}"#, ["name", "rdp_config", "surprise"]), ("[]", ["body"]),
        ] {
            let answer = try manager.ask("POST", "/pipelines", body: body)
            #expect(answer.status == 422, "\(body)")
            #expect(answer.fields.sorted() == fields, "\(body)")
        }
        #expect(try manager.ask("POST", "/pipelines", body: "{").status == 400)
        let text = try Client(manager.server.port).ask(
            "POST", "/pipelines", as: "admin", ["Content-Type: text/plain"], body: [0x7B, 0x7D])
        #expect(text.status == 415)
        for path in ["/pipelines/\(id)/status?x=1", "/config?x=1"] {
            #expect(try manager.ask("GET", path).fields == ["x"])
        }
        for step in ["start", "stop", "pause", "resume"] {
            #expect(try manager.ask("POST", "/pipelines/\(id)/\(step)?x=1").fields == ["x"])
        }
        #expect(try manager.ask("DELETE", "/pipelines/\(id)?x=1").fields == ["x"])
        #expect(try manager.ask("GET", "/pipelines").status == 405)
        #expect(try manager.ask("POST", "/pipelines/\(id)/start").status == 200)
        #expect(try manager.upload(sampleBytes(1001), 1, to: id, among: "pipelines").status == 413)
        #expect(try manager.upload([], 1, to: id, among: "pipelines").fields == ["body"])
    }

    @Test("Who may not is told so; what one may not see does not exist")
    func access() throws {
        let (api, manager) = try pair()
        let id = try api.makeSession(as: "olga", #""metadata":{"project":"apollo"}"#)
        let commands = [
            ("POST", "/pipelines/\(id)/start"), ("POST", "/pipelines/\(id)/stop"),
            ("POST", "/pipelines/\(id)/pause"), ("POST", "/pipelines/\(id)/resume"),
            ("DELETE", "/pipelines/\(id)"),
        ]
        for (method, path) in commands + [("GET", "/pipelines/\(id)/status"), ("GET", "/config")] {
            #expect(try manager.ask(method, path, as: nil).status == 401)
            #expect(try manager.ask(method, path, as: "stranger").code == "REEL_ERR_3011")
        }
        for (method, path) in commands {
            #expect(try manager.ask(method, path, as: "vera").code == "REEL_ERR_3012", "\(path)")
            #expect(try manager.ask(method, path, as: "otto").code == "REEL_ERR_3001", "\(path)")
            let unknown = path.replacing(id, with: "sess-none")
            #expect(try manager.ask(method, unknown).code == "REEL_ERR_3001", "\(path)")
        }
        let order = #"{"session_id":"\#(id)"}"#
        #expect(try manager.ask("POST", "/pipelines", as: nil, body: order).status == 401)
        #expect(try manager.ask("POST", "/pipelines", as: "vera", body: order).status == 403)
        #expect(try manager.ask("POST", "/pipelines", as: "otto", body: order).status == 404)
        #expect(try manager.ask("POST", "/pipelines", body: #"{"session_id":"none"}"#).status == 404)
        #expect(try manager.ask("POST", "/pipelines", as: "olga", body: order).status == 200)
        #expect(try manager.ask("GET", "/pipelines/\(id)/status", as: "vera").status == 200)
        #expect(try manager.ask("GET", "/pipelines/\(id)/status", as: "otto").status == 404)
        #expect(try manager.upload([1], 1, to: id, as: "otto", among: "pipelines").status == 404)
        #expect(try manager.upload([1], 1, to: id, as: "vera", among: "pipelines").status == 403)
        #expect(try manager.ask("GET", "/config", as: "olga").status == 403)
        #expect(try manager.ask("GET", "/config", as: "auditor").status == 200)
    }

    @Test("A failed session keeps what it recorded when its pipeline is cleaned up")
    func failed() throws {
        let (api, manager) = try pair()
        let id = try api.makeSession()
        #expect(try manager.ask("POST", "/pipelines/\(id)/start").status == 200)
        #expect(try manager.upload(sampleBytes(1000), 1, to: id, among: "pipelines").status == 201)
        let handler = CommandHandler<SessionDecider>(
            session: id, store: try api.log.open(), clock: SystemClock())
        try handler.catchUp()
        let context = EventContext(source: "/test", actor: Actor(type: "user", id: "tester"))
        try handler.handle(.fail(error: "a test"), id: "\(id)/fail", context: context)
        #expect(try state(manager, id) == "error")
        #expect(try manager.ask("DELETE", "/pipelines/\(id)").json["state"]?.string == "destroyed")
        #expect(try api.vault.spool.usage().files == 1)
    }

    @Test("A cleanup that was cut off removes nothing of a session that was put under legal hold meanwhile")
    func heldCleanup() throws {
        let (api, manager) = try pair()
        try api.startProcessing()
        let id = try api.makeSession()
        #expect(try manager.ask("POST", "/pipelines/\(id)/start").status == 200)
        #expect(try manager.upload(sampleBytes(1000), 1, to: id, among: "pipelines").status == 201)
        #expect(try manager.ask("POST", "/pipelines/\(id)/stop").status == 200)
        try api.wait(for: "completed", of: id)
        let folder = "\(api.vault.spool.root)/\(id)"
        for _ in 0..<6000 where FileManager.default.fileExists(atPath: folder) { api.pause() }
        // Completion would look after the session again with each of its events.
        api.stopProcessing()
        let handler = CommandHandler<SessionDecider>(
            session: id, store: try api.log.open(), clock: SystemClock())
        try handler.catchUp()
        let context = EventContext(source: "/test", actor: Actor(type: "user", id: "tester"))
        try handler.handle(.pipeline(.cleanup), id: "\(id)/cleanup", context: context)
        try handler.handle(.hold(caseName: "K", reason: "r"), id: "\(id)/hold", context: context)
        try api.vault.spool.makeFolder(of: id)
        let left = folder + "/left"
        #expect(FileManager.default.createFile(atPath: left, contents: nil))
        #expect(try manager.ask("DELETE", "/pipelines/\(id)").status == 409)
        #expect(FileManager.default.fileExists(atPath: left))
        try handler.catchUp()
        try handler.handle(.liftHold(caseName: "K", reason: "r"), id: "\(id)/lift", context: context)
        #expect(try manager.ask("DELETE", "/pipelines/\(id)").json["state"]?.string == "destroyed")
        #expect(!FileManager.default.fileExists(atPath: left))
    }

    @Test("How the process is configured is told, and nothing of where it is")
    func configuration() throws {
        let (_, manager) = try pair { _, settings in
            settings.chunkBytes = 12_345
            settings.configuration.stages = ["compress"]
            settings.configuration.compressionLevels = [("zstd", 7)]
            settings.rates[.create] = 77
        }
        let answer = try manager.ask("GET", "/config")
        #expect(answer.status == 200)
        #expect(answer.json["chunk_size_bytes"]?.integer == 12_345)
        #expect(answer.json["compression"]?["levels"]?["zstd"]?.integer == 7)
        #expect(answer.json["limits_per_minute"]?["create"]?.integer == 77)
        let stages = try #require(answer.json["stages"]?.array)
        #expect(stages.map { $0["stage_name"]?.string } == ["compress", "encrypt", "validate", "store"])
        #expect(stages.map { $0["runs_here"]?.bool } == [true, false, false, false])
        let transitions = answer.json["transitions"]?.array ?? []
        #expect(transitions.contains { $0["from"]?.string == "error" && $0["to"]?.string == "cleanup" })
        #expect(!answer.text.contains("/"))
    }

    @Test("Limits and records are those of the session API")
    func watched() throws {
        let desk = MemoryAuditWriter()
        let limiter = FewRequests(limit: 2)
        let (api, manager) = try pair { parts, _ in
            parts.audit = desk
            parts.limiter = limiter
        }
        defer { withExtendedLifetime(api) {} }
        let made = try manager.ask("POST", "/pipelines", as: "olga", body: sessionBody())
        let id = try #require(made.json["session_id"]?.string)
        #expect(try manager.ask("POST", "/pipelines", as: "olga", body: "{}").status == 422)
        let many = try manager.ask("POST", "/pipelines", as: "olga", body: sessionBody())
        #expect(many.status == 429)
        #expect(many.code == "REEL_ERR_3010")
        #expect(try manager.ask("POST", "/pipelines/\(id)/start", as: "olga").status == 200)
        let records = desk.records
        #expect(
            records.map { "\($0.action) \($0.resource.id ?? "-") \($0.statusCode ?? 0)" } == [
                "pipeline.create \(id) 201", "pipeline.create - 422", "pipeline.create - 429",
                "session.start \(id) 200",
            ])
    }
}
