import HTTPServer
import Testing

private let routes: [Route] = [
    Route(.get, "/read") { _ in .json(Array("{}".utf8)) },
    Route(.post, "/write", accepts: ["text/plain"]) { .bytes($0.body, type: "text/plain") },
]

@Suite("What is refused")
struct RefusalTests {
    /// Sends bytes on a connection of their own; the answer, and whether the connection is closed then.
    private func refused(_ server: HTTPServer, _ text: String) throws -> (status: Int, isClosed: Bool) {
        let client = try Client(server.port)
        try client.send(text)
        let answer = try client.answer()
        return (answer.status, answer["Connection"] == "close" && client.isClosedSoon)
    }

    @Test(
        "Headers that two readers could read in two ways end the connection",
        arguments: [
            ("length and coding", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", 400),
            ("coding and length", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", 400),
            ("two lengths", "Content-Length: 3\r\nContent-Length: 4\r\n", 400),
            ("the same length twice", "Content-Length: 3\r\nContent-Length: 3\r\n", 400),
            ("a list of lengths", "Content-Length: 3, 3\r\n", 400),
            ("a signed length", "Content-Length: +3\r\n", 400),
            ("an empty length", "Content-Length:\r\n", 400),
            ("a hexadecimal length", "Content-Length: 0x3\r\n", 400),
            ("a length beyond 64 bits", "Content-Length: 99999999999999999999\r\n", 413),
            ("two codings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 501),
            ("a list of codings", "Transfer-Encoding: gzip, chunked\r\n", 501),
            ("another coding", "Transfer-Encoding: identity\r\n", 501),
            ("a disguised coding", "Transfer-Encoding: xchunked\r\n", 501),
            ("a blank before the colon", "Content-Length : 3\r\n", 400),
            ("a folded line", "X: a\r\n b: c\r\n", 400),
            ("a name in two lines", "Content-:3\r\n Length:3\r\n", 400),
            ("a bare line feed", "X: a\nContent-Length: 3\r\n", 400),
            ("a bad name", "X(y): a\r\n", 400),
            ("a control character", "X: a\u{1}b\r\n", 400),
            ("a bare carriage return", "X: a\rContent-Length: 3\r\n", 400),
            ("a second host", "Host: other\r\n", 400),
            ("another expectation", "Expect: tea\r\nContent-Length: 3\r\n", 417),
        ])
    func ambiguous(_ what: String, _ lines: String, _ status: Int) throws {
        try withServer(routes) { server in
            let text = "POST /write HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n\(lines)\r\nabc"
            let (answer, isClosed) = try refused(server, text)
            #expect(answer == status, "\(what)")
            #expect(isClosed, "\(what)")
        }
    }

    @Test(
        "First lines that aren't HTTP",
        arguments: [
            ("GET /read HTTP/1.1\r\n\r\n", 400), ("GET /read HTTP/2.0\r\nHost: a\r\n\r\n", 505),
            ("GET /read HTTP/1.2\r\nHost: a\r\n\r\n", 505), ("GET nothing HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET /read x HTTP/1.1\r\nHost: a\r\n\r\n", 400), ("G@T /read HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("POST /write HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ])
    func firstLines(_ text: String, _ status: Int) throws {
        // libmicrohttpd lets a connection linger whose first line it could not read.
        try withServer(routes, { $0.quietSeconds = 1 }) { server in
            let client = try Client(server.port)
            try client.send(text)
            // What libmicrohttpd itself can't read it may answer by closing.
            if let answer = try? client.answer() { #expect(answer.status == status) }
            #expect(client.isClosedSoon)
            #expect(try ask(server, "GET", "/read").status == 200)
        }
    }

    @Test("Bad chunks end the request without an answer from the handler")
    func badChunks() throws {
        for chunks in ["x\r\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "-3\r\nabc\r\n0\r\n\r\n"] {
            try withServer(routes) { server in
                let client = try Client(server.port)
                let head = "POST /write HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n"
                try client.send(head + "Transfer-Encoding: chunked\r\n\r\n" + chunks)
                if let answer = try? client.answer() { #expect(answer.status == 400, "\(chunks)") }
                #expect(client.isClosed)
            }
        }
    }

    @Test("Good headers of many sizes, in pieces of many sizes, are never taken for bad ones")
    func goodHeaders() throws {
        try withServer(routes) { server in
            for size in stride(from: 0, through: 9000, by: 450) {
                var lines = [
                    "POST /write HTTP/1.1", "Host: a", "content-type:text/plain", "Content-Length:  3", "E:",
                ]
                for number in 0..<8 {
                    lines.append("X-\(number): " + String(repeating: "v", count: size / 8 * (number % 3)))
                }
                let bytes = Array((lines.joined(separator: "\r\n") + "\r\n\r\nabc").utf8)
                // What came in pieces is answered, and may end the connection.
                let client = try Client(server.port)
                var rest = bytes[...]
                while !rest.isEmpty {
                    try client.send(Array(rest.prefix(1 + size / 3 + bytes.count / 7)))
                    rest = rest.dropFirst(1 + size / 3 + bytes.count / 7)
                }
                let answer = try client.answer()
                #expect(answer.status == 200 && answer.text == "abc", "\(size)")
            }
        }
    }

    @Test("A connection goes on behind a header of up to 4 KB that comes at once")
    func keptConnections() throws {
        try withServer(routes) { server in
            let client = try Client(server.port)
            for size in [0, 500, 1500, 3000, 3900] {
                let answer = try client.ask("GET", "/read", ["X: " + String(repeating: "v", count: size)])
                #expect(answer.status == 200 && answer["Connection"] == nil, "\(size)")
            }
            let long = try client.ask("GET", "/read", ["X: " + String(repeating: "v", count: 5000)])
            #expect(long.status == 200 && long["Connection"] == "close")
        }
    }

    @Test("A token stands alone behind its scheme, in a field of its own")
    func bearer() {
        func token(_ values: String...) -> String? {
            let fields = values.map { HeaderField("authorization", $0) } + [HeaderField("X", "Bearer no")]
            return Request(method: "GET", segments: [], headers: HeaderFields(fields)).bearerToken
        }
        for good in ["Bearer a.b-c_", "bearer  a.b-c_", "BEARER a.b-c_ ", " Bearer a.b-c_"] {
            #expect(token(good) == "a.b-c_", "\(good)")
        }
        for bad in ["Bearer", "Bearer ", "Bearer a b", "Basic a", "Bearera", "Bearer\ta", "", " ", "a"] {
            #expect(token(bad) == nil, "\(bad)")
        }
        #expect(token("Bearer a", "Bearer a") == nil)
        #expect(token() == nil)
    }

    @Test("A header that is as large as it may be leaves room for the answer's")
    func fullHeader() throws {
        try withServer(routes) { server in
            // Less than 16 KiB in a hundred lines.
            let lines = (0..<100).map { "X-\($0 + 100): " + String(repeating: "x", count: 150) }
            let full = try ask(server, "GET", "/read", lines)
            #expect(full.status == 200)
            let more = lines + ["X: " + String(repeating: "x", count: 1000)]
            #expect(try ask(server, "GET", "/read", more).status == 431)
        }
    }

    @Test("Limits of header, target and body")
    func limits() throws {
        try withServer(
            routes,
            {
                $0.headerBytes = 4096
                $0.targetBytes = 1000
                $0.bodyBytes = 100
                $0.discardBytes = 10_000
            }
        ) { server in
            func header(_ count: Int) -> [String] { ["X: " + String(repeating: "x", count: count)] }
            #expect(try ask(server, "GET", "/read", header(3900)).status == 200)
            #expect(try ask(server, "GET", "/read", header(5000)).status == 431)
            #expect(try ask(server, "GET", "/read", header(200_000)).status == 431)
            #expect(try ask(server, "GET", "/" + String(repeating: "a", count: 998)).status == 404)
            #expect(try ask(server, "GET", "/" + String(repeating: "a", count: 1000)).status == 414)
            let type = "Content-Type: text/plain"
            let client = try Client(server.port)
            #expect(
                try client.ask("POST", "/write", [type], body: String(repeating: "a", count: 100)).status
                    == 200)
            let over = try client.ask("POST", "/write", [type], body: String(repeating: "a", count: 101))
            #expect(over.status == 413)
            // It was small enough to be read: the connection goes on.
            #expect(try client.ask("GET", "/read").status == 200)
            let far = try Client(server.port)
            try far.send("POST /write HTTP/1.1\r\nHost: a\r\n\(type)\r\nContent-Length: 20000\r\n\r\n")
            #expect(try far.answer().status == 413)
            #expect(far.isClosed)
            let chunked = try Client(server.port)
            try chunked.send(
                "POST /write HTTP/1.1\r\nHost: a\r\n\(type)\r\nTransfer-Encoding: chunked\r\n\r\n")
            try chunked.send("65\r\n" + String(repeating: "a", count: 101) + "\r\n0\r\n\r\n")
            #expect(try chunked.answer().status == 413)
        }
    }

    @Test("Who waits for 100 Continue is told 415 before it sends")
    func expectations() throws {
        try withServer(routes) { server in
            let head = "POST /write HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n"
            let client = try Client(server.port)
            try client.send(head + "Content-Type: text/plain\r\n\r\n")
            #expect(try client.line() == "HTTP/1.1 100 Continue")
            #expect(try client.line() == "")
            try client.send("abc")
            #expect(try client.answer().text == "abc")
            let refused = try Client(server.port)
            try refused.send(head + "Content-Type: text/html\r\n\r\n")
            #expect(try refused.head().status == 415)
        }
    }

    @Test("Requests that follow each other without waiting are answered in their order")
    func pipelined() throws {
        try withServer(routes) { server in
            let client = try Client(server.port)
            let one =
                "POST /write HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n"
            try client.send((0..<9).map { one + "\($0)" }.joined())
            for number in 0..<9 { #expect(try client.answer().text == "\(number)") }
        }
    }
}
