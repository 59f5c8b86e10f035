import Base
import HTTPServer
import Supervision
import Testing

@testable import HTTPLoad

@Suite("The client that measures")
struct LoadTests {
    private func get(_ path: String) -> [UInt8] { Array("GET \(path) HTTP/1.1\r\nHost: x\r\n\r\n".utf8) }

    private func progress(_ parts: [Substring]) -> ResponseReader.Progress {
        var reader = ResponseReader()
        var last = ResponseReader.Progress.incomplete
        for part in parts {
            guard last == .incomplete else { return .malformed }
            last = Array(part.utf8).withUnsafeBytes { reader.take($0) }
        }
        return last
    }

    @Test("An answer ends where it says, wherever it is cut")
    func cuts() {
        let text = "HTTP/1.1 201 Created\r\nDate: x\r\nContent-Length: 5\r\nX: y\r\n\r\n12345"
        let whole = ResponseReader.Progress.complete(status: 201, bodyBytes: 5)
        #expect(progress([text[...]]) == whole)
        // Swift takes CR LF for one character; the cuts are between bytes.
        let bytes = Array(text.utf8)
        for cut in 1..<bytes.count {
            var reader = ResponseReader()
            let first = Array(bytes[..<cut]).withUnsafeBytes { reader.take($0) }
            #expect(first == .incomplete, "\(cut)")
            let second = Array(bytes[cut...]).withUnsafeBytes { reader.take($0) }
            #expect(second == whole, "\(cut)")
        }
        #expect(
            progress(["HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n"]) == .complete(status: 204, bodyBytes: 0)
        )
    }

    @Test(
        "What is no answer, or more than one, is refused",
        arguments: [
            "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
            "HTTP/1.1 OK\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy", String(repeating: "x", count: 20_000),
        ])
    func refused(_ text: String) { #expect(progress([text[...]]) == .malformed) }

    @Test("Every connection is used in turn")
    func turns() throws {
        let seen = Lock<[UInt16: Int]>([:])
        let route = Route.quick(.get, "/x") { request in
            seen.withLock { $0[request.peer.port, default: 0] += 1 }
            return .bytes(Array("12345".utf8), type: "text/plain")
        }
        let server = try HTTPServer(ServerSettings(), Router([route]))
        let client = try LoadClient(port: server.port, connections: 40)
        var plan = LoadPlan([get("/x")], inFlight: 1, milliseconds: 60_000)
        plan.count = 400
        let result = try client.run(plan)
        #expect(result.answered == 400)
        #expect(result.failed == 0)
        #expect(result.bodyBytes == 5)
        #expect(result.microseconds.count == 400)
        #expect(result.perSecond > 0)
        #expect(result.percentile(0.99) >= result.percentile(0.5))
        #expect(seen.withLock { Array($0.values) } == Array(repeating: 10, count: 40))
        #expect(client.reopened == 0)
        server.stop()
    }

    @Test("No more requests are under way than may be, and as many as may be")
    func underWay() throws {
        let running = Lock((now: 0, most: 0))
        let route = Route(.get, "/x") { _ in
            running.withLock { running in
                running.now += 1
                running.most = max(running.most, running.now)
            }
            // Until the others are there, too, which they are when the client sends them.
            let wait = StopSignal()
            for _ in 0..<10_000 where running.withLock({ $0.most < 3 }) { wait.wait(milliseconds: 5) }
            running.withLock { $0.now -= 1 }
            return .bytes([1], type: "text/plain")
        }
        let server = try HTTPServer(ServerSettings(), Router([route]))
        let client = try LoadClient(port: server.port, connections: 10)
        var plan = LoadPlan([get("/x")], inFlight: 3, milliseconds: 60_000)
        plan.count = 60
        #expect(try client.run(plan).answered == 60)
        #expect(running.withLock { $0.most } == 3)
        server.stop()
    }

    @Test("Wrong answers are counted, and others go on")
    func failures() throws {
        let server = try HTTPServer(
            ServerSettings(), Router([.quick(.get, "/x") { _ in .bytes([1], type: "text/plain") }]))
        let client = try LoadClient(port: server.port, connections: 4)
        let noHost = Array("GET /x HTTP/1.1\r\n\r\n".utf8)
        var plan = LoadPlan([get("/x"), get("/none"), noHost], inFlight: 2, milliseconds: 60_000)
        plan.count = 30
        let result = try client.run(plan)
        #expect(result.answered == 10)
        #expect(result.failed == 20)
        #expect(result.failures == [404: 10, 400: 10])
        // The server closes after what it doesn't understand.
        #expect(client.reopened == 10)
        server.stop()
    }

    @Test("Requests at a fixed rate go out when they are due")
    func paced() throws {
        let server = try BareServer(ServerSettings(), body: [1, 2, 3])
        let client = try LoadClient(port: server.port, connections: 2)
        var plan = LoadPlan([get("/x")], inFlight: 2, milliseconds: 600)
        plan.perSecond = 50
        let result = try client.run(plan)
        #expect(result.answered == 30)
        // The last one is due after 0.58 s.
        #expect(result.seconds >= 0.58)
    }

    @Test("A server that hangs up is asked again on a new connection")
    func hangsUp() throws {
        var settings = ServerSettings()
        settings.idleMilliseconds = 1
        let server = try HTTPServer(
            settings, Router([.quick(.get, "/x") { _ in .bytes([1], type: "text/plain") }]))
        let client = try LoadClient(port: server.port, connections: 3)
        var plan = LoadPlan([get("/x")], inFlight: 1, milliseconds: 60_000)
        plan.perSecond = 2
        plan.count = 2
        var asked = 0
        while client.reopened == 0, asked < 200 {
            let result = try client.run(plan)
            asked += result.answered + result.failed
        }
        #expect(client.reopened > 0)
        #expect(asked.isMultiple(of: 2))
        server.stop()
    }
}
