import Gateway
import Recording
import Testing

@Suite("Owners and projects of others", .timeLimit(.minutes(5)))
struct ProjectTests {
    @Test("An operator makes no session in a project that is another's, whichever way it asks")
    func creation() throws {
        let gateway = try TestGateway()
        let manager = try TestGateway(serving: .pipeline, beside: gateway)
        let recorder = try TestGateway(serving: .recorder, beside: gateway)
        let theirs = sessionBody(#""metadata":{"project":"zeus"}"#)
        for (port, path) in [
            (gateway, "/sessions"), (manager, "/pipelines"), (recorder, "/recordings/start"),
        ] {
            let refused = try port.ask("POST", path, as: "olga", body: theirs)
            #expect(refused.status == 403 && refused.code == "REEL_ERR_3012", "\(path): \(refused.text)")
            #expect(try port.ask("POST", path, as: "otto", body: theirs).status == 403, "\(path)")
            let given = sessionBody(#""metadata":{"owner":"otto","project":"apollo"}"#)
            #expect(try port.ask("POST", path, as: "olga", body: given).status == 403, "\(path)")
            for project in [#""apollo""#, #""""#, "null"] {
                let own = sessionBody(#""metadata":{"project":\#(project)}"#)
                let made = try port.ask("POST", path, as: "olga", body: own)
                #expect(made.status == 201, "\(path) \(project): \(made.text)")
            }
            #expect(try port.ask("POST", path, as: "manager", body: theirs).status == 201, "\(path)")
        }
    }

    @Test("An operator moves no session into or out of a project that is another's, and gives none away")
    func moving() throws {
        let gateway = try TestGateway()
        let id = try gateway.makeSession(as: "olga", #""metadata":{"project":"apollo"}"#)
        func put(_ metadata: String, as who: String) throws -> Int {
            try gateway.ask("PUT", "/sessions/\(id)", as: who, body: #"{"metadata":\#(metadata)}"#).status
        }
        #expect(try put(#"{"project":"zeus"}"#, as: "olga") == 403)
        #expect(try put(#"{"owner":"otto"}"#, as: "olga") == 403)
        #expect(try put(#"{"owner":null}"#, as: "olga") == 403)
        #expect(try put(#"{"project":null}"#, as: "olga") == 200)
        #expect(try put(#"{"project":"apollo"}"#, as: "olga") == 200)
        // Somebody who may put it elsewhere does; its owner does not take it back.
        #expect(try put(#"{"project":"zeus"}"#, as: "manager") == 200)
        #expect(try put(#"{"project":"apollo"}"#, as: "olga") == 403)
        #expect(try put(#"{"project":null}"#, as: "olga") == 403)
        #expect(try put(#"{"description":"mine all the same"}"#, as: "olga") == 200)
    }
}
