import Base
import Glibc
import HTTPServer
import Supervision
import Testing

/// Keeps what it is given, and how it ended.
private final class Sink: BodySink {
    struct State {
        var bytes: [UInt8] = []
        var largest = 0
        var isAbandoned = false
        var isFinished = false
    }

    let state = Lock(State())
    let failsAt: Int

    init(failsAt: Int = .max) { self.failsAt = failsAt }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        try state.withLock { state in
            state.bytes.append(contentsOf: bytes)
            state.largest = max(state.largest, bytes.count)
            if state.bytes.count >= failsAt {
                throw HTTPError(status: 507, code: "full", message: "no space")
            }
        }
    }

    func finish(byteCount: UInt64) throws -> Response {
        state.withLock { $0.isFinished = true }
        return .bytes(Array("\(byteCount)".utf8), type: "text/plain", status: 201)
    }

    func abandon() { state.withLock { $0.isAbandoned = true } }

    var isAbandoned: Bool { state.withLock { $0.isAbandoned && !$0.isFinished } }
}

/// Pieces of a pattern, made one by one.
private final class Pieces: ByteStream {
    private let rest: Lock<Range<UInt64>>
    let closed = Lock(0)
    let made = Lock(0)
    private let breaksAt: UInt64

    init(_ range: Range<UInt64>, breaksAt: UInt64 = .max) {
        rest = Lock(range)
        self.breaksAt = breaksAt
    }

    static func byte(_ place: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: place &* 2_654_435_761 >> 13) }

    func next() throws -> [UInt8]? {
        let piece = rest.withLock { rest -> Range<UInt64> in
            let piece = rest.prefix(70_000)
            rest = rest.dropFirst(70_000)
            return piece
        }
        guard piece.lowerBound < breaksAt else { throw HTTPError(status: 500, code: "x", message: "x") }
        made.withLock { $0 += 1 }
        return piece.isEmpty ? nil : piece.map(Self.byte)
    }

    func close() { closed.withLock { $0 += 1 } }
}

/// Counts what it is given, piece by piece.
private final class Counter: BodySink {
    let count = Lock(0)

    var takesParts: Bool { true }

    func write(_ bytes: UnsafeRawBufferPointer) { count.withLock { $0 += bytes.count } }

    func finish(byteCount: UInt64) -> Response {
        .bytes(Array("\(count.withLock { $0 })".utf8), type: "text/plain", status: 201)
    }

    func abandon() {}
}

@Suite("Bodies that don't fit memory")
struct TransferTests {
    @Test("many small chunks in each packet, each handed over by itself, from several clients at once")
    func smallChunks() throws {
        // libmicrohttpd goes through all chunks of a packet while a job has the first one.
        let (blocks, chunks, clients) = (600, 64, 4)
        let route = Route.upload(.post, "/up", bodyLimit: 1 << 40) { _ in Counter() }
        try withServer([route]) { server in
            let chunk = Array("3e8\r\n".utf8) + [UInt8](repeating: 0x7A, count: 1000) + Array("\r\n".utf8)
            let block = [UInt8]((0..<chunks).map { _ in chunk }.joined())
            let port = server.port
            let senders = try (0..<clients).map { number in
                try OwnThread(name: "sender-\(number)") {
                    let client = try Client(port)
                    try client.send("POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
                    for _ in 0..<blocks { try client.send(block) }
                    try client.send("0\r\n\r\n")
                    return try client.answer().text
                }
            }
            for sender in senders { #expect(try sender.join() == "\(blocks * chunks * 1000)") }
        }
    }

    private func upload(_ sink: Sink, limit: UInt64 = 1 << 30) -> [Route] {
        [
            .upload(.post, "/up", bodyLimit: limit) { request in
                guard request.bearerToken != "bad" else {
                    throw HTTPError(status: 401, code: "who", message: "who")
                }
                return sink
            },
            Route(.get, "/read") { _ in .empty() },
        ]
    }

    @Test("An upload goes to its sink in pieces, with a length or chunked")
    func uploads() throws {
        let bytes = (0..<3_000_000).map { Pieces.byte(UInt64($0)) }
        for isChunked in [false, true] {
            let sink = Sink()
            try withServer(upload(sink)) { server in
                let client = try Client(server.port)
                if isChunked {
                    try client.send("POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
                    var rest = bytes[...]
                    var size = 1
                    while !rest.isEmpty {
                        let piece = rest.prefix(size)
                        rest = rest.dropFirst(size)
                        size = size * 3 % 90_001 + 1
                        try client.send(
                            Array("\(String(piece.count, radix: 16))\r\n".utf8) + piece + [13, 10])
                    }
                    try client.send("0\r\n\r\n")
                } else {
                    try client.send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: \(bytes.count)\r\n\r\n")
                    try client.send(bytes)
                }
                let answer = try client.answer()
                #expect(answer.status == 201 && answer.text == "3000000")
                // Chunks can be read in more than one way: nothing that comes behind them is.
                #expect(isChunked ? client.isClosed : try client.ask("GET", "/read").status == 204)
            }
            sink.state.withLock {
                #expect($0.bytes == bytes)
                #expect($0.largest < 600_000)
                #expect($0.isFinished && !$0.isAbandoned)
            }
        }
    }

    @Test("A connection that breaks is told to the sink")
    func broken() throws {
        let sink = Sink()
        try withServer(upload(sink)) { server in
            do {
                let client = try Client(server.port)
                try client.send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
                try client.send([UInt8](repeating: 1, count: 400_000))
                eventually("something written") { sink.state.withLock { !$0.bytes.isEmpty } }
            }
            eventually("abandoned") { sink.isAbandoned }
        }
    }

    @Test("A sink that fails is abandoned, and its error is answered when the body is through")
    func failing() throws {
        let sink = Sink(failsAt: 300_000)
        try withServer(upload(sink), { $0.discardBytes = 1 << 20 }) { server in
            let client = try Client(server.port)
            try client.send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
            try client.send([UInt8](repeating: 1, count: 1_000_000))
            #expect(try client.answer().status == 507)
            eventually("abandoned") { sink.isAbandoned }
            #expect(try client.ask("GET", "/read").status == 204)
        }
    }

    @Test("An upload that is refused is not read; one that is too large is abandoned")
    func refused() throws {
        let sink = Sink()
        try withServer(upload(sink, limit: 500_000)) { server in
            let client = try Client(server.port)
            let head = "POST /up HTTP/1.1\r\nHost: a\r\n"
            try client.send(
                head + "Authorization: Bearer bad\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n")
            #expect(try client.head().status == 401)
            let large = try Client(server.port)
            try large.send(head + "Content-Length: 500001\r\nExpect: 100-continue\r\n\r\n")
            #expect(try large.head().status == 413)
            #expect(try ask(server, "POST", "/up").status == 411)
            let chunked = try Client(server.port)
            try chunked.send(head + "Transfer-Encoding: chunked\r\n\r\n")
            try chunked.send("7A121\r\n")
            try chunked.send([UInt8](repeating: 1, count: 500_001))
            try chunked.send("\r\n0\r\n\r\n")
            #expect(try chunked.answer().status == 413)
            eventually("abandoned") { sink.isAbandoned }
        }
    }

    @Test("A stream is made while it is sent, never far ahead of a client that takes nothing")
    func streams() throws {
        let stream = Pieces(0..<40_000_000)
        let routes = [Route(.get, "/s") { _ in .stream(stream, type: "application/octet-stream") }]
        try withServer(routes) { server in
            let client = try Client(server.port)
            try client.send("GET /s HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try client.head()["Transfer-Encoding"] == "chunked")
            eventually("the first pieces") { stream.made.withLock { $0 } > 2 }
            var last = -1
            eventually("it waits") {
                defer { last = stream.made.withLock { $0 } }
                return last == stream.made.withLock { $0 }
            }
            #expect(stream.made.withLock { $0 } < 400)
        }
        eventually("closed") { stream.closed.withLock { $0 } == 1 }
    }

    @Test("A stream that fails breaks the connection off, so that nobody takes a part for the whole")
    func failingStream() throws {
        let stream = Pieces(0..<1_000_000, breaksAt: 200_000)
        let routes = [Route(.get, "/s") { _ in .stream(stream, length: 1_000_000, type: "a/b") }]
        try withServer(routes) { server in
            let client = try Client(server.port)
            try client.send("GET /s HTTP/1.1\r\nHost: a\r\n\r\n")
            let length = try #require(Int(try client.head()["Content-Length"] ?? ""))
            #expect(throws: (any Error).self) { try client.exactly(length) }
        }
        eventually("closed") { stream.closed.withLock { $0 } == 1 }
    }

    @Test(
        "Ranges of files and of streams",
        arguments: [
            ("bytes=0-9", 206, 0..<10), ("bytes=5-", 206, 5..<200_000), ("bytes=-3", 206, 199_997..<200_000),
            ("bytes=199999-400000", 206, 199_999..<200_000), ("bytes=-900000", 206, 0..<200_000),
            ("bytes=200000-", 416, 0..<0), ("bytes=-0", 416, 0..<0), ("bytes=3-2", 200, 0..<200_000),
            ("bytes=0-1,4-5", 200, 0..<200_000), ("lines=0-1", 200, 0..<200_000), ("", 200, 0..<200_000),
            ("bytes=99999999999999999999-", 416, 0..<0),
        ])
    func ranges(_ header: String, _ status: Int, _ range: Range<Int>) throws {
        let bytes = (0..<200_000).map { Pieces.byte(UInt64($0)) }
        let path = "/tmp/reel-http-range-\(getpid())-\(UInt64.random(in: 0...(.max)))"
        let descriptor = open(path, O_CREAT | O_EXCL | O_WRONLY, 0o600)
        try #require(write(descriptor, bytes, bytes.count) == bytes.count)
        close(descriptor)
        defer { unlink(path) }
        let routes = [
            Route(.get, "/file") { _ in
                guard let file = OpenFile(path: path) else { throw HTTPError(.notFound, "gone") }
                return .file(file, type: "application/octet-stream", etag: EntityTag("f"))
            },
            Route(.get, "/made") { _ in
                .ranged(length: 200_000, type: "application/octet-stream", etag: EntityTag("f")) {
                    Pieces($0)
                }
            },
        ]
        try withServer(routes) { server in
            for target in ["/file", "/made"] {
                let client = try Client(server.port)
                let answer = try client.ask("GET", target, header.isEmpty ? [] : ["Range: \(header)"])
                #expect(answer.status == status)
                #expect(answer["Accept-Ranges"] == (status == 416 ? nil : "bytes"))
                if status == 416 {
                    #expect(answer["Content-Range"] == "bytes */200000")
                } else {
                    #expect(answer.body == Array(bytes[range]))
                    let shown = "bytes \(range.lowerBound)-\(range.upperBound - 1)/200000"
                    #expect(answer["Content-Range"] == (status == 206 ? shown : nil))
                }
                let head = try client.ask("HEAD", target, header.isEmpty ? [] : ["Range: \(header)"])
                #expect(head.status == status)
                let old = try client.ask("GET", target, ["Range: \(header)", "If-Range: \"old\""])
                #expect(old.status == 200 && old.body == bytes)
                let same = try client.ask("GET", target, ["Range: \(header)", "If-Range: \"f\""])
                #expect(same.status == status)
                #expect(try client.ask("GET", target, ["If-None-Match: \"f\""]).status == 304)
            }
        }
    }
}
