import ChunkFiles
import Base
import EventSourcing
import Gateway
import HTTPServer
import Pipeline
import Recording
import Simulation
import Supervision
import Testing
import Files

/// Streams of several senders, over several Recorders, and what becomes of them while others act.
@Suite("Streams over HTTP")
struct StreamTests {
    /// The session API and two Recorders over one log, and a recording.
    private struct Scene {
        let api: TestGateway
        let recorders: [TestGateway]
        let id: String

        init(_ change: (inout GatewayParts, inout GatewaySettings) -> Void = { _, _ in }) throws {
            api = try TestGateway(change)
            recorders = [
                try TestGateway(serving: .recorder, beside: api, change),
                try TestGateway(serving: .recorder, beside: api, change),
            ]
            let answer = try recorders[0].ask("POST", "/recordings/start", body: sessionBody())
            id = try #require(answer.json["session_id"]?.string)
        }

        /// A request whose body has not come to its end.
        func open(_ recorder: Int = 0, _ query: String = "", length: Int? = nil) throws -> Client {
            let client = try Client(recorders[recorder].server.port)
            let framing = length.map { "Content-Length: \($0)" } ?? "Transfer-Encoding: chunked"
            let head = [
                "POST /chunks/\(id)/process\(query) HTTP/1.1", "Host: reel", "Authorization: Bearer admin",
                "Content-Type: application/octet-stream", framing, "", "",
            ]
            try client.send(Array(head.joined(separator: "\r\n").utf8))
            return client
        }

        func progress(_ recorder: Int = 0) throws -> JSONValue {
            try recorders[recorder].ask("GET", "/recordings/\(id)").json["progress"] ?? .null
        }

        /// Waits until so many bytes of bodies stand in the spool.
        func wait(for count: Int) throws {
            for _ in 0..<6000 {
                if try api.vault.spool.usage().bytes >= count { return }
                api.pause()
            }
            Issue.record("\(count) bytes never came to the spool")
        }

        /// The recorded bytes, from the files that the events name.
        func media() throws -> String {
            var text = ""
            let buffer = ScratchBuffer()
            for event in api.events(of: id) {
                guard case .chunk(.recorded(let chunk)) = try RecordingEvent(event) else { continue }
                try api.vault.spool.read(chunk.spoolPath, into: buffer)
                text += String(decoding: buffer.copyBytes(), as: UTF8.self)
            }
            return text
        }

        func isIncomplete() throws -> Bool? {
            let stop = try #require(api.events(of: id).first { $0.type == "SessionStopped" })
            return try JSONValue(parsing: stop.data)["incomplete"]?.bool
        }
    }

    private static func chunked(_ text: String) -> [UInt8] {
        Array("\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n".utf8)
    }

    private static let end = Array("0\r\n\r\n".utf8)

    private func send(_ text: String, _ client: Client) throws { try client.send(Self.chunked(text)) }

    @Test(
        "A second sender takes over, and the first is told where the recording goes on at its next bytes",
        arguments: [0, 1])
    func takeover(_ other: Int) throws {
        let scene = try Scene()
        let first = try scene.open()
        try send("AAAA", first)
        try scene.wait(for: 4)
        let second = try scene.open(other)
        try send("BBB", second)
        try second.send(Self.end)
        let taken = try second.answer()
        #expect(taken.status == 201, "\(taken.text)")
        #expect(taken.json["next_offset"]?.integer == 7)
        try send("CC", first)
        let refused = try first.answer()
        #expect(refused.status == 409 && refused.code == "REEL_ERR_3004", "\(refused.text)")
        #expect(refused.json["error"]?["details"]?["next_offset"]?.integer == 7)
        #expect(refused.json["error"]?["details"]?["next_sequence_number"]?.integer == 3)
        #expect(try scene.media() == "AAAABBB")
        #expect(try scene.recorders[other].ask("POST", "/recordings/\(scene.id)/stop").status == 200)
        #expect(try scene.isIncomplete() == false)
    }

    @Test("A sender that believes in another place is told the right one, and disturbs nobody")
    func misplaced() throws {
        let scene = try Scene()
        let first = try scene.open()
        try send("AAAA", first)
        try scene.wait(for: 4)
        for offset in [0, 3, 5] {
            let refused = try scene.open(1, "?offset=\(offset)").answer()
            #expect(refused.status == 409 && refused.code == "REEL_ERR_3004", "\(refused.text)")
            #expect(refused.json["error"]?["details"]?["next_offset"]?.integer == 4)
        }
        try send("BB", first)
        try first.send(Self.end)
        #expect(try first.answer().json["next_offset"]?.integer == 6)
        #expect(try scene.media() == "AAAABB")
    }

    @Test(
        "A pause holds the stream: what comes meanwhile is dropped and said, and it goes on as it was",
        arguments: [0, 1])
    func paused(_ other: Int) throws {
        let scene = try Scene()
        let client = try scene.open()
        try send("AAAA", client)
        try scene.wait(for: 4)
        let path = "/recordings/\(scene.id)"
        let paused = try scene.recorders[other].ask("POST", path + "/pause")
        #expect(paused.json["status"]?.string == "paused")
        #expect(paused.json["progress"]?["next_offset"]?.integer == 4)
        try send("dropped", client)
        for _ in 0..<6000 where try scene.progress(other)["dropped_bytes"]?.integer != 7 { scene.api.pause() }
        #expect(try scene.progress(other)["dropped_bytes"]?.integer == 7)
        #expect(try scene.recorders[other].ask("POST", path + "/resume").status == 200)
        if other == 1 {
            // There it is noticed at the next look: till then bytes are dropped.
            for _ in 0..<6000 where try scene.progress()["next_offset"]?.integer == 4 {
                try send(".", client)
                scene.api.pause()
            }
        }
        try send("BBBB", client)
        try client.send(Self.end)
        let answer = try client.answer()
        #expect(answer.status == 201, "\(answer.text)")
        let dropped = try #require(answer.json["dropped_bytes"]?.integer)
        let media = try scene.media()
        #expect(media.hasPrefix("AAAA") && media.hasSuffix("BBBB") && dropped >= 7)
        #expect(answer.json["recorded_bytes"]?.integer == Int64(media.utf8.count))
        #expect(other == 1 || media == "AAAABBBB")
    }

    @Test("Where its sender says so a pause refuses what comes, and says where to go on")
    func refusedWhilePaused() throws {
        let scene = try Scene()
        let client = try scene.open(0, "?while_paused=refuse")
        try send("AAAA", client)
        try scene.wait(for: 4)
        #expect(try scene.recorders[0].ask("POST", "/recordings/\(scene.id)/pause").status == 200)
        try send("BB", client)
        let refused = try client.answer()
        #expect(refused.status == 409 && refused.code == "REEL_ERR_3004", "\(refused.text)")
        #expect(refused.json["error"]?["details"]?["next_offset"]?.integer == 4)
        let unknown = try scene.open(0, "?while_paused=wait").answer()
        #expect(unknown.fields == ["while_paused"])
    }

    @Test("What was promised and did not come makes the recording incomplete", arguments: [4, 10])
    func promised(_ length: Int) throws {
        let scene = try Scene()
        var client: Client? = try scene.open(0, length: length)
        try client?.send(Array("AAAA".utf8))
        if length == 4 {
            #expect(try client?.answer().status == 201)
        } else {
            try scene.wait(for: 4)
            client = nil
            for _ in 0..<6000 where try scene.progress()["next_offset"]?.integer != 4 { scene.api.pause() }
        }
        #expect(try scene.recorders[1].ask("POST", "/recordings/\(scene.id)/stop").status == 200)
        #expect(try scene.isIncomplete() == (length == 10))
        #expect(try scene.media() == "AAAA")
    }

    @Test("A body without an end that is cut off makes the recording incomplete, unless somebody goes on")
    func cutOff() throws {
        for isResumed in [false, true] {
            let scene = try Scene()
            var client: Client? = try scene.open()
            try client.map { try send("AAAA", $0) }
            try scene.wait(for: 4)
            client = nil
            for _ in 0..<6000 where try scene.progress()["next_offset"]?.integer != 4 { scene.api.pause() }
            if isResumed {
                let again = try scene.open(1, "?offset=4")
                try send("BB", again)
                try again.send(Self.end)
                #expect(try again.answer().status == 201)
            }
            #expect(try scene.recorders[1].ask("POST", "/recordings/\(scene.id)/stop").status == 200)
            #expect(try scene.isIncomplete() == !isResumed)
        }
    }

    @Test("A chunk that arrives while its session is stopped, paused or deleted is a 409, wherever it is")
    func racing() throws {
        for step in ["stop", "pause", "delete"] {
            let scene = try Scene()
            let (api, id) = (scene.api, scene.id)
            let client = try Client(api.server.port)
            let head = [
                "POST /api/v1/sessions/\(id)/chunks?sequence_number=1&timestamp=2026-01-31T10:00:00Z HTTP/1.1",
                "Host: reel", "Authorization: Bearer admin", "Content-Type: application/octet-stream",
                "Content-Length: 400000", "", "",
            ]
            let bytes = sampleBytes(400_000)
            try client.send(Array(head.joined(separator: "\r\n").utf8) + bytes[..<300_000])
            try scene.wait(for: 200_000)
            let stopped = step == "delete" ? "stop" : step
            #expect(try scene.recorders[0].ask("POST", "/recordings/\(id)/\(stopped)").status == 200)
            if step == "delete" {
                #expect(try api.ask("DELETE", "/sessions/\(id)").status == 204)
            }
            // As completion and removal do.
            if step != "pause" { try api.vault.spool.removeSession(id) }
            try client.send(Array(bytes[300_000...]))
            let answer = try client.answer()
            #expect(answer.status == 409 && answer.code == "REEL_ERR_3004", "\(step): \(answer.text)")
            if step == "stop" { #expect(try scene.isIncomplete() == true) }
        }
    }

    @Test("Without its key a session takes and gives nothing, and the answer names the key and what to do")
    func missingKey() throws {
        let scene = try Scene()
        try scene.api.startProcessing()
        #expect(try scene.api.upload([1, 2, 3], 1, to: scene.id).status == 201)
        for _ in 0..<6000 where scene.api.events(of: scene.id).allSatisfy({ $0.type != "ChunkStored" }) {
            scene.api.pause()
        }
        // Gateways that have not seen the key yet.
        let (id, log) = (scene.id, scene.api.log)
        try scene.api.vault.archive.open().destroy(ofSession: id)
        let api = try TestGateway(beside: scene.api)
        let recorder = try TestGateway(serving: .recorder, beside: scene.api)
        func expectNamed(_ answer: WireAnswer, _ source: SourceLocation = #_sourceLocation) {
            #expect(
                answer.status == 500 && answer.code == "REEL_ERR_3009", "\(answer.text)",
                sourceLocation: source)
            let error = answer.json["error"]
            #expect(error?["details"]?["category"]?.string == "admin_required", sourceLocation: source)
            let message = error?["message"]?.string ?? ""
            for word in [id, "reel_vault", "backup"] {
                #expect(message.contains(word), "\(message)", sourceLocation: source)
            }
        }
        expectNamed(try api.upload([1], 2, to: id))
        expectNamed(
            try Client(recorder.server.port).ask(
                "POST", "/chunks/\(id)/process", as: "admin", ["Content-Type: application/octet-stream"],
                body: [1]))
        expectNamed(try api.ask("GET", "/sessions/\(id)/chunks/\(id)-chunk-000001/download"))
        #expect(log.allEvents().filter { $0.type == "ChunkRecorded" }.count == 1)
    }
}
