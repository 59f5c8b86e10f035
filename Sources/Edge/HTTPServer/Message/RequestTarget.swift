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

    /// Refuses what can't be decoded, dot segments, control characters in the path, and what isn't UTF-8.
    /// - Parameter host: the value of `Host`, which a target with a host of its own must not contradict.
    init(_ bytes: [UInt8], host: ArraySlice<UInt8>?) throws(HTTPError) {
        if bytes == [0x2A] {
            isAsterisk = true
            return
        }
        var path = bytes[...]
        if path.first != 0x2F { path = try Self.withoutAuthority(path, host) }
        if let fragment = path.firstIndex(of: 0x23) {
            throw HTTPError(.malformed, "the target has a fragment at byte \(fragment)")
        }
        if let mark = path.firstIndex(of: 0x3F) {
            query = try Query(path[(mark + 1)...])
            path = path[..<mark]
        }
        var rest = path.dropFirst()
        guard !rest.isEmpty else { return }
        segments.reserveCapacity(8)
        var isLast = false
        while !isLast {
            let end = rest.firstIndex(of: 0x2F)
            let raw = rest[..<(end ?? rest.endIndex)]
            isLast = end == nil
            rest = rest[(end.map { $0 + 1 } ?? rest.endIndex)...]
            let segment = try percentDecoded(raw, plusIsSpace: false, "the path")
            guard segment != "." && segment != ".." else {
                throw HTTPError(.malformed, "the path has a dot segment")
            }
            guard segment.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
                throw HTTPError(.malformed, "the path has a control character")
            }
            segments.append(segment)
        }
    }

    /// The absolute form, which servers must take: what stands behind scheme and host.
    private static func withoutAuthority(
        _ bytes: ArraySlice<UInt8>, _ host: ArraySlice<UInt8>?
    ) throws(HTTPError) -> ArraySlice<UInt8> {
        for scheme in ["http://", "https://"] {
            guard bytes.count > scheme.utf8.count,
                zip(bytes, scheme.utf8).allSatisfy({ smallASCII($0) == $1 })
            else { continue }
            let rest = bytes.dropFirst(scheme.utf8.count)
            let slash = rest.firstIndex { $0 == 0x2F || $0 == 0x3F } ?? rest.endIndex
            let authority = rest[..<slash]
            guard Authority.isValid(authority) else { break }
            if let host, !authority.lazy.map(smallASCII).elementsEqual(host.lazy.map(smallASCII)) {
                throw HTTPError(.malformed, "the target has another host than Host")
            }
            let path = rest[slash...]
            return path.first == 0x2F ? path : [0x2F] + path
        }
        throw HTTPError(.malformed, "the target is no path")
    }
}

/// Host and port, as `Host` and targets in absolute form have them (RFC 3986 part 3.2).
enum Authority {
    /// The value of `Host`, which is there once; nil where it may be missing and is.
    static func host(in fields: HeaderFields, isOptional: Bool) throws(HTTPError) -> ArraySlice<UInt8>? {
        if isOptional, !fields.contains(.host) { return nil }
        guard let host = fields.only(.host) else {
            throw HTTPError(.malformed, "Host must be there, once")
        }
        guard isValid(host) else { throw HTTPError(.malformed, "Host is no host with a port or without") }
        return host
    }

    /// Whether it is a name, an address, or an IPv6 address in brackets, with a port or without. Nobody's
    /// password stands before it.
    static func isValid(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard bytes.first == 0x5B else {
            let colon = bytes.firstIndex(of: 0x3A) ?? bytes.endIndex
            return colon > bytes.startIndex && bytes[..<colon].allSatisfy(isNameByte)
                && isPort(bytes[colon...])
        }
        guard let end = bytes.firstIndex(of: 0x5D), end > bytes.startIndex + 1 else { return false }
        return bytes[(bytes.startIndex + 1)..<end].allSatisfy { $0 == 0x3A || isNameByte($0) }
            && isPort(bytes[(end + 1)...])
    }

    private static func isPort(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard let first = bytes.first else { return true }
        return first == 0x3A && bytes.count <= 6 && bytes.dropFirst().allSatisfy { (48...57).contains($0) }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 97...122, 0x2D, 0x2E, 0x5F, 0x7E: true
        default: false
        }
    }
}

/// The items of a query, names and values decoded, duplicates and order kept.
package struct Query: Sendable, Hashable {
    /// One `name=value`; the value is empty where there is no `=`.
    package struct Item: Sendable, Hashable {
        /// The name.
        package let name: String
        /// The value.
        package let value: String
    }

    /// All items in order.
    package private(set) var items: [Item] = []

    /// No items.
    package init() {}

    /// Items in order; for tests of handlers.
    package init(_ items: [(String, String)]) {
        self.items = items.map { Item(name: $0.0, value: $0.1) }
    }

    /// The most items, empty ones between two `&` included.
    static let mostItems = 100

    /// Control characters pass: who reads an item refuses them with its name.
    init(_ bytes: ArraySlice<UInt8>) throws(HTTPError) {
        // Counted before anything is made of them.
        guard bytes.lazy.filter({ $0 == 0x26 }).prefix(Self.mostItems).count < Self.mostItems else {
            throw HTTPError(.malformed, "the query has more than \(Self.mostItems) items")
        }
        for part in bytes.split(separator: 0x26) {
            let equals = part.firstIndex(of: 0x3D)
            let name = try percentDecoded(part[..<(equals ?? part.endIndex)], plusIsSpace: true, "the query")
            let value = equals.map { part[($0 + 1)...] } ?? []
            items.append(
                Item(name: name, value: try percentDecoded(value, plusIsSpace: true, "the query")))
        }
    }

    /// The value of the first item of this name.
    package subscript(name: String) -> String? { items.first { $0.name == name }?.value }

    /// The values of all items of this name.
    package func all(_ name: String) -> [String] { items.filter { $0.name == name }.map(\.value) }
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
    let isPlain = bytes.allSatisfy {
        $0 > 0x20 && $0 < 0x7F && $0 != 0x25 && ($0 != 0x2B || !plusIsSpace)
    }
    if isPlain { return String(decoding: bytes, as: UTF8.self) }
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
    guard let text = String(validating: out, as: UTF8.self) else {
        throw HTTPError(.malformed, "\(subject) is not UTF-8 text")
    }
    return text
}
