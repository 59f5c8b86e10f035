import Base
import HTTPServer
import Metrics
import Supervision
import Testing

private let routes: [Route] = [
    .quick(.get, "/quick") { _ in .json(Array(#"{"quick":true}"#.utf8)) },
    Route(.get, "/things/{id}") { request in
        .json(
            Array(request.parameter("id").utf8), etag: EntityTag("v1"),
            headers: [HeaderField("X-Template", request.template)])
    },
    Route(.post, "/things", accepts: ["application/json"]) { request in .json(request.body, status: 201) },
    Route(.put, "/things/{id}", accepts: ["application/json"]) { request in
        try request.requireMatch(EntityTag("v1"))
        return .empty()
    },
    Route(.get, "/things/special") { _ in .bytes(Array("special".utf8), type: "text/plain") },
    Route(.get, "/big", produces: ["application/json"]) { _ in
        .json([UInt8](repeating: 0x20, count: 5000), etag: EntityTag("big"))
    },
    Route(.get, "/query") { request in
        let items = request.query.items.map { "\($0.name)=\($0.value)" }
        return .bytes(Array(items.joined(separator: ";").utf8), type: "text/plain")
    },
    Route(.get, "/trace") { request in
        .bytes(Array(request.trace.traceparent.utf8), type: "text/plain")
    },
    Route(.get, "/fails") { _ in throw HTTPError(status: 409, code: "conflict", message: "no") },
    Route(.get, "/breaks") { _ in throw Surprise() },
]

private struct Surprise: Error {}

@Suite("Requests and answers")
struct ExchangeTests {
    @Test("Handlers answer on threads of their own, and on the connection's, over one connection")
    func answers() throws {
        try withServer(routes) { server in
            let client = try Client(server.port)
            for _ in 0..<20 {
                #expect(try client.ask("GET", "/quick").text == #"{"quick":true}"#)
                let thing = try client.ask("GET", "/things/a%2Fb%20c")
                #expect(thing.status == 200)
                #expect(thing.text == "a/b c")
                #expect(thing["X-Template"] == "/things/{id}")
                #expect(
                    try client.ask("POST", "/things", ["Content-Type: application/json"], body: "{}").text
                        == "{}")
            }
            #expect(try client.ask("GET", "/things/special").text == "special")
        }
    }

    @Test("What can't be answered at once runs elsewhere and holds up nobody")
    func attempts() throws {
        let gate = StopSignal()
        let route = Route.attempt(.get, "/{how}") { request in
            switch request.parameter("how") {
            case "now": return .answered(.json(Array("1".utf8)))
            case "later":
                return .blocking {
                    gate.wait()
                    return .json(Array("2".utf8))
                }
            case "fails": throw HTTPError(status: 409, code: "conflict", message: "no")
            default: return .blocking { throw HTTPError(status: 410, code: "gone", message: "no") }
            }
        }
        // With one thread for all connections.
        try withServer([route], { $0.threads = 1 }) { server in
            let (first, second) = (try Client(server.port), try Client(server.port))
            try first.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try second.ask("GET", "/now").text == "1")
            #expect(try second.ask("GET", "/fails").status == 409)
            #expect(try second.ask("GET", "/other").status == 410)
            gate.set()
            #expect(try first.answer().text == "2")
            #expect(try first.ask("GET", "/now").text == "1")
        }
    }

    @Test("Paths and methods that aren't there")
    func absent() throws {
        try withServer(routes) { server in
            let client = try Client(server.port)
            #expect(try client.ask("GET", "/nothing").status == 404)
            #expect(try client.ask("GET", "/things/").status == 404)
            #expect(try client.ask("GET", "/things/a/b").status == 404)
            let wrong = try client.ask("DELETE", "/things/a")
            #expect(wrong.status == 405)
            #expect(wrong["Allow"] == "GET, HEAD, PUT, OPTIONS")
            #expect(try client.ask("BREW", "/things/a").status == 405)
            #expect(try client.ask("HEAD", "/things").status == 405)
            let options = try client.ask("OPTIONS", "/things/a")
            #expect(options.status == 204)
            #expect(options["Allow"] == "GET, HEAD, PUT, OPTIONS")
            #expect(try client.ask("OPTIONS", "*").status == 204)
        }
    }

    @Test("HEAD is GET without the body")
    func head() throws {
        try withServer(routes) { server in
            let client = try Client(server.port)
            let head = try client.ask("HEAD", "/things/abc")
            #expect(head.status == 200)
            #expect(head["Content-Length"] == "3")
            #expect(head["ETag"] == "\"v1\"")
            #expect(try client.ask("GET", "/things/abc").text == "abc")
        }
    }

    @Test("Errors are values, and what nobody foresaw says nothing of itself")
    func errors() throws {
        try withServer(routes) { server in
            let refused = try ask(server, "GET", "/fails", ["X-Request-Id: r-1"])
            #expect(refused.status == 409)
            #expect(refused.text == #"{"code":"conflict","id":"r-1"}"#)
            let broken = try ask(server, "GET", "/breaks")
            #expect(broken.status == 500)
            #expect(broken.text.contains("internal_error"))
        }
    }

    @Test("Request ids are taken when they are good, and made when they aren't")
    func requestIDs() throws {
        try withServer(routes) { server in
            #expect(
                try ask(server, "GET", "/quick", ["X-Request-Id: abc.D_1-2"])["X-Request-Id"] == "abc.D_1-2")
            let longest = String(repeating: "x", count: 100)
            #expect(
                try ask(server, "GET", "/quick", ["X-Request-Id: \(longest)"])["X-Request-Id"] == longest)
            for bad in ["a b", longest + "x", "a\"b", "é", ""] {
                let id = try #require(
                    try ask(server, "GET", "/quick", ["X-Request-Id: \(bad)"])["X-Request-Id"])
                #expect(id.count == 32 && id != bad)
            }
            #expect(try ask(server, "GET", "/nothing", ["X-Request-Id: e"])["X-Request-Id"] == "e")
        }
    }

    @Test("The client's trace goes on, a bad one is replaced")
    func traces() throws {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        try withServer(routes) { server in
            #expect(try ask(server, "GET", "/trace", ["traceparent: \(trace)"]).text == trace)
            let bad = [
                "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", trace.uppercased(), trace + "-x",
                "x",
            ]
            for header in bad {
                let made = try ask(server, "GET", "/trace", ["traceparent: \(header)"]).text
                #expect(made != header && TraceContext(parsing: made) != nil)
            }
        }
    }

    @Test("Queries keep order and duplicates; what can't be decoded is refused")
    func queries() throws {
        try withServer(routes) { server in
            let client = try Client(server.port)
            #expect(try client.ask("GET", "/query?b=1&a=x+y%26&b=%C3%A9&c").text == "b=1;a=x y&;b=é;c=")
            let overlong = ["/query?a=%c0%80", "/query?a=%e0%80%af", "/%c0%ae/x", "/query?a=%ed%a0%80"]
            let undecodable = ["/query?a=%", "/query?a=%zz", "/query?a=%ff", "/query?a=%f4%90%80%80"]
            let inPath = ["/%2e%2e/x", "/a/../quick", "/a%00", "/things/%0a", "/things/%7f", "/%"]
            for target in overlong + undecodable + inPath {
                #expect(try ask(server, "GET", target).status == 400, "\(target)")
            }
            // Whoever reads it refuses it, with its name.
            #expect(try client.ask("GET", "/query?a=%00").text == "a=\u{0}")
            #expect(try ask(server, "GET", "http://reel/query?a=1").text == "a=1")
            let elsewhere = ["http://elsewhere/query", "http://a:b@reel/query", "http:///query"]
            for target in elsewhere + ["ftp://reel/query"] {
                #expect(try ask(server, "GET", target).status == 400, "\(target)")
            }
        }
    }

    @Test("Any number of items in a query is answered at once")
    func manyItems() throws {
        try withServer(routes) { server in
            for count in [1, 99, 100, 450, 500, 1000, 8000] {
                for item in ["", "a", "=", "a=b"] where (item.utf8.count + 1) * count < 8000 {
                    let target = "/query?" + Array(repeating: item, count: count).joined(separator: "&")
                    let status = try ask(server, "GET", target).status
                    #expect(status == (count > 100 ? 400 : 200), "\(count) times \(item)&")
                }
            }
        }
    }

    @Test("Versions: 304 for what the client has, 412 for what it doesn't know")
    func versions() throws {
        try withServer(routes) { server in
            let client = try Client(server.port)
            for header in ["\"v1\"", "W/\"v1\"", "\"x\", \"v1\"", "*", "\"v1-gzip\""] {
                let answer = try client.ask("GET", "/things/a", ["If-None-Match: \(header)"])
                #expect(answer.status == 304, "\(header)")
                #expect(answer["ETag"] == "\"v1\"")
                #expect(answer["Content-Length"] == "1", "that of a 200, or none")
            }
            #expect(try client.ask("GET", "/things/a", ["If-None-Match: \"v2\""]).status == 200)
            let json = "Content-Type: application/json"
            for (header, status) in [("\"v1\"", 204), ("*", 204), ("\"v2\"", 412), ("W/\"v1\"", 412)] {
                #expect(
                    try client.ask("PUT", "/things/a", [json, "If-Match: \(header)"], body: "{}").status
                        == status)
            }
            #expect(try client.ask("PUT", "/things/a", [json], body: "{}").status == 204)
        }
    }

    @Test("Bodies of other types, and answers of other types")
    func types() throws {
        try withServer(routes) { server in
            let client = try Client(server.port)
            #expect(try client.ask("POST", "/things", ["Content-Type: text/plain"], body: "x").status == 415)
            #expect(try client.ask("POST", "/things", [], body: "x").status == 415)
            let json = "Content-Type: Application/JSON; charset=utf-8"
            #expect(try client.ask("POST", "/things", [json], body: "x").status == 201)
            #expect(
                try client.ask("POST", "/things", [json, "Content-Encoding: gzip"], body: "x").status == 415)
            #expect(try client.ask("GET", "/big", ["Accept: text/html"]).status == 406)
            #expect(try client.ask("GET", "/big", ["Accept: text/html, */*;q=0.1"]).status == 200)
            #expect(try client.ask("GET", "/big", ["Accept: application/json;q=0, */*"]).status == 406)
        }
    }

    @Test("Large text is compressed for those who take it")
    func compression() throws {
        try withServer(routes) { server in
            let client = try Client(server.port)
            let packed = try client.ask("GET", "/big", ["Accept-Encoding: br, gzip;q=0.5"])
            #expect(packed["Content-Encoding"] == "gzip")
            #expect(packed["Vary"] == "Accept-Encoding")
            #expect(packed["ETag"] == "\"big-gzip\"")
            #expect(packed.body.prefix(2) == [0x1F, 0x8B] && packed.body.count < 200)
            for header in ["Accept-Encoding: gzip;q=0", "Accept-Encoding: br", "X: y"] {
                let plain = try client.ask("GET", "/big", [header])
                #expect(plain["Content-Encoding"] == nil && plain.body.count == 5000)
                #expect(plain["Vary"] == "Accept-Encoding")
            }
            #expect(try client.ask("GET", "/quick", ["Accept-Encoding: gzip"])["Content-Encoding"] == nil)
        }
    }

    @Test("Every answer protects the page that shows it; other pages read it by configuration alone")
    func protection() throws {
        try withServer(routes) { server in
            let answer = try ask(server, "GET", "/nothing", ["Origin: https://a.example"])
            #expect(answer["X-Content-Type-Options"] == "nosniff")
            #expect(answer["Content-Security-Policy"]?.contains("default-src 'none'") == true)
            #expect(answer["Access-Control-Allow-Origin"] == nil)
        }
        try withServer(routes, { $0.cors = CORSPolicy(origins: ["https://a.example"]) }) { server in
            let answer = try ask(server, "GET", "/quick", ["Origin: https://a.example"])
            #expect(answer["Access-Control-Allow-Origin"] == "https://a.example")
            #expect(answer["Vary"] == "Origin")
            let other = try ask(server, "GET", "/quick", ["Origin: https://b.example"])
            #expect(other["Access-Control-Allow-Origin"] == nil)
            let asked = ["Origin: https://a.example", "Access-Control-Request-Method: PUT"]
            let preflight = try ask(server, "OPTIONS", "/things/a", asked)
            #expect(preflight.status == 204)
            #expect(preflight["Access-Control-Allow-Methods"] == "GET, HEAD, PUT, OPTIONS")
            #expect(preflight["Access-Control-Allow-Headers"]?.contains("Authorization") == true)
        }
    }

    @Test("Requests are counted by route and status")
    func figures() throws {
        let registry = MetricsRegistry()
        let reports = Lock<[ExchangeReport]>([])
        try withServer(
            routes,
            {
                $0.metrics = registry
                $0.onExchange = { report in reports.withLock { $0.append(report) } }
            }
        ) { server in
            let client = try Client(server.port)
            _ = try client.ask("GET", "/things/a")
            _ = try client.ask("GET", "/things/b")
            _ = try client.ask("GET", "/made/up")
            eventually("three reports") { reports.withLock { $0.count } == 3 }
            let text = String(decoding: registry.text(), as: UTF8.self)
            let lines = Set(text.split(separator: "\n"))
            let expected = [
                #"reel_http_requests_total{code="200",method="GET",route="/things/{id}"} 2"#,
                #"reel_http_requests_total{code="404",method="none",route="none"} 1"#,
                #"reel_http_request_duration_seconds_count{method="GET",route="/things/{id}"} 2"#,
                "reel_http_connections 1",
            ]
            for line in expected { #expect(lines.contains(line[...]), "\(line)") }
            #expect(reports.withLock { $0.map(\.status) } == [200, 200, 404])
        }
    }

    @Test("The table of routes can be compared with a description")
    func table() {
        let table = Router(routes).table.map { "\($0.method.rawValue) \($0.template)" }
        #expect(table.prefix(3) == ["GET /big", "GET /breaks", "GET /fails"])
        #expect(table.count == routes.count)
    }
}
