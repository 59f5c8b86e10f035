import Base
import HTTPServer
import Supervision
import Testing

@testable import HTTPLoad

@Suite("The client that follows", .timeLimit(.minutes(2)))
struct FollowTests {
    private static let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

    /// The ids that were found, and whether the stream was proper and came to its end.
    private func scan(_ parts: [ArraySlice<UInt8>]) -> (ids: [UInt64], hasEnded: Bool)? {
        var scanner = EventScanner()
        var ids: [UInt64] = []
        do {
            for part in parts {
                try Array(part).withUnsafeBytes { try scanner.take($0) { ids.append($0) } }
            }
        } catch {
            return nil
        }
        return (ids, scanner.hasEnded)
    }

    @Test("Events are found wherever what comes is cut")
    func cuts() throws {
        let long = String(repeating: "id: 9 x", count: 10)
        let pieces = [
            "retry: 2000\n\nid", ": 17\nevent: A\ndata: {\"id\": 4}\n\n:\n", "\nid: 18\nda",
            "ta: \(long)\n\nid: ",
            "\n\ndat", "a: no id\n\nid:", " 4294967297\ndata:", " x\n\n",
        ]
        let chunks = pieces.map { "\(String($0.utf8.count, radix: 16))\r\n\($0)\r\n" }
        let bytes = Array((Self.head + chunks.joined() + "0\r\n\r\n").utf8)
        for cut in 0...bytes.count {
            let found = try #require(scan([bytes[..<cut], bytes[cut...]]), "\(cut)")
            #expect(found.ids == [17, 18, 4_294_967_297], "\(cut)")
            #expect(found.hasEnded)
        }
        #expect(scan([bytes.dropLast(5)])?.hasEnded == false)
    }

    @Test(
        "What is no stream of events is refused",
        arguments: [
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 3\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n",
            String(repeating: "x", count: 20_000), head + "x\r\n", head + "-1\r\n", head + "1\r\nabc",
            head + String(repeating: "0", count: 40), head + "0\r\n\r\nx",
        ])
    func refused(_ text: String) { #expect(scan([Array(text.utf8)[...]]) == nil) }

    @Test("Every follower's events come with the number of its request")
    func follows() throws {
        let streams = Lock<[String: EventStream]>([:])
        let route = Route.quick(.get, "/{name}") { request in
            let stream = EventStream()
            streams.withLock { $0[request.parameter("name")] = stream }
            stream.send(Array("retry: 1000\n\n".utf8))
            return .events(stream)
        }
        let server = try HTTPServer(ServerSettings(), Router([route]))
        let count = 40
        let client = try FollowClient(
            port: server.port,
            requests: (0..<count).map { Array("GET /\($0) HTTP/1.1\r\nHost: x\r\n\r\n".utf8) })
        try client.listen(until: { client.following == count }, onEvent: { _, _, _ in })
        for (name, stream) in streams.withLock({ $0 }) {
            for number in 1...3 {
                let id = "\((Int(name) ?? 0) * 10 + number)"
                stream.send(EventStream.frame(data: [0x78], id: id, event: "X"))
            }
            stream.finish()
        }
        var found: [Int: [UInt64]] = [:]
        let began = FollowClient.now()
        try client.listen(until: { client.ended == count }) { follower, id, at in
            found[follower, default: []].append(id)
            #expect(at >= began)
        }
        #expect(found.count == count)
        for (follower, ids) in found { #expect(ids == (1...3).map { UInt64(follower * 10 + $0) }) }
        #expect(client.following == 0)
        server.stop()
    }
}
