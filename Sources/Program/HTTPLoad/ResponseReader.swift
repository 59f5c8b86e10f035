internal import Glibc

/// Tells where an answer ends. Knows what a server under load has to be asked: answers with
/// `Content-Length`, one at a time. Without I/O.
struct ResponseReader {
    /// What has come so far.
    enum Progress: Equatable {
        /// More has to come.
        case incomplete
        /// The answer is there as a whole.
        case complete(status: Int, bodyBytes: Int)
        /// It is no answer of that kind.
        case malformed
    }

    /// The largest header, in bytes.
    static let headerLimit = 16 << 10

    /// What has come of a header that is not whole.
    private var begun: [UInt8] = []
    private var status = 0
    /// Whether the server closes the connection after the answer that was read last.
    private(set) var isLast = false
    private var bodyBytes = 0
    /// Bytes of the body that have to come; nil while the header is not whole.
    private var left: Int?

    /// Takes what came next; after an answer was complete the next one begins.
    mutating func take(_ bytes: UnsafeRawBufferPointer) -> Progress {
        guard let left else { return takeHeader(bytes) }
        return takeBody(bytes.count, of: left)
    }

    private mutating func takeBody(_ count: Int, of left: Int) -> Progress {
        guard count <= left else { return .malformed }
        guard count == left else {
            self.left = left - count
            return .incomplete
        }
        self.left = nil
        return .complete(status: status, bodyBytes: bodyBytes)
    }

    private mutating func takeHeader(_ bytes: UnsafeRawBufferPointer) -> Progress {
        if begun.isEmpty { return header(in: bytes) }
        begun.append(contentsOf: bytes)
        let whole = begun
        begun = []
        return whole.withUnsafeBytes { header(in: $0) }
    }

    private mutating func header(in bytes: UnsafeRawBufferPointer) -> Progress {
        guard let end = Self.place(of: "\r\n\r\n", in: bytes) else {
            guard bytes.count < Self.headerLimit else { return .malformed }
            begun = Array(bytes)
            return .incomplete
        }
        let head = UnsafeRawBufferPointer(rebasing: bytes[..<(end + 2)])
        guard head.count > 12, Self.place(of: "HTTP/1.1 ", in: head) == 0,
            let status = Self.number(in: head, from: 9),
            let field = Self.place(of: "\r\nContent-Length: ", in: head),
            let length = Self.number(in: head, from: field + 18)
        else { return .malformed }
        self.status = status
        isLast = Self.place(of: "\r\nConnection: close\r\n", in: head) != nil
        bodyBytes = length
        left = length
        return takeBody(bytes.count - end - 4, of: length)
    }

    private static func number(in bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        var value = 0
        var at = start
        while at < bytes.count, (48...57).contains(bytes[at]), value < 1 << 40 {
            value = value * 10 + Int(bytes[at] - 48)
            at += 1
        }
        return at > start ? value : nil
    }

    /// Where a text stands first.
    private static func place(of text: StaticString, in bytes: UnsafeRawBufferPointer) -> Int? {
        let count = text.utf8CodeUnitCount
        guard let base = bytes.baseAddress else { return nil }
        var at = 0
        while at + count <= bytes.count,
            let found = memchr(base + at, CInt(text.utf8Start[0]), bytes.count - count - at + 1)
        {
            if memcmp(found, text.utf8Start, count) == 0 {
                return base.distance(to: UnsafeRawPointer(found))
            }
            at = base.distance(to: UnsafeRawPointer(found)) + 1
        }
        return nil
    }
}
