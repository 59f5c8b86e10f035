/// The target of a request, taken apart (RFC 9112 part 3.2, RFC 3986).
///
/// Decoding happens after taking apart, so that `%2F` in a segment is a slash in a name and no separator.
struct RequestTarget: Sendable {
    /// The decoded segments; empty for `/`. A slash at the end leaves an empty last segment.
    var segments: [String] = []
    /// The query's items in order, decoded.
    var query = Query()
    /// Whether it is the `*` of `OPTIONS *`.
    var isAsterisk = false

    /// Refuses what can't be decoded, dot segments, NUL and text that isn't UTF-8.
    init(_ bytes: [UInt8]) throws(HTTPError) {
        if bytes == [0x2A] {
            isAsterisk = true
            return
        }
        var path = bytes[...]
        if path.first != 0x2F { path = try Self.withoutAuthority(path) }
        if let fragment = path.firstIndex(of: 0x23) {
            throw HTTPError(.malformed, "the target has a fragment at byte \(fragment)")
        }
        if let mark = path.firstIndex(of: 0x3F) {
            query = try Query(path[(mark + 1)...])
            path = path[..<mark]
        }
        path = path.dropFirst()
        guard !path.isEmpty else { return }
        for raw in path.split(separator: 0x2F, omittingEmptySubsequences: false) {
            let segment = try percentDecoded(raw, plusIsSpace: false, "the path")
            guard segment != "." && segment != ".." else {
                throw HTTPError(.malformed, "the path has a dot segment")
            }
            segments.append(segment)
        }
    }

    /// The absolute form, which servers must take: what stands behind scheme and host.
    private static func withoutAuthority(_ bytes: ArraySlice<UInt8>) throws(HTTPError) -> ArraySlice<UInt8> {
        for scheme in ["http://", "https://"] {
            guard bytes.count > scheme.utf8.count,
                zip(bytes, scheme.utf8).allSatisfy({ lowercased($0) == $1 })
            else { continue }
            let rest = bytes.dropFirst(scheme.utf8.count)
            let slash = rest.firstIndex { $0 == 0x2F || $0 == 0x3F } ?? rest.endIndex
            guard slash > rest.startIndex else { break }
            let path = rest[slash...]
            return path.first == 0x2F ? path : [0x2F] + path
        }
        throw HTTPError(.malformed, "the target is no path")
    }
}

/// The items of a query, names and values decoded, duplicates and order kept.
public struct Query: Sendable, Hashable {
    /// One `name=value`; the value is empty where there is no `=`.
    public struct Item: Sendable, Hashable {
        /// The name.
        public let name: String
        /// The value.
        public let value: String
    }

    /// All items in order.
    public private(set) var items: [Item] = []

    /// No items.
    public init() {}

    /// Items in order; for tests of handlers.
    public init(_ items: [(String, String)]) {
        self.items = items.map { Item(name: $0.0, value: $0.1) }
    }

    init(_ bytes: ArraySlice<UInt8>) throws(HTTPError) {
        for part in bytes.split(separator: 0x26) {
            let equals = part.firstIndex(of: 0x3D)
            let name = try percentDecoded(part[..<(equals ?? part.endIndex)], plusIsSpace: true, "the query")
            let value = equals.map { part[($0 + 1)...] } ?? []
            items.append(
                Item(name: name, value: try percentDecoded(value, plusIsSpace: true, "the query")))
        }
    }

    /// The value of the first item of this name.
    public subscript(name: String) -> String? { items.first { $0.name == name }?.value }

    /// The values of all items of this name.
    public func all(_ name: String) -> [String] { items.filter { $0.name == name }.map(\.value) }
}

func percentDecoded(
    _ bytes: ArraySlice<UInt8>, plusIsSpace: Bool, _ subject: String
) throws(HTTPError) -> String {
    func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 48...57: byte - 48
        case 65...70: byte - 55
        case 97...102: byte - 87
        default: nil
        }
    }
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count)
    var at = bytes.startIndex
    while at < bytes.endIndex {
        let byte = bytes[at]
        switch byte {
        case 0x25:
            guard at + 2 < bytes.endIndex, let high = digit(bytes[at + 1]), let low = digit(bytes[at + 2])
            else { throw HTTPError(.malformed, "\(subject) has a % without two hexadecimal digits") }
            out.append(high << 4 | low)
            at += 3
        case 0x2B where plusIsSpace:
            out.append(0x20)
            at += 1
        case 0x00...0x20, 0x7F:
            throw HTTPError(.malformed, "\(subject) has a blank or a control character")
        default:
            out.append(byte)
            at += 1
        }
    }
    guard let text = String(validating: out, as: UTF8.self), !out.contains(0) else {
        throw HTTPError(.malformed, "\(subject) is not UTF-8 text")
    }
    return text
}
