import Base
import EventSourcing
import HTTPServer
import Recording
import Simulation
import Supervision
import Testing

@Suite("Several gateways")
struct RaceTests {
    @Test("Of two that start one session, one wins and one gets a 409")
    func race() throws {
        let first = try TestGateway()
        let second = try TestGateway(beside: first)
        for _ in 0..<20 {
            let id = try first.makeSession()
            let ports = [first.server.port, second.server.port]
            let threads = try ports.map { port in
                try OwnThread(name: "racer") {
                    try Client(port).ask("POST", "/api/v1/sessions/\(id)/start", as: "admin")
                }
            }
            let answers = try threads.map { try $0.join() }
            #expect(answers.map(\.status).sorted() == [200, 409])
            #expect(answers.compactMap(\.code) == ["REEL_ERR_3004"])
        }
    }

    @Test("What one gateway has changed, the other one shows, read models or not", arguments: [0, 1, 2])
    func readYourWrites(mode: Int) throws {
        let first = try TestGateway()
        let second = try TestGateway(beside: first)
        for gateway in [first, second] {
            gateway.queries.set(mode == 0 ? .current : mode == 1 ? .behind : .unreachable)
        }
        let id = try first.makeSession()
        #expect(try second.ask("GET", "/sessions/\(id)").json["name"]?.string == "a desk")
        for number in 0..<10 {
            let (writer, reader) = number.isMultiple(of: 2) ? (first, second) : (second, first)
            let change = try writer.ask("PUT", "/sessions/\(id)", body: #"{"name":"name \#(number)"}"#)
            #expect(change.status == 200)
            #expect(try reader.ask("GET", "/sessions/\(id)").json["name"]?.string == "name \(number)")
            #expect(try writer.ask("GET", "/sessions/\(id)").json["name"]?.string == "name \(number)")
        }
    }

    @Test("A session that nothing happens to is read from memory")
    func cache() throws {
        let gateway = try TestGateway()
        let id = try gateway.makeSession()
        let client = try Client(gateway.server.port)
        _ = try client.ask("GET", "/api/v1/sessions/\(id)", as: "admin")
        let questions = gateway.queries.sessionQuestions
        for _ in 0..<50 {
            #expect(try client.ask("GET", "/api/v1/sessions/\(id)", as: "admin").status == 200)
        }
        #expect(gateway.queries.sessionQuestions == questions)
        // What is kept is nobody's who may not see it.
        #expect(try client.ask("GET", "/api/v1/sessions/\(id)", as: "otto").status == 404)
    }

    @Test("While the log is away the answer is a 503 that says when to come back")
    func logAway() throws {
        let gateway = try TestGateway()
        let id = try gateway.makeSession()
        gateway.log.inject { _ in
            .before(LogFailure(.unreachable, operation: "x", key: "y", text: "away at 10.0.0.1"))
        }
        let answer = try gateway.ask("POST", "/sessions/\(id)/start")
        #expect(answer.status == 503)
        #expect(answer.code == "REEL_ERR_3015")
        #expect(answer[header: "Retry-After"] == "1")
        #expect(!answer.text.contains("10.0.0.1"))
        #expect(try gateway.ask("GET", "/health/ready", as: nil).status == 503)
        #expect(try gateway.ask("GET", "/health/live", as: nil).status == 200)
    }
}
