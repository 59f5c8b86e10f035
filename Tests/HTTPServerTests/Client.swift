import Supervision
import Testing

@testable import HTTPServer

/// An answer as it came over the wire.
struct WireAnswer {
    var status = 0
    var headers: [(name: String, value: String)] = []
    var body: [UInt8] = []

    subscript(name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    var text: String { String(decoding: body, as: UTF8.self) }
}

private struct Ended: Error {}

/// A client that sends exactly the bytes it is told to.
final class Client {
    private let socket: LoopbackSocket
    private var buffer: [UInt8] = []

    init(_ port: UInt16) throws { socket = try LoopbackSocket(port: port, timeoutMilliseconds: 60_000) }

    func send(_ text: String) throws { try socket.send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws { try socket.send(bytes) }

    private func byte() throws -> UInt8 {
        if buffer.isEmpty { buffer = try socket.receiveSome(upTo: 65_536).reversed() }
        guard let next = buffer.popLast() else { throw Ended() }
        return next
    }

    func line() throws -> String {
        var line: [UInt8] = []
        while true {
            let next = try byte()
            if next == 10 { break }
            line.append(next)
        }
        if line.last == 13 { line.removeLast() }
        return String(decoding: line, as: UTF8.self)
    }

    func exactly(_ count: Int) throws -> [UInt8] { try (0..<count).map { _ in try byte() } }

    /// The status line and the headers alone.
    func head() throws -> WireAnswer {
        var answer = WireAnswer()
        let parts = try line().split(separator: " ", maxSplits: 2)
        try #require(parts.count >= 2 && parts[0] == "HTTP/1.1", "\(parts)")
        answer.status = try #require(Int(parts[1]))
        while true {
            let line = try line()
            if line.isEmpty { return answer }
            let colon = try #require(line.firstIndex(of: ":"))
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            answer.headers.append((String(line[..<colon]), String(value)))
        }
    }

    /// One whole answer.
    func answer(toHead: Bool = false) throws -> WireAnswer {
        var answer = try head()
        if answer.status == 100 { answer = try head() }
        if toHead || answer.status == 204 || answer.status == 304 { return answer }
        if answer["Transfer-Encoding"]?.lowercased() == "chunked" {
            while true {
                let text = try line()
                let size = try #require(Int(text, radix: 16))
                answer.body += try exactly(size)
                #expect(try line() == "")
                if size == 0 { return answer }
            }
        }
        let length = try #require(Int(answer["Content-Length"] ?? ""))
        answer.body = try exactly(length)
        return answer
    }

    func ask(
        _ method: String, _ target: String, _ headers: [String] = [], body: String? = nil
    ) throws -> WireAnswer {
        var lines = ["\(method) \(target) HTTP/1.1", "Host: reel"] + headers
        if let body { lines.append("Content-Length: \(body.utf8.count)") }
        try send(lines.joined(separator: "\r\n") + "\r\n\r\n" + (body ?? ""))
        return try answer(toHead: method == "HEAD")
    }

    /// Whether the server closes the connection without another byte.
    var isClosed: Bool {
        guard buffer.isEmpty else { return false }
        do {
            buffer = try socket.receiveSome(upTo: 1)
            return false
        } catch {
            return error.code == 104
        }
    }
}

extension Client {
    /// Whether the server closes the connection within a few more bytes: libmicrohttpd sends the header
    /// of some of its own refusals twice.
    var isClosedSoon: Bool {
        for _ in 0..<1000 {
            if isClosed { return true }
            _ = try? exactly(1)
        }
        return false
    }
}

/// One request on a connection of its own.
func ask(
    _ server: HTTPServer, _ method: String, _ target: String, _ headers: [String] = [], body: String? = nil
) throws -> WireAnswer {
    try Client(server.port).ask(method, target, headers, body: body)
}

/// A server with these routes, stopped when the body returns.
func withServer<Answer>(
    _ routes: [Route], _ change: (inout ServerSettings) -> Void = { _ in },
    _ body: (HTTPServer) throws -> Answer
) throws -> Answer {
    var settings = ServerSettings()
    settings.handlerThreads = 4
    settings.transferThreads = 2
    settings.renderError = { error, context in
        ("application/json", Array(#"{"code":"\#(error.code)","id":"\#(context.requestID)"}"#.utf8))
    }
    change(&settings)
    let server = try HTTPServer(settings, Router(routes))
    defer { server.stop() }
    return try body(server)
}

/// Waits for a condition with a generous limit.
func eventually(_ what: String, _ condition: () -> Bool) {
    for _ in 0..<6000 {
        if condition() { return }
        StopSignal().wait(milliseconds: 10)
    }
    Issue.record("never happened: \(what)")
}
