import Base
import EventSourcing
import Gateway
import HTTPServer
import Recording
import Supervision
import Testing

@Suite("Legal holds over HTTP", .timeLimit(.minutes(5)))
struct HoldTests {
    private func hold(_ name: String, _ reason: String = "subpoena") -> String {
        #"{"case":"\#(name)","reason":"\#(reason)"}"#
    }

    private func cases(_ answer: WireAnswer) -> [String] {
        (answer.json["holds"]?.array ?? []).compactMap { $0["case"]?.string }
    }

    @Test("A held session is deleted by nobody, over no gateway, until the last case is lifted")
    func life() throws {
        let gateway = try TestGateway()
        let other = try TestGateway(beside: gateway)
        let recorder = try TestGateway(serving: .recorder, beside: gateway)
        let manager = try TestGateway(serving: .pipeline, beside: gateway)
        let id = try gateway.makeSession(as: "olga")
        let first = try gateway.ask("POST", "/sessions/\(id)/hold", as: "auditor", body: hold("A", "one"))
        #expect(first.status == 200 && cases(first) == ["A"], "\(first.text)")
        #expect(first.json["is_held"]?.bool == true && first.json["session_id"]?.string == id)
        let by = first.json["holds"]?.array?.first
        #expect(by?["set_by"]?.string == "auditor" && by?["reason"]?.string == "one")
        #expect(by?["set_at"]?.string.flatMap { Timestamp(rfc3339: $0) } != nil)
        let second = try other.ask("POST", "/sessions/\(id)/hold", as: "admin", body: hold("B"))
        #expect(cases(second) == ["A", "B"])
        let again = try gateway.ask("POST", "/sessions/\(id)/hold", as: "admin", body: hold("A", "two"))
        #expect(again.status == 200 && cases(again) == ["A", "B"])
        #expect(again.json["holds"]?.array?.first?["reason"]?.string == "one")
        #expect(gateway.events(of: id).filter { $0.type == "LegalHoldSet" }.count == 2)

        for (port, path) in [
            (gateway, "/sessions/\(id)"), (other, "/sessions/\(id)"), (recorder, "/recordings/\(id)"),
            (manager, "/pipelines/\(id)"),
        ] {
            for who in ["admin", "manager"] {
                let refused = try port.ask("DELETE", path, as: who)
                #expect(refused.status == 409 && refused.code == "REEL_ERR_3004", "\(path): \(refused.text)")
                #expect(refused.text.contains("legal hold"))
            }
        }
        let unnamed = try other.ask("DELETE", "/sessions/\(id)/hold", body: #"{"reason":"done"}"#)
        #expect(unnamed.status == 409 && unnamed.code == "REEL_ERR_3004")
        #expect(unnamed.fields == ["case"] && unnamed.text.contains("A, B"))
        let absent = try other.ask(
            "DELETE", "/sessions/\(id)/hold", body: #"{"reason":"done","case":"C"}"#)
        #expect(absent.status == 409 && absent.text.contains("no case C"))

        let one = try other.ask("DELETE", "/sessions/\(id)/hold", body: #"{"reason":"done","case":"A"}"#)
        #expect(one.status == 200 && cases(one) == ["B"])
        #expect(try gateway.ask("DELETE", "/sessions/\(id)").status == 409)
        let last = try gateway.ask(
            "DELETE", "/sessions/\(id)/hold", as: "auditor", body: #"{"reason":"done"}"#)
        #expect(last.status == 200 && last.json["is_held"]?.bool == false && cases(last) == [])
        let none = try gateway.ask("DELETE", "/sessions/\(id)/hold", body: #"{"reason":"done"}"#)
        #expect(none.status == 409)
        #expect(try recorder.ask("DELETE", "/recordings/\(id)").status == 204)
        #expect(try gateway.ask("POST", "/sessions/\(id)/hold", body: hold("A")).status == 404)
    }

    @Test("Holding and lifting are for administrators and auditors alone")
    func roles() throws {
        let gateway = try TestGateway()
        let id = try gateway.makeSession(as: "olga", #""metadata":{"project":"apollo"}"#)
        for (who, status) in [("olga", 403), ("vera", 403), ("manager", 403), ("otto", 403)] {
            for (method, body) in [("POST", hold("A")), ("DELETE", #"{"reason":"r"}"#)] {
                let answer = try gateway.ask(method, "/sessions/\(id)/hold", as: who, body: body)
                #expect(answer.status == status, "\(who) \(method): \(answer.text)")
            }
        }
        #expect(gateway.events(of: id).allSatisfy { !$0.type.hasPrefix("LegalHold") })
        for path in ["absent", "..%2Fx"] {
            #expect(try gateway.ask("POST", "/sessions/\(path)/hold", body: hold("A")).status == 404)
        }
    }

    @Test("Which cases hold a session is for those to see who may know", arguments: [false, true])
    func visibility(isBehind: Bool) throws {
        let gateway = try TestGateway(isLive: true)
        let id = try gateway.makeSession(as: "olga", #""metadata":{"project":"apollo"}"#)
        _ = try gateway.ask("POST", "/sessions/\(id)/hold", as: "auditor", body: hold("A"))
        if isBehind { gateway.queries.set(.behind) }
        for (who, expected) in [
            ("admin", ["A"]), ("manager", ["A"]), ("auditor", ["A"]), ("olga", nil), ("vera", nil),
        ] as [(String, [String]?)] {
            let read = try gateway.ask("GET", "/sessions/\(id)", as: who)
            #expect(read.status == 200)
            #expect(read.json["holds"].map { _ in cases(read) } == expected, "\(who): \(read.text)")
            #expect(read.text.contains("subpoena") == (expected != nil))
            let events = try gateway.ask("GET", "/sessions/\(id)/events", as: who)
            #expect(events.text.contains("LegalHoldSet") == (expected != nil), "\(who)")
            // The place behind what is hidden counts, so that nobody comes back for it again and again.
            #expect(events.json["next_after"]?.string == "2" && events.json["has_more"]?.bool == false)
            if isBehind { continue }
            let list = try gateway.ask("GET", "/sessions", as: who)
            let item = list.json["sessions"]?.array?.first
            #expect((item?["holds"] != nil) == (expected != nil), "\(who): \(list.text)")
            for query in ["held=true", "held=false", "case=A"] {
                let filtered = try gateway.ask("GET", "/sessions?\(query)", as: who)
                #expect(filtered.status == (expected == nil ? 403 : 200), "\(who) \(query)")
                let count = query == "held=false" ? 0 : 1
                if expected != nil { #expect(filtered.json["sessions"]?.array?.count == count) }
            }
        }
        let free = try gateway.makeSession(as: "olga")
        #expect(try gateway.ask("GET", "/sessions/\(free)").json["holds"]?.array?.isEmpty == true)
        #expect(try gateway.ask("GET", "/sessions?held=yes").fields == ["held"])
    }

    @Test("A stream tells those who may not know nothing of it, and goes on")
    func stream() throws {
        let gateway = try TestGateway(isLive: true)
        let id = try gateway.makeSession(as: "olga")
        for (who, sees) in [("olga", false), ("auditor", true)] {
            let client = try Client(gateway.server.port)
            _ = try client.follow("/sessions/\(id)/events?after=0", as: who)
            #expect(try client.event()?.type == "SessionCreated")
            let name = "case of \(who)"
            _ = try gateway.ask("POST", "/sessions/\(id)/hold", body: hold(name))
            try gateway.appendNote(to: id)
            var types: [String] = []
            while types.last != "SessionUpdated" || types.filter({ $0 == "SessionUpdated" }).count < 1 {
                types.append(try #require(try client.event()).type)
                if types.last == "SessionUpdated" { break }
            }
            #expect(types.contains("LegalHoldSet") == sees, "\(who): \(types)")
        }
    }

    @Test("What breaks a rule is refused with its field, and changes nothing")
    func bodies() throws {
        let gateway = try TestGateway()
        let id = try gateway.makeSession()
        let long = String(repeating: "x", count: 501)
        for (body, fields) in [
            ("{}", ["case", "reason"]), (#"{"case":"A"}"#, ["reason"]), (hold("", "r"), ["case"]),
            (hold("A", ""), ["reason"]), (hold(String(long.prefix(101)), "r"), ["case"]),
            (hold("A", long), ["reason"]), (hold(#"A\u0000"#, "r"), ["case"]), (hold(" A", "r"), ["case"]),
            (hold("A", #"x\u001b[2J"#), ["reason"]), (#"{"case":1,"reason":"r"}"#, ["case"]),
            (#"{"case":null,"reason":"r"}"#, ["case"]), (#"{"case":"A","reason":"r","x":1}"#, ["x"]),
            ("[]", ["body"]),
        ] {
            let answer = try gateway.ask("POST", "/sessions/\(id)/hold", body: body)
            #expect(answer.status == 422 && answer.fields == fields, "\(body): \(answer.text)")
        }
        for body in ["", "{", "nonsense"] {
            #expect(try gateway.ask("POST", "/sessions/\(id)/hold", body: body).status == 400, "\(body)")
            #expect(try gateway.ask("DELETE", "/sessions/\(id)/hold", body: body).status == 400, "\(body)")
        }
        #expect(gateway.events(of: id).count == 1)
    }

    @Test("Of a deletion and a hold that race over two gateways one wins, and the other is told so")
    func race() throws {
        let gateway = try TestGateway()
        let other = try TestGateway(beside: gateway)
        var held = 0
        for round in 0..<30 {
            let id = try gateway.makeSession()
            let port = other.server.port
            let deletion = try OwnThread(name: "delete") {
                try Client(port).ask("DELETE", "/api/v1/sessions/\(id)", as: "admin").status
            }
            if round % 3 > 0 { gateway.pause() }
            let set = try gateway.ask("POST", "/sessions/\(id)/hold", body: hold("A")).status
            let deleted = try deletion.join()
            let types = gateway.events(of: id).map(\.type)
            held += set == 200 ? 1 : 0
            #expect([set, deleted] == [200, 409] || [set, deleted] == [404, 204], "\(set), \(deleted)")
            #expect(types.contains("SessionDeleted") == (deleted == 204), "\(types)")
        }
        print("holds that came first: \(held) of 30")
    }

    @Test("As long as the tag keeps sessions, an operator cannot take it away, and nobody deletes them")
    func tag() throws {
        let gateway = try TestGateway { parts, _ in parts.tagCounts = { true } }
        let later = try TestGateway(beside: gateway)
        let id = try gateway.makeSession(as: "olga", #""metadata":{"tags":["legal-hold"]}"#)
        let untag = #"{"metadata":{"tags":[]}}"#
        #expect(try gateway.ask("PUT", "/sessions/\(id)", as: "olga", body: untag).status == 403)
        #expect(try gateway.ask("PUT", "/sessions/\(id)", as: "olga", body: #"{"name":"x"}"#).status == 200)
        #expect(try gateway.ask("DELETE", "/sessions/\(id)").status == 409)
        // Once it means nothing, it is a tag as any other.
        #expect(try later.ask("PUT", "/sessions/\(id)", as: "olga", body: untag).status == 200)
        #expect(try later.ask("DELETE", "/sessions/\(id)").status == 204)
    }
}
