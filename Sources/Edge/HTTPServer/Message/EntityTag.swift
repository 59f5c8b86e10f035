/// The version of a resource (RFC 9110 part 8.8.3).
package struct EntityTag: Sendable, Hashable {
    /// What stands between the quotes.
    package let value: String
    /// Whether equal tags mean equal bytes, or only equal meaning.
    package let isWeak: Bool

    /// Takes printable ASCII without quotes; anything else in `value` becomes `_`.
    package init(_ value: String, isWeak: Bool = false) {
        let clean = value.utf8.map { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 ? $0 : 0x5F }
        self.value = String(decoding: clean, as: UTF8.self)
        self.isWeak = isWeak
    }

    /// As it stands in a header.
    package var text: String { isWeak ? "W/\"\(value)\"" : "\"\(value)\"" }

    /// The tag of the same version in another coding. It is another tag because the bytes differ, and
    /// says which one it comes from because a client may answer it in `If-Match`.
    var compressed: EntityTag { EntityTag(value + Self.compressedSuffix, isWeak: isWeak) }

    private static let compressedSuffix = "-gzip"

    fileprivate var plainValue: Substring {
        value.hasSuffix(Self.compressedSuffix) ? value.dropLast(Self.compressedSuffix.count) : value[...]
    }

    /// What `If-Match` and `If-None-Match` hold.
    enum List: Equatable {
        case any
        case tags([EntityTag])

        /// Weak comparison is for reads, strong comparison for writes and ranges.
        func matches(_ tag: EntityTag, weakly: Bool) -> Bool {
            switch self {
            case .any: true
            case .tags(let tags):
                tags.contains {
                    $0.plainValue == tag.plainValue && (weakly || !$0.isWeak && !tag.isWeak)
                }
            }
        }
    }

    /// Reads a list; what isn't a tag is passed over, so that it matches nothing.
    static func list(_ text: String) -> List {
        var tags: [EntityTag] = []
        var bytes = Array(text.utf8)[...]
        while let first = bytes.first {
            var isWeak = false
            switch first {
            case 0x2A where tags.isEmpty && bytes.dropFirst().allSatisfy({ $0 == 0x20 || $0 == 0x09 }):
                return .any
            case 0x57 where bytes.dropFirst().first == 0x2F:
                isWeak = true
                bytes = bytes.dropFirst(2)
                fallthrough
            case 0x22:
                guard bytes.first == 0x22, let end = bytes.dropFirst().firstIndex(of: 0x22) else {
                    return .tags(tags)
                }
                let value = String(decoding: bytes[(bytes.startIndex + 1)..<end], as: UTF8.self)
                tags.append(EntityTag(value, isWeak: isWeak))
                bytes = bytes[(end + 1)...]
            default: bytes = bytes.dropFirst()
            }
        }
        return .tags(tags)
    }
}

/// What a `Range` header asks of a body (RFC 9110 part 14).
enum WantedRange: Equatable {
    /// All of it: there is no header, or none that this server honours (other units, several ranges,
    /// bad syntax; the RFC lets servers ignore those).
    case all
    /// These bytes.
    case part(Range<UInt64>)
    /// Nothing that exists.
    case unsatisfiable

    init(_ header: String?, length: UInt64) {
        self = .all
        guard let header, header.lowercased().hasPrefix("bytes=") else { return }
        let text = header.dropFirst(6).trimming()
        guard let dash = text.firstIndex(of: "-"), !text.contains(",") else { return }
        let (first, last) = (text[..<dash].trimming(), text[text.index(after: dash)...].trimming())
        func number(_ text: Substring) -> UInt64? {
            guard !text.isEmpty, text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
            // A number beyond 64 bits lies behind every end.
            return UInt64(text) ?? UInt64.max
        }
        if first.isEmpty {
            guard let count = number(last) else { return }
            self = count == 0 || length == 0 ? .unsatisfiable : .part(length - min(count, length)..<length)
            return
        }
        guard let start = number(first) else { return }
        var end = length
        if !last.isEmpty {
            guard let number = number(last), number >= start else { return }
            end = number >= length ? length : number + 1
        }
        self = start < length ? .part(start..<end) : .unsatisfiable
    }
}

extension Substring {
    /// Without blanks and tabs at both ends.
    func trimming() -> Substring {
        var text = self
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return text
    }
}
