import Base
import EventSourcing
import Recording
import Testing

@Suite("Sessions over HTTP")
struct SessionTests {
    @Test("A session is made, read, listed, changed and removed")
    func life() throws {
        let gateway = try TestGateway()
        let made = try gateway.ask("POST", "/sessions", as: "olga", body: sessionBody())
        #expect(made.status == 201)
        let id = try #require(made.json["session_id"]?.string)
        #expect(made[header: "Location"] == "/api/v1/sessions/\(id)")
        #expect(made.json["status"]?.string == "created")
        #expect(made.json["metadata"]?["owner"]?.string == "olga")

        let read = try gateway.ask("GET", "/sessions/\(id)", as: "olga")
        #expect(read.status == 200)
        #expect(read.body == made.body)
        #expect(read[header: "ETag"] == made[header: "ETag"])

        let list = try gateway.ask("GET", "/sessions?owner=olga&limit=10", as: "olga")
        #expect(list.status == 200)
        #expect(list.json["sessions"]?.array?.count == 1)
        #expect(list.json["pagination"]?["total"]?.integer == 1)

        let changed = try gateway.ask("PUT", "/sessions/\(id)", as: "olga", body: #"{"name":"another"}"#)
        #expect(changed.status == 200)
        #expect(changed.json["name"]?.string == "another")

        #expect(try gateway.ask("DELETE", "/sessions/\(id)", as: "olga").status == 403)
        #expect(try gateway.ask("DELETE", "/sessions/\(id)", as: "manager").status == 204)
        let gone = try gateway.ask("GET", "/sessions/\(id)", as: "olga")
        #expect(gone.status == 404)
        #expect(gone.code == "REEL_ERR_3001")
    }

    @Test("Events say who asked, in which request and which trace")
    func events() throws {
        let gateway = try TestGateway()
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        let made = try gateway.ask(
            "POST", "/sessions", as: "olga", ["X-Request-Id: order-66", "traceparent: \(trace)"],
            body: sessionBody())
        #expect(made[header: "X-Request-Id"] == "order-66")
        let id = try #require(made.json["session_id"]?.string)
        let event = try #require(gateway.events(of: id).first)
        #expect(event.context.actor == Actor(type: "user", id: "olga"))
        #expect(event.context.correlationID == "order-66")
        #expect(event.context.traceparent.hasPrefix("00-4bf92f3577b34da6a3ce929d0e0e4736-"))
    }

    @Test("Every rule that a request breaks is listed")
    func violations() throws {
        let gateway = try TestGateway()
        let answer = try gateway.ask(
            "POST", "/sessions",
            body: #"{"name":"","rdp_config":{"host":"h","username":"u","port":0},"surprise":1}"#)
        #expect(answer.status == 422)
        #expect(answer.code == "REEL_ERR_3002")
        #expect(Set(answer.fields) == ["name", "rdp_config.port", "surprise"])
        #expect(answer.json["error"]?["details"]?["category"]?.string == "user_fixable")
        #expect(answer.json["error"]?["request_id"]?.string == answer[header: "X-Request-Id"])
        #expect(answer.json["error"]?["timestamp"]?.string.flatMap { Timestamp(rfc3339: $0) } != nil)
    }

    @Test("The start makes it record, and a step that its state doesn't have is a 409")
    func control() throws {
        let gateway = try TestGateway()
        let id = try gateway.makeSession()
        #expect(try gateway.ask("POST", "/sessions/\(id)/pause").code == "REEL_ERR_3004")
        for (step, status) in [
            ("start", "recording"), ("pause", "paused"), ("resume", "recording"), ("stop", "stopped"),
        ] {
            let answer = try gateway.ask("POST", "/sessions/\(id)/\(step)")
            #expect(answer.status == 200, "\(step): \(answer.text)")
            #expect(answer.json["status"]?.string == status)
        }
        let late = try gateway.ask("POST", "/sessions/\(id)/start")
        #expect(late.status == 409)
        #expect(late.code == "REEL_ERR_3004")
    }

    @Test("What was read is answered as unchanged until something happens")
    func unchanged() throws {
        let gateway = try TestGateway()
        let id = try gateway.makeSession()
        let read = try gateway.ask("GET", "/sessions/\(id)")
        let tag = try #require(read[header: "ETag"])
        #expect(try gateway.ask("GET", "/sessions/\(id)", ["If-None-Match: \(tag)"]).status == 304)
        _ = try gateway.ask("POST", "/sessions/\(id)/start")
        #expect(try gateway.ask("GET", "/sessions/\(id)", ["If-None-Match: \(tag)"]).status == 200)
    }

    @Test("A change of what has been changed since it was read is refused")
    func lostUpdate() throws {
        let gateway = try TestGateway()
        let id = try gateway.makeSession()
        let read = try gateway.ask("GET", "/sessions/\(id)")
        let tag = try #require(read[header: "ETag"])
        // That it records by now does not concern its description.
        _ = try gateway.ask("POST", "/sessions/\(id)/start")
        let first = try gateway.ask("PUT", "/sessions/\(id)", ["If-Match: \(tag)"], body: #"{"name":"one"}"#)
        #expect(first.status == 200)
        let second = try gateway.ask("PUT", "/sessions/\(id)", ["If-Match: \(tag)"], body: #"{"name":"two"}"#)
        #expect(second.status == 412)
        #expect(second.code == "REEL_ERR_3004")
        let any = try gateway.ask("PUT", "/sessions/\(id)", ["If-Match: *"], body: #"{"name":"two"}"#)
        #expect(any.status == 200)
    }

    @Test("An id is taken once")
    func duplicate() throws {
        let gateway = try TestGateway()
        let body = sessionBody(#""session_id":"mine-1""#)
        #expect(try gateway.ask("POST", "/sessions", body: body).status == 201)
        let again = try gateway.ask("POST", "/sessions", body: body)
        #expect(again.status == 409)
        #expect(again.code == "REEL_ERR_3003")
    }

    @Test("Who isn't known, or may not, is told so; what one may not see does not exist")
    func access() throws {
        let gateway = try TestGateway()
        let id = try gateway.makeSession(as: "olga", #""metadata":{"project":"apollo"}"#)
        let nobody = try gateway.ask("GET", "/sessions/\(id)", as: nil)
        #expect(nobody.status == 401)
        #expect(nobody.code == "REEL_ERR_3011")
        #expect(nobody[header: "WWW-Authenticate"]?.hasPrefix("Bearer") == true)
        #expect(try gateway.ask("GET", "/sessions/\(id)", as: "stranger").status == 401)
        #expect(try gateway.ask("GET", "/sessions/\(id)", as: "vera").status == 200)
        let denied = try gateway.ask("PUT", "/sessions/\(id)", as: "vera", body: #"{"name":"x"}"#)
        #expect(denied.status == 403)
        #expect(denied.code == "REEL_ERR_3012")
        #expect(try gateway.ask("GET", "/sessions/\(id)", as: "otto").status == 404)
        #expect(try gateway.ask("POST", "/sessions/\(id)/start", as: "otto").status == 404)
        #expect(try gateway.ask("GET", "/sessions", as: "otto").json["sessions"]?.array?.count == 0)
        #expect(try gateway.ask("GET", "/sessions", as: "vera").json["sessions"]?.array?.count == 1)
    }

    @Test("Nobody is let in where there are no keys, but health answers")
    func withoutKeys() throws {
        let gateway = try TestGateway(tokens: NamedTokens(hasKeys: false))
        #expect(try gateway.ask("GET", "/sessions", as: "admin").status == 401)
        #expect(try gateway.ask("GET", "/health/live", as: nil).status == 200)
        #expect(try gateway.ask("GET", "/health/ready", as: nil).status == 200)
        #expect(try gateway.ask("GET", "/metrics", as: nil).status == 401)
    }

    @Test("Figures are for those who may read them")
    func figures() throws {
        let gateway = try TestGateway()
        #expect(try gateway.ask("GET", "/metrics", as: "olga").status == 403)
        #expect(try gateway.ask("GET", "/metrics", as: "auditor").status == 200)
        #expect(try gateway.ask("GET", "/status", as: "admin").json["service"]?.string == "test")
    }

    @Test("Paths and methods that are not there have the errors' form too")
    func unknown() throws {
        let gateway = try TestGateway()
        let path = try gateway.ask("GET", "/nowhere")
        #expect(path.status == 404)
        #expect(path.code == "REEL_ERR_3014")
        let method = try gateway.ask("DELETE", "/sessions")
        #expect(method.status == 405)
        #expect(method[header: "Allow"]?.contains("POST") == true)
        #expect(try gateway.ask("POST", "/sessions", body: "{").code == "REEL_ERR_3014")
        #expect(try gateway.ask("GET", "/sessions/..%2F..%2Fetc").code == "REEL_ERR_3001")
    }
}
