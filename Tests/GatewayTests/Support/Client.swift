import Base
import EventSourcing
import Supervision
import Testing

/// An answer as it came over the wire.
struct WireAnswer {
    var status = 0
    var headers: [(name: String, value: String)] = []
    var body: [UInt8] = []

    subscript(header name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    var text: String { String(decoding: body, as: UTF8.self) }

    /// The body as JSON; null when it is none.
    var json: JSONValue { (try? JSONValue(parsing: body)) ?? .null }

    /// `error.code` of the body.
    var code: String? { json["error"]?["code"]?.string }

    /// The fields that the error lists.
    var fields: [String] {
        (json["error"]?["details"]?["violations"]?.array ?? []).compactMap { $0["field"]?.string }
    }
}

private struct Ended: Error {}

/// Nothing that counts came for so long; a stream's comments don't.
private struct TookTooLong: Error {}

/// An event as it came over a stream.
struct StreamedEvent {
    var id: String?
    var type = ""
    var data = ""

    var json: JSONValue { (try? JSONValue(parsing: Array(data.utf8))) ?? .null }
    /// Its session and its sequence there.
    var place: String {
        "\(json["partitionkey"]?.string ?? "") \(json["sequence"]?.string.flatMap { Int($0) } ?? 0)"
    }
}

/// A client of one connection, which waits for no answer and no event longer than a minute.
final class Client {
    private static let limit = Duration.seconds(60)

    private let socket: LoopbackSocket
    private var deadline = ContinuousClock.now
    private var buffer: [UInt8] = []
    private var place = 0
    private var streamed: [UInt8] = []

    init(_ port: UInt16) throws { socket = try LoopbackSocket(port: port, timeoutMilliseconds: 60_000) }

    func send(_ bytes: [UInt8]) throws { try socket.send(bytes) }

    private func byte() throws -> UInt8 {
        if place == buffer.count {
            if ContinuousClock.now > deadline { throw TookTooLong() }
            buffer = try socket.receiveSome(upTo: 65_536)
            place = 0
            if buffer.isEmpty { throw Ended() }
        }
        defer { place += 1 }
        return buffer[place]
    }

    private func line() throws -> String {
        var line: [UInt8] = []
        while true {
            let next = try byte()
            if next == 10 { break }
            line.append(next)
        }
        if line.last == 13 { line.removeLast() }
        return String(decoding: line, as: UTF8.self)
    }

    private func head() throws -> WireAnswer {
        deadline = .now + Self.limit
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

    func answer(toHead: Bool = false) throws -> WireAnswer {
        var answer = try head()
        if answer.status == 100 { answer = try head() }
        try readBody(of: &answer, toHead: toHead)
        return answer
    }

    private func readBody(of answer: inout WireAnswer, toHead: Bool = false) throws {
        if toHead || answer.status == 204 || answer.status == 304 { return }
        if answer[header: "Transfer-Encoding"]?.lowercased() == "chunked" {
            while true {
                let text = try line()
                let size = try #require(Int(text, radix: 16))
                for _ in 0..<size { answer.body.append(try byte()) }
                #expect(try line() == "")
                if size == 0 { return }
            }
        }
        let length = try #require(Int(answer[header: "Content-Length"] ?? ""))
        for _ in 0..<length { answer.body.append(try byte()) }
    }

    /// Begins a stream of events, of which the head alone is read; the whole answer when it is refused.
    func follow(_ target: String, as token: String, _ headers: [String] = []) throws -> WireAnswer {
        let lines =
            [
                "GET /api/v1\(target) HTTP/1.1", "Host: reel", "Accept: text/event-stream",
                "Authorization: Bearer \(token)",
            ] + headers
        try send(Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8))
        var answer = try head()
        guard answer.status == 200 else {
            try readBody(of: &answer)
            return answer
        }
        try #require(answer[header: "Content-Type"]?.hasPrefix("text/event-stream") == true)
        try #require(answer[header: "Transfer-Encoding"]?.lowercased() == "chunked")
        return answer
    }

    /// The next event of the stream, whatever its chunks; nil at the end.
    func event() throws -> StreamedEvent? {
        deadline = .now + Self.limit
        while true {
            var event = StreamedEvent()
            while true {
                guard let line = try streamedLine() else { return nil }
                if line.isEmpty { break }
                if line.hasPrefix("id: ") { event.id = String(line.dropFirst(4)) }
                if line.hasPrefix("event: ") { event.type = String(line.dropFirst(7)) }
                if line.hasPrefix("data: ") { event.data += line.dropFirst(6) }
            }
            if !event.data.isEmpty { return event }
        }
    }

    private func streamedLine() throws -> String? {
        while true {
            if let end = streamed.firstIndex(of: 10) {
                defer { streamed.removeFirst(end + 1) }
                return String(decoding: streamed[..<end], as: UTF8.self)
            }
            let text = try line()
            let size = try #require(Int(text, radix: 16))
            for _ in 0..<size { streamed.append(try byte()) }
            #expect(try line() == "")
            if size == 0 { return nil }
        }
    }

    func ask(
        _ method: String, _ target: String, as token: String?, _ headers: [String] = [],
        body: [UInt8]? = nil
    ) throws -> WireAnswer {
        var lines = ["\(method) \(target) HTTP/1.1", "Host: reel"] + headers
        if let token { lines.append("Authorization: Bearer \(token)") }
        if let body { lines.append("Content-Length: \(body.count)") }
        try send(Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + (body ?? []))
        return try answer(toHead: method == "HEAD")
    }
}
