/// One header field of an answer.
package struct HeaderField: Sendable, Hashable {
    /// The name as it is sent.
    package let name: String
    /// The value as it is sent; never with a line break in it (the rest is cut off).
    package let value: String

    /// Whatever stands behind a line break or NUL in `value` is left out: it would be another header.
    package init(_ name: String, _ value: String) {
        self.name = name
        var value = value
        let isClean = value.withUTF8 { bytes in
            // Without a way out of the loop, so that it goes by many bytes at once.
            var found = false
            for byte in bytes { found = found || byte == 13 || byte == 10 || byte == 0 }
            return !found
        }
        if isClean {
            self.value = value
        } else {
            let clean = value.utf8.prefix { $0 != 13 && $0 != 10 && $0 != 0 }
            self.value = String(decoding: clean, as: UTF8.self)
        }
    }
}

/// The header fields of a request, in their order. Names compare without regard to case.
///
/// All bytes stand in one array, and text is made of them when it is asked for.
package struct HeaderFields: Sendable {
    private struct Place {
        let name: Int
        let value: Int
        let end: Int
    }

    private var bytes: [UInt8] = []
    private var places: [Place] = []
    /// Where the first field of each known name is, one more than its place; 0 for none.
    private var firsts = SIMD16<UInt8>()
    /// A bit for each known name that stands there more than once.
    private var repeated: UInt32 = 0

    /// The most fields that a request may have.
    static let mostFields = 128

    init() {
        bytes.reserveCapacity(512)
        places.reserveCapacity(12)
    }

    /// Fields in order; for tests of handlers.
    package init(_ fields: [HeaderField]) {
        for field in fields {
            var (name, value) = (field.name, field.value)
            name.withUTF8 { name in value.withUTF8 { append(name: name, value: $0) } }
        }
    }

    mutating func append(name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>) {
        append(name: name, value: value, KnownField(named: name))
    }

    mutating func append(
        name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>, _ known: KnownField?
    ) {
        let start = bytes.count
        bytes.append(contentsOf: name)
        bytes.append(contentsOf: value)
        places.append(Place(name: start, value: start + name.count, end: bytes.count))
        guard let index = known.map({ Int($0.rawValue) }) else { return }
        if firsts[index] == 0 {
            firsts[index] = UInt8(clamping: places.count)
        } else {
            repeated |= 1 << UInt32(index)
        }
    }

    /// Whether a known field is there.
    func contains(_ field: KnownField) -> Bool { firsts[Int(field.rawValue)] != 0 }

    /// The bytes of the first value of a known field; nil without one.
    func first(_ field: KnownField) -> ArraySlice<UInt8>? {
        let index = Int(firsts[Int(field.rawValue)])
        guard index > 0 else { return nil }
        return bytes[places[index - 1].value..<places[index - 1].end]
    }

    /// The bytes of the value of a known field that is there once.
    func only(_ field: KnownField) -> ArraySlice<UInt8>? { isRepeated(field) ? nil : first(field) }

    /// Whether a known field is there more than once.
    func isRepeated(_ field: KnownField) -> Bool { repeated & (1 << UInt32(field.rawValue)) != 0 }

    /// Refuses a field that stands twice and may not.
    func requireSingle() throws(HTTPError) {
        guard repeated != 0 else { return }
        for field in KnownField.single where isRepeated(field) {
            throw HTTPError(.malformed, "\(field.name) stands twice")
        }
    }

    /// How many fields there are.
    package var count: Int { places.count }

    /// The field at `index`.
    package subscript(index: Int) -> HeaderField {
        let place = places[index]
        return HeaderField(
            String(decoding: bytes[place.name..<place.value], as: UTF8.self),
            String(decoding: bytes[place.value..<place.end], as: UTF8.self))
    }

    /// The value of the first field of this name.
    package subscript(name: String) -> String? {
        guard let place = places.first(where: { matches($0, name) }) else { return nil }
        return String(decoding: bytes[place.value..<place.end], as: UTF8.self)
    }

    /// Whether a field of this name is there.
    package func contains(_ name: String) -> Bool { places.contains { matches($0, name) } }

    /// The values of all fields of this name.
    package func all(_ name: String) -> [String] {
        places.filter { matches($0, name) }.map {
            String(decoding: bytes[$0.value..<$0.end], as: UTF8.self)
        }
    }

    /// The values of all fields of this name as one list, as RFC 9110 part 5.3 joins them.
    package func list(_ name: String) -> String? {
        let values = all(name)
        return values.isEmpty ? nil : values.joined(separator: ", ")
    }

    private func matches(_ place: Place, _ name: String) -> Bool {
        guard place.value - place.name == name.utf8.count else { return false }
        var at = place.name
        for byte in name.utf8 {
            if smallASCII(bytes[at]) != smallASCII(byte) { return false }
            at += 1
        }
        return true
    }
}

extension Sequence<UInt8> {
    /// Whether the text is this word of ASCII letters, large or small. `lowercased()` would take other
    /// letters for them, such as the sign for Kelvin for a k.
    func isASCIIWord(_ word: StaticString) -> Bool {
        word.withUTF8Buffer { lazy.map(smallASCII).elementsEqual($0) }
    }
}

/// ASCII letters become small ones.
func smallASCII(_ byte: UInt8) -> UInt8 { (65...90).contains(byte) ? byte | 0x20 : byte }

/// The characters of names and methods (RFC 9110 part 5.6.2): letters, digits and ``!#$%&'*+-.^_`|~``, a bit
/// for each of 128.
func isTokenByte(_ byte: UInt8) -> Bool {
    let bits: UInt64 = byte < 64 ? 0x03FF_6CFA_0000_0000 : 0x57FF_FFFF_C7FF_FFFE
    return byte < 128 && bits >> UInt64(byte & 63) & 1 == 1
}
