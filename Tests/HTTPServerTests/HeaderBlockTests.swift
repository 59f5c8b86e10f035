import Testing

@testable import HTTPServer

/// What libmicrohttpd makes of a header, by its own rules: NULs where lines end, behind method, target and
/// version, and at each line's first colon.
private func block(_ text: String) -> (bytes: [UInt8], target: Int, version: Int) {
    var bytes = Array(text.utf8)
    let first = bytes.firstIndex(of: 0x0A) ?? bytes.count
    let methodEnd = bytes[..<first].firstIndex(of: 0x20) ?? 0
    let version = (bytes[..<first].lastIndex(of: 0x20) ?? 0) + 1
    bytes[methodEnd] = 0
    bytes[version - 1] = 0
    var start = bytes.startIndex
    var isFirst = true
    while let feed = bytes[start...].firstIndex(of: 0x0A) {
        if !isFirst, let colon = bytes[start..<feed].firstIndex(of: 0x3A) { bytes[colon] = 0 }
        if feed > start, bytes[feed - 1] == 0x0D { bytes[feed - 1] = 0 }
        bytes[feed] = 0
        start = feed + 1
        isFirst = false
    }
    // Blanks before the target are passed over.
    let target = bytes[(methodEnd + 1)...].drop { $0 == 0x20 }.prefix { $0 != 0 }
    return (bytes, target.count, version)
}

private func read(_ text: String) throws(HTTPError) -> HeaderBlock {
    let (bytes, target, version) = block(text)
    return try bytes.withUnsafeBufferPointer { (bytes) throws(HTTPError) in
        try HeaderBlock(bytes, targetCount: target, versionOffset: version)
    }
}

@Suite("A header is read in one way or not at all")
struct HeaderBlockTests {
    @Test("Method, version and fields, blanks around values taken away")
    func good() throws {
        let header = try read(
            "PUT /a?b HTTP/1.1\r\nHost: x\r\nA:b\r\nE:\r\nT: \t c\t d \t\r\nU: \u{e9}\r\n\r\n")
        #expect(header.method == "PUT" && !header.isVersion10)
        #expect(header.fields.count == 5)
        let values = ["Host", "a", "e", "t", "U"].map { header.fields[$0] }
        #expect(values == ["x", "b", "", "c\t d", "\u{e9}"])
        #expect(try read("GET / HTTP/1.0\r\n\r\n").isVersion10)
    }

    @Test(
        "What other readers would read otherwise",
        arguments: [
            "GET / HTTP/1.1\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\n\n",
            "GET / HTTP/1.1\r\nHost: x\n\n", "GET / HTTP/1.1\r\nA: b\u{0}\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\u{0}c\r\nD: e\r\n\r\n", "GET / HTTP/1.1\r\nA:\u{0}\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", "GET / HTTP/1.1\r\nA: b\r\n\t\r\n\r\n",
            "GET / HTTP/1.1\r\n A: b\r\n\r\n", "GET / HTTP/1.1\r\nA : b\r\n\r\n",
            "GET / HTTP/1.1\r\n: b\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", "GET / HTTP/1.1\r\nA: b\r\r\n\r\n",
            "GET / HTTP/1.1\r\nA: \u{7f}\r\n\r\n", "GET / HTTP/1.1\r\nA: \u{1}\r\n\r\n",
            "GET / HTTP/1.1\r\nA(: b\r\n\r\n", "GET / HTTP/1.1\r\nTransfer-Encoding: chunked \r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\t\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n",
            "GET /\u{0}b HTTP/1.1\r\n\r\n", "G\u{0}T / HTTP/1.1\r\n\r\n", "G@T / HTTP/1.1\r\n\r\n",
            " / HTTP/1.1\r\n\r\n", "GET / HTTP/1.2\r\n\r\n", "GET / HTTP/1.1",
        ])
    func refused(_ text: String) {
        #expect(throws: HTTPError.self) { try read(text) }
    }

    @Test("Names are made of the characters of the standard, and known ones are found in any case")
    func names() {
        let tokens = Set(
            "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)
        for byte in UInt8.min...UInt8.max { #expect(isTokenByte(byte) == tokens.contains(byte), "\(byte)") }
        for field in KnownField.allCases {
            for name in ["\(field.name)", "\(field.name)".uppercased()] {
                let fields = HeaderFields([HeaderField("a", "b"), HeaderField(name, "c")])
                #expect(fields.contains(field) && fields.only(field).map(Array.init) == [0x63], "\(name)")
                let twice = HeaderFields([HeaderField(name, "c"), HeaderField(name, "d")])
                #expect(twice.isRepeated(field) && twice.only(field) == nil)
                #expect(twice.first(field).map(Array.init) == [0x63])
            }
            let other = HeaderFields([HeaderField("\(field.name)x", "c"), HeaderField("x", "c")])
            #expect(!other.contains(field))
        }
    }

    @Test("A control character anywhere in a value of any length is noticed")
    func controls() {
        for length in 0..<40 {
            let good = String(repeating: "v", count: length)
            #expect(throws: Never.self) { try read("GET / HTTP/1.1\r\nA: \(good)\u{e9}\t\(good)\r\n\r\n") }
            for place in 0...length {
                for bad in ["\u{1}", "\u{1F}", "\u{7F}", "\u{0}", "\r"] {
                    let value = good.prefix(place) + bad + good.dropFirst(place)
                    #expect(throws: HTTPError.self) { try read("GET / HTTP/1.1\r\nA: \(value)\r\n\r\n") }
                }
            }
        }
    }

    @Test("More fields than a request may have")
    func manyFields() {
        func fields(_ count: Int) -> String {
            "GET / HTTP/1.1\r\n" + String(repeating: "A: b\r\n", count: count) + "\r\n"
        }
        #expect(throws: Never.self) { try read(fields(128)) }
        #expect(throws: HTTPError.self) { try read(fields(129)) }
    }
}
