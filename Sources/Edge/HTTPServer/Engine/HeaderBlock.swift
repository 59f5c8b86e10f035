internal import Glibc

/// A request's header as it lies in libmicrohttpd's memory, from the method to the empty line.
///
/// libmicrohttpd 0.9.75 takes the header apart in place: it puts one NUL where a separator was, and looks at
/// what is between two of them as C text. So it stops at a NUL that the client sent, takes a bare line feed
/// for a line's end, and joins folded lines wrongly: other readers see another request there. This reads the
/// block a second time, strictly (RFC 9112 part 2.2 to 5): each separator must be exactly where a lawful
/// header has it. What passes can be read in one way alone, and libmicrohttpd has read it in that way.
///
/// One thing cannot be told apart in there: carriage return and line feed from NUL, or a colon that begins a
/// line, and line feed. `RawLines` looks for it before libmicrohttpd writes into the block, as far as the
/// block has come by then; behind a request whose block had not, nothing is answered
/// (`Exchange.endsConnection`).
struct HeaderBlock {
    /// The request's method, a token.
    let method: String
    /// Whether it is HTTP/1.0; false for 1.1.
    let isVersion10: Bool
    /// The fields in their order, blanks around values taken away.
    let fields: HeaderFields

    private static let version11 = Array("HTTP/1.1".utf8)
    private static let version10 = Array("HTTP/1.0".utf8)

    /// Reads a block.
    /// - Parameters:
    ///   - bytes: from the method's first byte to the empty line's last.
    ///   - targetCount: length of the target, as it was before libmicrohttpd took it apart.
    ///   - versionOffset: where libmicrohttpd has found the version.
    init(
        _ bytes: UnsafeBufferPointer<UInt8>, targetCount: Int, versionOffset: Int
    ) throws(HTTPError) {
        let methodEnd = bytes.firstIndex(of: 0) ?? bytes.count
        guard methodEnd > 0, bytes[..<methodEnd].allSatisfy(isTokenByte) else {
            throw HTTPError(.malformed, "the method is no token")
        }
        method = String(decoding: bytes[..<methodEnd], as: UTF8.self)
        // More than one blank, or a NUL within, moves the version.
        guard targetCount > 0, versionOffset == methodEnd + 1 + targetCount + 1,
            versionOffset + 10 <= bytes.count
        else { throw HTTPError(.malformed, "the first line is not method, target and version") }
        let version = bytes[versionOffset..<versionOffset + 8]
        isVersion10 = version.elementsEqual(Self.version10)
        guard isVersion10 || version.elementsEqual(Self.version11) else {
            throw HTTPError(.version, "only HTTP/1.0 and HTTP/1.1 are spoken")
        }
        var reader = LineReader(bytes: bytes, at: versionOffset + 8)
        try reader.lineEnd()
        var fields = HeaderFields()
        while !reader.isAtEmptyLine {
            let (name, value, hasBlankBehind) = try reader.field()
            let known = KnownField(named: name)
            guard !hasBlankBehind || known != .transferEncoding else {
                // libmicrohttpd takes it for another coding.
                throw HTTPError(.malformed, "Transfer-Encoding ends with a blank")
            }
            guard fields.count < HeaderFields.mostFields else {
                throw HTTPError(
                    .headerTooLarge, "the header has more than \(HeaderFields.mostFields) fields")
            }
            fields.append(name: name, value: value, known)
        }
        self.fields = fields
    }
}

/// The lines of a header before libmicrohttpd writes into them, which it does after it has told the target.
enum RawLines: Equatable {
    /// All have come, each ends with carriage return and line feed, and the empty one ends here.
    case whole(end: UInt)
    /// One ends with a line feed alone.
    case broken
    /// Not all have come, or they are too long to be looked at.
    case unseen

    /// Connections have more memory than this, so that libmicrohttpd maps it in pages (malloc takes less).
    static let leastConnectionBytes = 36 << 10
    private static let pageBytes: UInt = 4096

    /// Looks at what stands behind the first line.
    ///
    /// How much has come nobody tells. But a connection's memory is made of whole pages: up to the end of the
    /// target's own page there is nothing else, and zeros where nothing has come.
    /// - Parameters:
    ///   - target: the target in the connection's memory, as C text; the version stands behind it.
    ///   - count: the target's length.
    init(behind target: UnsafePointer<UInt8>, count: Int) {
        let start = target + count + 1 + 8 + 2
        let pageEnd = (UInt(bitPattern: target) | (Self.pageBytes - 1)) + 1
        self = .unseen
        guard UInt(bitPattern: start) < pageEnd else { return }
        let page = UnsafeBufferPointer(start: start, count: Int(pageEnd - UInt(bitPattern: start)))
        var lineStart = 0
        while let base = page.baseAddress,
            let found = memchr(base + lineStart, 0x0A, page.count - lineStart)
        {
            let feed = UnsafePointer(found.assumingMemoryBound(to: UInt8.self)) - base
            guard feed > lineStart, page[feed - 1] == 0x0D else {
                self = .broken
                return
            }
            if feed == lineStart + 1 {
                self = .whole(end: UInt(bitPattern: base + feed + 1))
                return
            }
            lineStart = feed + 1
        }
    }
}

private struct LineReader {
    let bytes: UnsafeBufferPointer<UInt8>
    var at: Int

    /// Whether two bytes are left, and they were a line's end.
    var isAtEmptyLine: Bool { at + 2 == bytes.count && bytes[at] == 0 && bytes[at + 1] == 0 }

    mutating func lineEnd() throws(HTTPError) {
        guard at + 2 <= bytes.count, bytes[at] == 0, bytes[at + 1] == 0 else {
            throw HTTPError(.malformed, "a header line has a NUL, or ends with a bare line feed")
        }
        at += 2
    }

    /// One line: a name that is a token, where the colon was, and a value without control characters; and
    /// whether a blank stood behind it.
    mutating func field() throws(HTTPError) -> (
        name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>, hasBlankBehind: Bool
    ) {
        let start = at
        while at < bytes.count, isTokenByte(bytes[at]) { at += 1 }
        let name = UnsafeBufferPointer(rebasing: bytes[start..<at])
        guard !name.isEmpty, at < bytes.count, bytes[at] == 0 else {
            throw HTTPError(.malformed, "a header line is folded, or has a name that is no token")
        }
        at += 1
        while at < bytes.count, Self.isBlank(bytes[at]) { at += 1 }
        let valueStart = at
        at = firstControl()
        guard at < bytes.count, bytes[at] == 0 else {
            throw HTTPError(.malformed, "a header line has a control character")
        }
        var end = at
        while end > valueStart, Self.isBlank(bytes[end - 1]) { end -= 1 }
        let hasBlankBehind = end < at
        try lineEnd()
        return (name, UnsafeBufferPointer(rebasing: bytes[valueStart..<end]), hasBlankBehind)
    }

    /// Where the next control character is that is no tab; the end where there is none.
    private func firstControl() -> Int {
        var place = at
        // Eight bytes at once, as long as each of them is below 0x7F and above 0x1F, or beyond ASCII.
        let raw = UnsafeRawBufferPointer(bytes)
        while place + 8 <= raw.count {
            let word = raw.loadUnaligned(fromByteOffset: place, as: UInt64.self)
            let highs: UInt64 = 0x8080_8080_8080_8080
            let small = (word &- 0x2020_2020_2020_2020) & ~word & highs
            let deletes = word ^ 0x7F7F_7F7F_7F7F_7F7F
            if small | ((deletes &- 0x0101_0101_0101_0101) & ~deletes & highs) != 0 { break }
            place += 8
        }
        while place < bytes.count, bytes[place] >= 0x20 && bytes[place] != 0x7F || bytes[place] == 0x09 {
            place += 1
        }
        return place
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
}
