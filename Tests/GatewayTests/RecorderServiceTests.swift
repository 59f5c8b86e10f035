import ChunkFiles
import Base
import EventSourcing
import Gateway
import HTTPServer
import Intake
import Pipeline
import Recording
import Simulation
import Synchronization
import Testing
import Sealing

@Suite("Recorder")
struct RecorderServiceTests {
    /// The session API and the Recorder over one log.
    private func pair(
        _ change: (inout GatewayParts, inout GatewaySettings) -> Void = { _, _ in }
    ) throws -> (api: TestGateway, recorder: TestGateway) {
        let api = try TestGateway()
        return (api, try TestGateway(serving: .recorder, beside: api, change))
    }

    /// A recording that has begun.
    private func recording(_ recorder: TestGateway, as token: String = "admin") throws -> String {
        let answer = try recorder.ask("POST", "/recordings/start", as: token, body: sessionBody())
        try #require(answer.status == 201, "\(answer.text)")
        return try #require(answer.json["session_id"]?.string)
    }

    private func append(
        _ bytes: [UInt8], _ recorder: TestGateway, _ id: String, as token: String = "admin",
        _ query: String = ""
    ) throws -> WireAnswer {
        try Client(recorder.server.port).ask(
            "POST", "/chunks/\(id)/process\(query)", as: token, ["Content-Type: application/octet-stream"],
            body: bytes)
    }

    private func progress(_ recorder: TestGateway, _ id: String) throws -> JSONValue {
        try recorder.ask("GET", "/recordings/\(id)").json["progress"] ?? .null
    }

    /// A request whose body never comes to its end.
    private func stream(_ bytes: [UInt8], to recorder: TestGateway, _ id: String) throws -> Client {
        let client = try Client(recorder.server.port)
        let head = [
            "POST /chunks/\(id)/process HTTP/1.1", "Host: reel", "Authorization: Bearer admin",
            "Content-Type: application/octet-stream", "Transfer-Encoding: chunked",
        ]
        let size = String(bytes.count, radix: 16)
        try client.send(
            Array((head.joined(separator: "\r\n") + "\r\n\r\n\(size)\r\n").utf8) + bytes + Array("\r\n".utf8))
        return client
    }

    /// Waits until so many bytes of the body stand in the spool.
    private func wait(for count: Int, in recorder: TestGateway) throws {
        for _ in 0..<6000 {
            if try recorder.vault.spool.usage().bytes >= count { return }
            recorder.pause()
        }
        Issue.record("\(count) bytes never came to the spool")
    }

    @Test("A stream is cut into chunks, goes on where it ended, and comes out as it went in")
    func life() throws {
        let (api, recorder) = try pair { $1.chunkBytes = 1024 }
        try api.startProcessing()
        let made = try recorder.ask("POST", "/recordings/start", as: "olga", body: sessionBody())
        #expect(made.status == 201)
        let id = try #require(made.json["session_id"]?.string)
        #expect(made[header: "Location"] == "/api/v1/recordings/\(id)")
        #expect(made.json["status"]?.string == "recording")
        #expect(made.json["progress"]?["recorder_alive"]?.bool == true)
        let (first, second) = (sampleBytes(2560), sampleBytes(700, seed: 2))
        let taken = try append(first, recorder, id, as: "olga", "?offset=0&timestamp=2026-01-31T10:00:00Z")
        #expect(taken.status == 201, "\(taken.text)")
        #expect(taken.json["recorded_bytes"]?.integer == 2560)
        #expect(taken.json["chunk_ids"]?.array?.count == 3)
        #expect(taken.json["next_offset"]?.integer == 2560)
        #expect(taken.json["next_sequence_number"]?.integer == 4)
        let again = try append(first, recorder, id, as: "olga", "?offset=0")
        #expect(again.status == 409)
        #expect(again.code == "REEL_ERR_3004")
        #expect(try append(second, recorder, id, as: "olga", "?offset=2560").status == 201)
        let found = try progress(recorder, id)
        #expect(found["next_offset"]?.integer == 3260)
        #expect(found["chunks_recorded"]?.integer == 4)
        let stopped = try recorder.ask("POST", "/recordings/\(id)/stop", as: "olga")
        #expect(stopped.status == 200)
        #expect(stopped.json["progress"]?["recorder_alive"] == .null)
        try api.wait(for: "completed", of: id)
        #expect(try api.ask("GET", "/sessions/\(id)/media").body == first + second)
        #expect(try progress(recorder, id)["chunks_stored"]?.integer == 4)
        let chunks = try recorder.ask("GET", "/chunks/\(id)?limit=3")
        #expect(chunks.json["chunks"]?.array?.map { $0["size_bytes"]?.integer ?? 0 } == [1024, 1024, 512])
        let stamp = chunks.json["chunks"]?.array?.first?["timestamp"]?.string
        #expect(stamp == "2026-01-31T10:00:00.000Z")
        let recorded = api.events(of: id).filter { $0.type == "ChunkRecorded" }
        #expect(recorded.allSatisfy { $0.context.source == "/reel/recorder" })
        #expect(try recorder.ask("DELETE", "/recordings/\(id)").status == 204)
        #expect(try recorder.ask("GET", "/recordings/\(id)").status == 404)
    }

    @Test("A session that is there is started, and numbered chunks and a stream make one recording")
    func existing() throws {
        let (api, recorder) = try pair()
        let id = try api.makeSession()
        let started = try recorder.ask(
            "POST", "/recordings/start", body: #"{"session_id":"\#(id)","source":"stream"}"#)
        #expect(started.status == 201)
        #expect(try api.upload([1, 2, 3], 1, to: id).status == 201)
        #expect(try append([4, 5], recorder, id, "?offset=3").json["next_sequence_number"]?.integer == 3)
        // One that waits for the third has its number, so the third needs one, too.
        #expect(try api.upload([9], 4, to: id).status == 202)
        #expect(try append([6], recorder, id).code == "REEL_ERR_3004")
        #expect(try progress(recorder, id)["chunks_waiting"]?.integer == 1)
        #expect(try api.upload([6], 3, to: id).status == 201)
        #expect(try append([7], recorder, id).json["next_offset"]?.integer == 8)
    }

    @Test("A connection that breaks loses nothing of what has arrived")
    func broken() throws {
        let (api, recorder) = try pair()
        let id = try recording(recorder)
        var client: Client? = try stream(sampleBytes(5000), to: recorder, id)
        try wait(for: 5000, in: recorder)
        withExtendedLifetime(client) {}
        client = nil
        for _ in 0..<6000 where try progress(recorder, id)["next_offset"]?.integer != 5000 {
            recorder.pause()
        }
        let found = try progress(recorder, id)
        #expect(found["next_offset"]?.integer == 5000)
        #expect(try append([1], recorder, id, "?offset=5000").status == 201)
        withExtendedLifetime(api) {}
    }

    @Test("Who stops a recording has all of what has arrived, and its stream is told")
    func flushed() throws {
        let (api, recorder) = try pair()
        let id = try recording(recorder)
        let client = try stream(sampleBytes(5000), to: recorder, id)
        try wait(for: 5000, in: recorder)
        let answer = try recorder.ask("POST", "/recordings/\(id)/stop")
        #expect(answer.json["status"]?.string == "stopped")
        #expect(answer.json["progress"]?["next_offset"]?.integer == 5000)
        #expect(answer.json["progress"]?["incomplete"]?.bool == false)
        // At its next bytes, though its body has not ended.
        try client.send(Array("1\r\nx\r\n".utf8))
        #expect(try client.answer().code == "REEL_ERR_3004")
        #expect(try progress(recorder, id)["next_offset"]?.integer == 5000)
        withExtendedLifetime(api) {}
    }

    @Test("Too much that waits for the stages, and more than a session may have, is refused")
    func bounds() throws {
        let (api, recorder) = try pair { $1.chunkBytes = 1024 }
        let id = try recording(recorder)
        // Nobody processes anything: so many chunks may wait.
        let full = ChunkUpload.window * 1024
        #expect(try append(sampleBytes(full), recorder, id).status == 201)
        let more = try append([1], recorder, id)
        #expect(more.status == 503)
        #expect(more.code == "REEL_ERR_3015")
        #expect(more[header: "Retry-After"] != nil)
        #expect(try progress(recorder, id)["next_offset"]?.integer == Int64(full))
        withExtendedLifetime(api) {}
    }

    @Test("A sender waits while the stages catch up")
    func slowed() throws {
        let (api, recorder) = try pair { $1.chunkBytes = 1024 }
        let id = try recording(recorder)
        try api.startProcessing()
        let bytes = sampleBytes((ChunkUpload.window + 40) * 1024)
        // Who was sent away goes on where it ended.
        var (place, tries) = (0, 0)
        while place < bytes.count, tries < 1000 {
            let answer = try append(Array(bytes[place...]), recorder, id, "?offset=\(place)")
            #expect([201, 503].contains(answer.status), "\(answer.text)")
            place = Int(try progress(recorder, id)["next_offset"]?.integer ?? 0)
            tries += 1
        }
        #expect(place == bytes.count)
        #expect(try progress(recorder, id)["chunks_recorded"]?.integer == Int64(ChunkUpload.window + 40))
    }

    @Test("A chunk that is some seconds old is recorded though it is not full, and nothing more comes")
    func old() throws {
        let (api, recorder) = try pair { $1.intake.chunkMilliseconds = 300 }
        let id = try recording(recorder)
        let client = try stream(sampleBytes(5000), to: recorder, id)
        for _ in 0..<6000 where try progress(recorder, id)["next_offset"]?.integer != 5000 {
            recorder.pause()
        }
        #expect(try progress(recorder, id)["chunks_recorded"]?.integer == 1)
        try client.send(Array("1\r\ny\r\n0\r\n\r\n".utf8))
        let answer = try client.answer()
        #expect(answer.status == 201)
        #expect(answer.json["recorded_bytes"]?.integer == 5001)
        #expect(answer.json["chunk_ids"]?.array?.count == 2)
        withExtendedLifetime(api) {}
    }

    /// Keys that cannot be made for a while.
    private final class RefusedKeys: SessionKeyAccess {
        private let keys: any SessionKeyAccess
        let isRefused = Atomic<Bool>(true)

        init(_ keys: any SessionKeyAccess) { self.keys = keys }

        func makeKey(forSession session: String, at time: Timestamp) throws -> SessionKey {
            if isRefused.load(ordering: .relaxed) {
                throw LogFailure(.denied, operation: "make key", key: session, text: "not now")
            }
            return try keys.makeKey(forSession: session, at: time)
        }

        func key(ofSession session: String) throws -> SessionKey { try keys.key(ofSession: session) }
    }

    @Test("a start that failed between the session and its key goes on with the same request, and no other")
    func halfStarted() throws {
        let held = Lock<RefusedKeys?>(nil)
        let recorder = try TestGateway(serving: .recorder) { parts, _ in
            let refused = RefusedKeys(parts.keys)
            held.withLock { $0 = refused }
            parts.keys = refused
        }
        let order = sessionBody(#""session_id":"half""#)
        #expect(try recorder.ask("POST", "/recordings/start", body: order).status >= 500)
        #expect(try recorder.ask("GET", "/recordings/half").json["status"]?.string == "created")
        #expect(try recorder.ask("POST", "/recordings/start", body: order).status >= 500)
        held.withLock { $0?.isRefused.store(false, ordering: .relaxed) }
        let other = sessionBody(#""session_id":"half","description":"another one""#)
        #expect(try recorder.ask("POST", "/recordings/start", body: other).code == "REEL_ERR_3003")
        #expect(try recorder.ask("POST", "/recordings/start", as: "olga", body: order).status >= 400)
        let begun = try recorder.ask("POST", "/recordings/start", body: order)
        #expect(begun.status == 201)
        #expect(begun.json["status"]?.string == "recording")
        #expect(try recorder.ask("POST", "/recordings/start", body: order).code == "REEL_ERR_3003")
    }

    @Test("What the state does not allow is a 409, and what nobody can do a 501")
    func states() throws {
        let (api, recorder) = try pair()
        let id = try api.makeSession()
        for step in ["stop", "pause", "resume"] {
            #expect(try recorder.ask("POST", "/recordings/\(id)/\(step)").code == "REEL_ERR_3004", "\(step)")
        }
        #expect(try append([1], recorder, id).code == "REEL_ERR_3004")
        let desktop = try recorder.ask(
            "POST", "/recordings/start", body: #"{"session_id":"\#(id)","source":"rdp"}"#)
        #expect(desktop.status == 501)
        #expect(desktop.code == "REEL_ERR_3002")
        #expect(desktop.json["error"]?["message"]?.string?.contains("stream") == true)
        #expect(try recorder.ask("GET", "/recordings/\(id)").json["status"]?.string == "created")
        let order = #"{"session_id":"\#(id)"}"#
        #expect(try recorder.ask("POST", "/recordings/start", body: order).status == 201)
        #expect(try recorder.ask("POST", "/recordings/start", body: order).code == "REEL_ERR_3004")
        let taken = sessionBody(#""session_id":"\#(id)""#)
        #expect(try recorder.ask("POST", "/recordings/start", body: taken).code == "REEL_ERR_3003")
        #expect(try recorder.ask("DELETE", "/recordings/\(id)").code == "REEL_ERR_3004")
        for (step, status) in [("pause", "paused"), ("resume", "recording"), ("stop", "stopped")] {
            let answer = try recorder.ask("POST", "/recordings/\(id)/\(step)")
            #expect(answer.status == 200)
            #expect(answer.json["status"]?.string == status)
        }
    }

    @Test("What cannot be understood is refused with every rule")
    func malformed() throws {
        let (api, recorder) = try pair()
        let id = try recording(recorder)
        for (body, fields) in [
            ("{}", ["name"]), ("[]", ["body"]),
            (#"{"session_id":"a b","source":"tape"}"#, ["session_id", "source"]),
            (#"{"session_id":"x","source":7}"#, ["source"]),
            (#"{"source":"file"}"#, ["name", "source"]), (#"{"source":"rdp"}"#, ["name", "rdp_config"]),
            (#"{"name":"n","rdp_config":{"port":0}}"#, ["rdp_config.host", "rdp_config.port"]),
        ] {
            let answer = try recorder.ask("POST", "/recordings/start", body: body)
            #expect(answer.status == 422, "\(body)")
            #expect(answer.fields.sorted() == fields, "\(body)")
        }
        #expect(try recorder.ask("POST", "/recordings/start", body: "{").status == 400)
        let paths = [
            "/recordings/\(id)?x=1", "/compression/stats?x=1", "/recordings?x=1", "/chunks/\(id)?x=1",
        ]
        for path in paths { #expect(try recorder.ask("GET", path).fields == ["x"], "\(path)") }
        for step in ["stop", "pause", "resume"] {
            #expect(try recorder.ask("POST", "/recordings/\(id)/\(step)?x=1").fields == ["x"])
        }
        #expect(try recorder.ask("DELETE", "/recordings/\(id)?x=1").fields == ["x"])
        #expect(
            try append([1], recorder, id, "?offset=-1&timestamp=now&x=1").fields == [
                "offset", "timestamp", "x",
            ])
        #expect(try append([], recorder, id).fields == ["body"])
        #expect(try recorder.ask("POST", "/chunks/\(id)/process", body: "{}").status == 415)
        #expect(try recorder.ask("PUT", "/recordings/\(id)", body: "{}").status == 405)
        withExtendedLifetime(api) {}
    }

    @Test("Who may not is told so; what one may not see does not exist")
    func access() throws {
        let (api, recorder) = try pair()
        let id = try api.makeSession(as: "olga", #""metadata":{"project":"apollo"}"#)
        let order = #"{"session_id":"\#(id)"}"#
        let reads = ["/recordings/\(id)", "/recordings", "/chunks/\(id)", "/compression/stats"]
        for path in reads { #expect(try recorder.ask("GET", path, as: nil).status == 401, "\(path)") }
        #expect(try recorder.ask("POST", "/recordings/start", as: nil, body: order).status == 401)
        #expect(try recorder.ask("POST", "/recordings/start", as: "vera", body: order).status == 403)
        #expect(try recorder.ask("POST", "/recordings/start", as: "otto", body: order).status == 404)
        #expect(try recorder.ask("POST", "/recordings/start", body: #"{"session_id":"none"}"#).status == 404)
        #expect(try recorder.ask("POST", "/recordings/start", as: "olga", body: order).status == 201)
        for (method, path) in [
            ("POST", "/recordings/\(id)/pause"), ("POST", "/recordings/\(id)/resume"),
            ("POST", "/recordings/\(id)/stop"), ("DELETE", "/recordings/\(id)"),
        ] {
            #expect(try recorder.ask(method, path, as: nil).status == 401, "\(path)")
            #expect(try recorder.ask(method, path, as: "vera").status == 403, "\(path)")
            let hidden = method == "DELETE" ? 403 : 404
            #expect(try recorder.ask(method, path, as: "otto").status == hidden, "\(path)")
            #expect(try recorder.ask(method, path.replacing(id, with: "none")).status == 404, "\(path)")
        }
        for path in ["/recordings/\(id)", "/chunks/\(id)"] {
            #expect(try recorder.ask("GET", path, as: "vera").status == 200, "\(path)")
            #expect(try recorder.ask("GET", path, as: "otto").status == 404, "\(path)")
        }
        #expect(try append([1], recorder, id, as: "vera").status == 403)
        #expect(try append([1], recorder, id, as: "otto").status == 404)
        #expect(try append([1], recorder, "none").status == 404)
        #expect(try recorder.ask("GET", "/recordings", as: "otto").json["recordings"]?.array?.count == 0)
        #expect(try recorder.ask("GET", "/recordings", as: "vera").json["recordings"]?.array?.count == 1)
        #expect(try recorder.ask("GET", "/compression/stats", as: "olga").status == 403)
        #expect(try recorder.ask("GET", "/compression/stats", as: "auditor").status == 200)
        #expect(try append([1], recorder, id, as: "olga").status == 201)
    }

    @Test("Recordings are listed by their state, and what compressing has brought is counted")
    func figures() throws {
        let (api, recorder) = try pair { $1.configuration.compressionLevels = [("zstd", 9)] }
        try api.startProcessing()
        _ = try api.makeSession()
        let id = try recording(recorder)
        let running = try recorder.ask("GET", "/recordings?status=recording").json
        #expect(running["recordings"]?.array?.map { $0["session_id"]?.string } == [id])
        #expect(running["pagination"]?["total"]?.integer == 1)
        #expect(try recorder.ask("GET", "/recordings").json["recordings"]?.array?.count == 2)
        #expect(try append([UInt8](repeating: 7, count: 100_000), recorder, id).status == 201)
        #expect(try recorder.ask("POST", "/recordings/\(id)/stop").status == 200)
        try api.wait(for: "completed", of: id)
        let stats = try recorder.ask("GET", "/compression/stats").json
        #expect(stats["chunks_count"]?.integer == 1)
        #expect(stats["original_bytes"]?.integer == 100_000)
        let compressed = try #require(stats["compressed_bytes"]?.integer)
        #expect((1..<1000).contains(compressed))
        #expect(stats["saved_bytes"]?.integer == 100_000 - compressed)
        #expect(stats["compression_ratio"]?.number == Double(compressed) / 100_000)
        let levels = stats["algorithms"]?.array?.map {
            "\($0["name"]?.string ?? "") \($0["level"]?.integer ?? 0)"
        }
        #expect(levels == ["none 0", "zstd 9", "lz4 0", "gzip 6"])
    }

    @Test("Limits and records are those of the session API")
    func watched() throws {
        let desk = MemoryAuditWriter()
        let limiter = FewRequests(limit: 1)
        let (api, recorder) = try pair { parts, _ in
            parts.audit = desk
            parts.limiter = limiter
        }
        let id = try recording(recorder, as: "olga")
        let many = try recorder.ask("POST", "/recordings/start", as: "olga", body: sessionBody())
        #expect(many.status == 429)
        #expect(try append([1], recorder, id, as: "olga").status == 201)
        #expect(try append([1], recorder, id, as: "olga").status == 429)
        #expect(try recorder.ask("POST", "/recordings/\(id)/stop", as: "olga").status == 200)
        #expect(
            desk.records.map { "\($0.action) \($0.sessionID ?? "-") \($0.statusCode ?? 0)" } == [
                "session.start \(id) 201", "session.start - 429", "chunk.upload \(id) 201",
                "chunk.upload \(id) 429", "session.stop \(id) 200",
            ])
        withExtendedLifetime(api) {}
    }
}
