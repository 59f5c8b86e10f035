import Engine
import Base
import EventSourcing
import HTTPServer
import Pipeline
import Recording
import Simulation
import Supervision
import Testing

@Suite("Events over HTTP", .timeLimit(.minutes(5)))
struct EventsTests {
    private static func rename(_ gateway: TestGateway, _ session: String, _ name: String) throws {
        let answer = try gateway.ask("PUT", "/sessions/\(session)", body: #"{"name":"\#(name)"}"#)
        try #require(answer.status == 200, "\(answer.text)")
    }

    private static func end(_ client: Client) throws -> String? {
        while let event = try client.event() {
            guard event.type == "end" else { continue }
            #expect(event.id == nil)
            #expect(try client.event() == nil)
            return event.json["reason"]?.string
        }
        return nil
    }

    @Test("A session's stream goes on exactly where it broke off, while events are appended")
    func resumed() throws {
        let gateway = try TestGateway(isLive: true)
        let id = try gateway.makeSession(as: "olga")
        let count = 60
        let port = gateway.server.port
        let writer = try OwnThread(name: "writer") {
            let client = try Client(port)
            for number in 2...count {
                let answer = try client.ask(
                    "PUT", "/api/v1/sessions/\(id)", as: "admin", ["Content-Type: application/json"],
                    body: Array(#"{"name":"desk \#(number)"}"#.utf8))
                try #require(answer.status == 200, "\(answer.text)")
            }
        }
        var ids: [String] = []
        while ids.count < count {
            let client = try Client(port)
            let headers = ids.last.map { ["Last-Event-ID: \($0)"] } ?? []
            // A client that comes back still asks for what it first asked for.
            #expect(try client.follow("/sessions/\(id)/events?after=0", as: "olga", headers).status == 200)
            for _ in 0..<min(7, count - ids.count) {
                let event = try #require(try client.event())
                #expect(event.place == "\(id) \(event.id ?? "")")
                ids.append(event.id ?? "")
            }
        }
        try writer.join()
        #expect(ids == (1...count).map { String($0) })
    }

    @Test("All events come page by page, then live, each of them once")
    func everything() throws {
        let gateway = try TestGateway(isLive: true)
        let sessions = try (0..<3).map { _ in try gateway.makeSession() }
        for session in sessions { try Self.rename(gateway, session, "one") }
        var places: [String] = []
        var after = ""
        var hasMore = true
        while hasMore {
            let page = try gateway.ask("GET", "/events?limit=2" + (after.isEmpty ? "" : "&after=\(after)"))
            try #require(page.status == 200, "\(page.text)")
            for event in page.json["events"]?.array ?? [] {
                let sequence = event["sequence"]?.string.flatMap { Int($0) } ?? 0
                places.append("\(event["partitionkey"]?.string ?? "") \(sequence)")
            }
            after = try #require(page.json["next_after"]?.string)
            hasMore = page.json["has_more"] == .bool(true)
        }
        #expect(places.sorted() == sessions.flatMap { ["\($0) 1", "\($0) 2"] }.sorted())

        let client = try Client(gateway.server.port)
        #expect(try client.follow("/events?after=\(after)", as: "manager").status == 200)
        for session in sessions { try Self.rename(gateway, session, "two") }
        var live: [StreamedEvent] = []
        for _ in sessions { live.append(try #require(try client.event())) }
        #expect(live.map(\.place).sorted() == sessions.map { "\($0) 3" }.sorted())

        // From the first of them on there are two.
        let again = try Client(gateway.server.port)
        let last = "Last-Event-ID: \(live[0].id ?? "")"
        #expect(try again.follow("/events", as: "manager", [last]).status == 200)
        let rest = try (0..<2).map { _ in try #require(try again.event()).place }
        #expect(Set(rest) == Set(live.dropFirst().map(\.place)))
    }

    @Test("Events are for those who may read them, and the audit trail's for those who may read that")
    func ownership() throws {
        let gateway = try TestGateway(isLive: true)
        let id = try gateway.makeSession(as: "olga", #""metadata":{"project":"apollo"}"#)
        for (name, status) in [("olga", 200), ("vera", 200), ("auditor", 200), ("otto", 404)] {
            let path = "/sessions/\(id)/events"
            #expect(try gateway.ask("GET", path, as: name).status == status, "\(name)")
            #expect(try Client(gateway.server.port).follow(path, as: name).status == status, "\(name)")
        }
        for (name, status) in [("manager", 200), ("auditor", 200), ("olga", 403), ("vera", 403)] {
            #expect(try gateway.ask("GET", "/events", as: name).status == status, "\(name)")
            #expect(
                try Client(gateway.server.port).follow("/events", as: name).status == status, "\(name)")
        }
        let stop = StopSignal()
        let trail = AuditTrail(log: gateway.log, source: "/test", writer: "test", report: .silent)
        let thread = try OwnThread(name: "trail") { try trail.run(stop: stop) }
        try trail.keep(
            AuditRecord(
                .sessionRead, on: AuditResource(.session, id: id), outcome: .allowed,
                actor: AuditActor(type: .user, subject: "anna")), traceparent: "")
        stop.set()
        try thread.join()
        try Self.rename(gateway, id, "last")
        for (name, sees) in [("manager", false), ("auditor", true)] {
            let page = try gateway.ask("GET", "/events", as: name).json["events"]?.array ?? []
            #expect(page.contains { $0["type"]?.string == "AuditRecorded" } == sees, "\(name)")
            let client = try Client(gateway.server.port)
            _ = try client.follow("/events", as: name)
            let types = try (0..<(sees ? 3 : 2)).map { _ in try #require(try client.event()).type }
            #expect(types.contains("AuditRecorded") == sees, "\(name)")
        }
    }

    @Test("A place that nobody was given is a 400 that names its field")
    func badPlaces() throws {
        let gateway = try TestGateway(isLive: true)
        let id = try gateway.makeSession()
        for path in ["/sessions/\(id)/events", "/events"] {
            for bad in ["x", "99", "-1", "01", "AQ"] {
                let client = try Client(gateway.server.port)
                let streamed = try client.follow(path, as: "admin", ["Last-Event-ID: \(bad)"])
                #expect(streamed.status == 400, "\(path) \(bad)")
                #expect(streamed.fields == ["Last-Event-ID"])
                let paged = try gateway.ask("GET", path + "?after=\(bad)")
                #expect(paged.status == 400, "\(path) \(bad)")
                #expect(paged.code == "REEL_ERR_3014")
                #expect(paged.fields == ["after"])
            }
            #expect(try gateway.ask("GET", path + "?limit=0&x=1").fields == ["limit", "x"])
        }
        #expect(try TestGateway().ask("GET", "/events").status == 503)
    }

    @Test("An entry that cannot be read is named; who may read everybody's sessions goes on behind it")
    func unreadable() throws {
        let gateway = try TestGateway(isLive: true)
        let id = try gateway.makeSession(as: "olga")
        let other = try gateway.makeSession()
        func follower(_ path: String, _ name: String) throws -> Client {
            let client = try Client(gateway.server.port)
            #expect(try client.follow(path, as: name).status == 200)
            return client
        }
        let (own, any) = (
            try follower("/sessions/\(id)/events", "olga"), try follower("/sessions/\(id)/events", "admin")
        )
        let all = try follower("/events", "admin")
        for client in [own, any] { #expect(try client.event()?.type == "SessionCreated") }
        for _ in 0..<2 { #expect(try all.event()?.type == "SessionCreated") }
        let bad = gateway.log.addUnreadable(to: id, .wholly)
        let named = try #require(try all.event())
        #expect(named.type == "unreadable" && named.json["position"]?.string == "\(bad)")
        // Nobody decides on a session of which nobody knows all, and others go on.
        for (method, path, body) in [
            ("GET", "/sessions/\(id)", nil), ("PUT", "/sessions/\(id)", #"{"name":"x"}"#),
            ("GET", "/sessions/\(id)/chunks", nil), ("GET", "/sessions/\(id)/events", nil),
        ] {
            try gateway.appendNote(to: id)
            let answer = try gateway.ask(method, path, body: body)
            // Until it is known here that there is more, what was answered before is answered again.
            guard answer.status != 200 else { continue }
            #expect(answer.status == 500 && answer.code == "REEL_ERR_3015", "\(method) \(path)")
            #expect(answer.text.contains("\(bad)"), "\(answer.text)")
        }
        #expect(try gateway.ask("PUT", "/sessions/\(id)", body: #"{"name":"x"}"#).status == 500)
        try Self.rename(gateway, other, "well")
        for client in [own, any] {
            let event = try #require(try client.event())
            #expect(event.type == "unreadable" && event.id == "2")
            #expect(event.json["sequence"]?.integer == 2)
        }
        #expect(try any.event()?.id == "3")
        #expect(try Self.end(own) == "failed")
        let page = try gateway.ask("GET", "/events?limit=1000").json
        #expect(page["unreadable"]?.array?.compactMap { $0["position"]?.string } == ["\(bad)"])
        #expect(page["events"]?.array?.contains { $0["partitionkey"]?.string == other } == true)
    }

    @Test("A stream says why it ends")
    func ends() throws {
        var tokens = NamedTokens()
        tokens.expires["otto"] = Timestamp(milliseconds: 1)
        let gateway = try TestGateway(tokens: tokens, isLive: true)

        let old = try gateway.makeSession(as: "otto")
        let expired = try Client(gateway.server.port)
        #expect(try expired.follow("/sessions/\(old)/events", as: "otto").status == 200)
        #expect(try Self.end(expired) == "token_expired")

        let gone = try gateway.makeSession()
        let deleted = try Client(gateway.server.port)
        #expect(try deleted.follow("/sessions/\(gone)/events", as: "admin").status == 200)
        #expect(try gateway.ask("DELETE", "/sessions/\(gone)").status == 204)
        #expect(try Self.end(deleted) == "session_deleted")
        #expect(try Client(gateway.server.port).follow("/sessions/\(gone)/events", as: "admin").status == 404)

        let moved = try gateway.makeSession(as: "olga")
        let lost = try Client(gateway.server.port)
        #expect(try lost.follow("/sessions/\(moved)/events", as: "olga").status == 200)
        let body = #"{"metadata":{"owner":"otto"}}"#
        #expect(try gateway.ask("PUT", "/sessions/\(moved)", body: body).status == 200)
        #expect(try Self.end(lost) == "access_lost")
    }
}
