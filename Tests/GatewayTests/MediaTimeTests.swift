import Base
import Gateway
import HTTPServer
import Recording
import Testing

@Suite("Media time and facts over HTTP")
struct MediaTimeTests {
    private func recording() throws -> (TestGateway, String) {
        let gateway = try TestGateway()
        let id = try gateway.makeSession()
        try #require(try gateway.ask("POST", "/sessions/\(id)/start").status == 200)
        return (gateway, id)
    }

    private func time(_ change: Int64) -> String {
        SystemClock().now().advanced(byMilliseconds: change).rfc3339
    }

    private func upload(
        _ gateway: TestGateway, _ number: Int, to id: String, at time: String, _ more: String = "",
        among collection: String = "sessions"
    ) throws -> WireAnswer {
        let query = "sequence_number=\(number)&timestamp=\(time)\(more)"
        return try Client(gateway.server.port).ask(
            "POST", "/api/v1/\(collection)/\(id)/chunks?\(query)",
            as: "admin", ["Content-Type: application/octet-stream"], body: [UInt8(number)])
    }

    @Test("Ten minutes that are uploaded at once are ten minutes of thirty frames a second")
    func atOnce() throws {
        let (gateway, id) = try recording()
        for number in 1...10 {
            let start = time(Int64(number - 11) * 60_000)
            let more = "&duration_seconds=60&frame_count=1800"
            #expect(try upload(gateway, number, to: id, at: start, more).status == 201)
        }
        let shown = try gateway.ask("GET", "/sessions/\(id)/statistics").json["recording_stats"]
        #expect(shown?["total_duration_seconds"]?.number.map { abs($0 - 600) <= 1 } == true)
        #expect(shown?["active_duration_seconds"]?.number == 600)
        #expect(shown?["average_fps"]?.number == 30)
        let session = try gateway.ask("GET", "/sessions/\(id)").json["statistics"]
        #expect(session?["duration_seconds"]?.number == 600 && session?["average_fps"]?.number == 30)
    }

    @Test(
        "What was captured long before its upload is taken, and said; what has not come yet is refused",
        arguments: ["sessions", "pipelines"])
    func remarks(_ collection: String) throws {
        let (gateway, id) = try recording()
        let manager = try TestGateway(serving: .pipeline, beside: gateway)
        func upload(_ number: Int, at time: String) throws -> WireAnswer {
            try self.upload(
                collection == "sessions" ? gateway : manager, number, to: id, at: time, among: collection)
        }
        let usual = try upload(1, at: time(-60_000))
        #expect(usual.status == 201 && usual.json["reel"] == nil)
        let old = try upload(2, at: time(-8 * 86_400_000))
        #expect(old.status == 201)
        let warning = old.json["reel"]?["warnings"]?.array?.first
        #expect(warning?["field"]?.string == "timestamp")
        #expect(warning?["text"]?.string?.contains("192 hours before") == true)
        // One that has to wait for another says so too.
        let held = try upload(9, at: time(-8 * 86_400_000))
        #expect(held.status == 202 && held.json["reel"]?["warnings"]?.array?.count == 1)
        let future = try upload(3, at: time(2 * 86_400_000))
        #expect(future.status == 422 && future.fields == ["timestamp"])
        let early = try upload(3, at: "1969-12-31T23:59:59Z")
        #expect(early.status == 422 && early.fields == ["timestamp"])
        // Reading it again brings no warning: what was sent is what was meant.
        let chunks = try gateway.ask("GET", "/sessions/\(id)/chunks").json["chunks"]?.array
        #expect(chunks?.count == 2 && chunks?.allSatisfy { $0["reel"] == nil } == true)
    }

    @Test("What nobody states of a stream is not known, and a session has the seed's defaults")
    func unstated() throws {
        let gateway = try TestGateway()
        let recorder = try TestGateway(serving: .recorder, beside: gateway)
        let started = try recorder.ask("POST", "/recordings/start", body: #"{"name":"stream"}"#)
        #expect(started.status == 201)
        let id = try #require(started.json["session_id"]?.string)
        let shown = try gateway.ask("GET", "/sessions/\(id)").json
        #expect(shown["rdp_config"]?.isNull == true)
        for name in ["frame_rate", "resolution", "quality", "bitrate", "audio_enabled", "cursor_enabled"] {
            #expect(shown["recording_config"]?[name]?.isNull == true, "\(name)")
        }
        #expect(shown["recording_config"]?["compression"]?.string == "zstd")
        // What is stated later is known from then on, and the rest stays as it is.
        let changed = try gateway.ask(
            "PUT", "/sessions/\(id)", body: #"{"recording_config":{"frame_rate":24}}"#)
        #expect(changed.json["recording_config"]?["frame_rate"]?.integer == 24)
        #expect(changed.json["recording_config"]?["resolution"]?.isNull == true)
        #expect(
            try gateway.ask("PUT", "/sessions/\(id)", body: #"{"recording_config":{"frame_rate":null}}"#)
                .fields == ["recording_config.frame_rate"])
        let desk = #"{"name":"s","rdp_config":{"host":"h","username":"u"}}"#
        let stated = try recorder.ask("POST", "/recordings/start", body: desk)
        let desktop = try gateway.ask("GET", "/sessions/\(stated.json["session_id"]?.string ?? "")").json
        #expect(desktop["rdp_config"]?["host"]?.string == "h")
        #expect(desktop["rdp_config"]?["port"]?.isNull == true)
        let made = try gateway.ask("POST", "/sessions", body: desk)
        #expect(made.json["recording_config"]?["frame_rate"]?.integer == 30)
        #expect(made.json["rdp_config"]?["port"]?.integer == 3389)
        #expect(try gateway.ask("POST", "/sessions", body: #"{"name":"s"}"#).fields == ["rdp_config"])
    }
}
