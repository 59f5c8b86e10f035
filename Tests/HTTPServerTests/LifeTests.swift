import Base
import HTTPServer
import Supervision
import Testing

@Suite("Followers, slow clients and the end")
struct LifeTests {
    /// Hands out its streams to whoever follows.
    private final class Followers: Sendable {
        let streams = Lock<[EventStream]>([])
        let closed = Lock(0)

        func follow() -> EventStream {
            let stream = EventStream(limitBytes: 100_000) { self.closed.withLock { $0 += 1 } }
            streams.withLock { $0.append(stream) }
            return stream
        }

        var all: [EventStream] { streams.withLock { $0 } }
    }

    private func routes(_ followers: Followers) -> [Route] {
        [
            Route(.get, "/events", produces: ["text/event-stream"]) { _ in .events(followers.follow()) },
            Route(.get, "/read") { _ in .json(Array("{}".utf8)) },
        ]
    }

    private func chunk(_ client: Client) throws -> String {
        let text = try client.line()
        let size = try #require(Int(text, radix: 16))
        let bytes = try client.exactly(size + 2)
        return String(decoding: bytes.dropLast(2), as: UTF8.self)
    }

    @Test("Events reach hundreds of followers in order, while others are served")
    func followers() throws {
        let followers = Followers()
        try withServer(routes(followers)) { server in
            let clients = try (0..<300).map { _ in try Client(server.port) }
            for client in clients { try client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n") }
            for client in clients {
                let head = try client.head()
                #expect(head["Content-Type"] == "text/event-stream")
            }
            #expect(followers.all.count == 300)
            for number in 1...5 {
                let frame = EventStream.frame(data: Array("{\(number)}".utf8), id: "\(number)", event: "E")
                for stream in followers.all { #expect(stream.send(frame)) }
                #expect(try ask(server, "GET", "/read").status == 200)
            }
            for stream in followers.all { stream.finish() }
            for client in clients {
                var text = ""
                while true {
                    let piece = try chunk(client)
                    if piece.isEmpty { break }
                    text += piece
                }
                #expect(text == (1...5).map { "id: \($0)\nevent: E\ndata: {\($0)}\n\n" }.joined())
            }
            #expect(followers.closed.withLock { $0 } == 300)
        }
    }

    @Test("Quiet followers get comments; one that is gone is noticed; one that is too slow is cut off")
    func quietFollowers() throws {
        let followers = Followers()
        try withServer(routes(followers), { $0.heartbeatMilliseconds = 100 }) { server in
            do {
                let client = try Client(server.port)
                try client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
                _ = try client.head()
                #expect(try chunk(client) == ":\n\n")
            }
            eventually("noticed") { followers.closed.withLock { $0 } == 1 }
            let slow = try Client(server.port)
            try slow.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = try slow.head()
            let frame = EventStream.frame(data: [UInt8](repeating: 65, count: 50_000))
            let stream = try #require(followers.all.last)
            eventually("cut off") { !stream.send(frame) }
            eventually("closed") { followers.closed.withLock { $0 } == 2 }
        }
    }

    @Test("Data with line breaks is one event")
    func frames() {
        let frame = EventStream.frame(data: Array("a\nb".utf8), id: "1\r2")
        #expect(String(decoding: frame, as: UTF8.self) == "id: 1\ndata: a\ndata: b\n\n")
    }

    @Test("Who sends nothing, or a header or a body too slowly, is cut off")
    func slowClients() throws {
        let routes = [Route(.post, "/write") { .bytes($0.body, type: "text/plain") }]
        let change = { (settings: inout ServerSettings) in
            settings.idleMilliseconds = 700
            settings.headerMilliseconds = 700
            settings.bodyMilliseconds = 700
        }
        try withServer(routes, change) { server in
            let silent = try Client(server.port)
            let header = try Client(server.port)
            try header.send("POST /write HTTP/1.1\r\nHost: a\r\n")
            let body = try Client(server.port)
            try body.send("POST /write HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
            #expect(silent.isClosed && header.isClosed && body.isClosed)
            #expect(try ask(server, "POST", "/write", body: "x").text == "x")
        }
    }

    @Test("A full queue is answered with 503, and the server goes on")
    func overload() throws {
        let gate = StopSignal()
        let running = Lock(0)
        let routes = [
            Route(.get, "/slow") { _ in
                running.withLock { $0 += 1 }
                gate.wait()
                return .empty()
            }
        ]
        let change = { (settings: inout ServerSettings) in
            settings.handlerThreads = 1
            settings.queuedRequests = 1
        }
        try withServer(routes, change) { server in
            let busy = try Client(server.port)
            try busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            eventually("it runs") { running.withLock { $0 } == 1 }
            let clients = try (0..<2).map { _ in try Client(server.port) }
            for client in clients { try client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n") }
            // One of the two waits, the other one is refused: which one, the threads decide.
            let refused = Lock(0)
            let readers = try clients.map { client in
                let box = Unchecked(client)
                return try OwnThread(name: "reader") {
                    let answer = try box.value.answer()
                    if answer.status == 503 {
                        #expect(answer["Retry-After"] == "1")
                        refused.withLock { $0 += 1 }
                    }
                }
            }
            eventually("one refused") { refused.withLock { $0 } == 1 }
            gate.set()
            for reader in readers { try reader.join() }
            #expect(try busy.answer().status == 204)
            #expect(refused.withLock { $0 } == 1)
        }
    }

    @Test("Stopping lets running requests finish, ends streams, and accepts nothing")
    func stop() throws {
        let gate = StopSignal()
        let followers = Followers()
        let running = Lock(0)
        let slow = Route(.get, "/slow") { _ in
            running.withLock { $0 += 1 }
            gate.wait()
            return .json(Array("{}".utf8))
        }
        let server = try HTTPServer(ServerSettings(), Router(routes(followers) + [slow]))
        let follower = try Client(server.port)
        try follower.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
        _ = try follower.head()
        let client = try Client(server.port)
        try client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually("it runs") { running.withLock { $0 } == 1 }
        let stopping = try OwnThread(name: "stop") { server.stop() }
        #expect(try chunk(follower) == "")
        eventually("nothing listens") { Loopback.isFree(server.port) }
        #expect(!stopping.isFinished)
        gate.set()
        let answer = try client.answer()
        #expect(answer.status == 200 && answer["Connection"] == "close")
        #expect(stopping.wait(milliseconds: 60_000))
    }

    @Test("Servers stop whole while clients go on connecting", .timeLimit(.minutes(5)))
    func stopUnderLoad() throws {
        for _ in 0..<100 {
            var settings = ServerSettings()
            settings.threads = 4
            let server = try HTTPServer(settings, Router([Route(.get, "/") { _ in .json(Array("{}".utf8)) }]))
            let (port, end) = (server.port, StopSignal())
            let answered = Lock(0)
            let clients = try (0..<4).map { number in
                try OwnThread(name: "client-\(number)") {
                    while !end.isSet {
                        guard let client = try? Client(port) else { continue }
                        guard (try? client.ask("GET", "/"))?.status == 200 else { continue }
                        answered.withLock { $0 += 1 }
                    }
                }
            }
            eventually("all are at it") { answered.withLock { $0 } > 20 }
            server.stop()
            #expect(Loopback.isFree(port))
            end.set()
            for client in clients { try client.join() }
        }
    }

    @Test("What doesn't finish within the limit is answered with 503")
    func stopAtTheLimit() throws {
        let gate = StopSignal()
        let running = Lock(0)
        let slow = Route(.get, "/slow") { _ in
            running.withLock { $0 += 1 }
            gate.wait()
            return .empty()
        }
        var settings = ServerSettings()
        settings.stopMilliseconds = 100
        let server = try HTTPServer(settings, Router([slow]))
        let client = try Client(server.port)
        try client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually("it runs") { running.withLock { $0 } == 1 }
        server.stop()
        // The answer may be cut off by the end of everything, but nothing else is answered.
        if let answer = try? client.answer() { #expect(answer.status == 503) }
        #expect(client.isClosed)
        gate.set()
    }

    @Test("The bare server answers the same bytes to everything")
    func bare() throws {
        let server = try BareServer(ServerSettings(), body: Array("{}".utf8))
        let client = try Client(server.port)
        for _ in 0..<3 {
            #expect(try client.ask("GET", "/x").text == "{}")
            #expect(try client.ask("POST", "/y", body: "abc").text == "{}")
        }
    }

    @Test("An address that is taken is said")
    func taken() throws {
        try withServer([]) { server in
            var settings = ServerSettings()
            settings.port = server.port
            #expect(throws: SystemFailure("listen on", "127.0.0.1:\(server.port)", code: 98)) {
                try HTTPServer(settings, Router([]))
            }
        }
    }
}

/// Something that one thread hands to another and does not touch any more.
private struct Unchecked<Value>: @unchecked Sendable {
    let value: Value

    init(_ value: Value) { self.value = value }
}
