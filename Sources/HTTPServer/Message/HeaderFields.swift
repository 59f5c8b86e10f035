/// One header field of an answer.
public struct HeaderField: Sendable, Hashable {
    /// The name as it is sent.
    public let name: String
    /// The value as it is sent; never with a line break in it (the rest is cut off).
    public let value: String

    /// Whatever stands behind a line break or NUL in `value` is left out: it would be another header.
    public init(_ name: String, _ value: String) {
        self.name = name
        if value.utf8.contains(where: { $0 == 13 || $0 == 10 || $0 == 0 }) {
            let clean = value.utf8.prefix { $0 != 13 && $0 != 10 && $0 != 0 }
            self.value = String(decoding: clean, as: UTF8.self)
        } else {
            self.value = value
        }
    }
}

/// The header fields of a request, in their order. Names compare without regard to case.
///
/// All bytes stand in one array, and text is made of them when it is asked for.
public struct HeaderFields: Sendable {
    private struct Place {
        let name: Int
        let value: Int
        let end: Int
    }

    private var bytes: [UInt8] = []
    private var places: [Place] = []

    init() {
        bytes.reserveCapacity(512)
        places.reserveCapacity(12)
    }

    /// Fields in order; for tests of handlers.
    public init(_ fields: [HeaderField]) {
        for field in fields {
            var (name, value) = (field.name, field.value)
            name.withUTF8 { name in value.withUTF8 { append(name: name, value: $0) } }
        }
    }

    mutating func append(name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>) {
        let start = bytes.count
        bytes.append(contentsOf: name)
        bytes.append(contentsOf: value)
        places.append(Place(name: start, value: start + name.count, end: bytes.count))
    }

    /// How many fields there are.
    public var count: Int { places.count }

    /// Bytes of all names and values, each line counted with its separators.
    var byteCount: Int { bytes.count + 4 * places.count }

    /// The field at `index`.
    public subscript(index: Int) -> HeaderField {
        let place = places[index]
        return HeaderField(
            String(decoding: bytes[place.name..<place.value], as: UTF8.self),
            String(decoding: bytes[place.value..<place.end], as: UTF8.self))
    }

    /// The value of the first field of this name.
    public subscript(name: String) -> String? {
        guard let place = places.first(where: { matches($0, name) }) else { return nil }
        return String(decoding: bytes[place.value..<place.end], as: UTF8.self)
    }

    /// Whether a field of this name is there.
    public func contains(_ name: String) -> Bool { places.contains { matches($0, name) } }

    /// The values of all fields of this name.
    public func all(_ name: String) -> [String] {
        places.filter { matches($0, name) }.map {
            String(decoding: bytes[$0.value..<$0.end], as: UTF8.self)
        }
    }

    /// How many fields of this name there are.
    func count(of name: String) -> Int { places.count { matches($0, name) } }

    /// The bytes of the value of the only field of this name; nil when there is none, or several.
    func only(_ name: String) -> ArraySlice<UInt8>? {
        var found: ArraySlice<UInt8>?
        for place in places where matches(place, name) {
            guard found == nil else { return nil }
            found = bytes[place.value..<place.end]
        }
        return found
    }

    /// The values of all fields of this name as one list, as RFC 9110 part 5.3 joins them.
    public func list(_ name: String) -> String? {
        let values = all(name)
        return values.isEmpty ? nil : values.joined(separator: ", ")
    }

    private func matches(_ place: Place, _ name: String) -> Bool {
        guard place.value - place.name == name.utf8.count else { return false }
        var at = place.name
        for byte in name.utf8 {
            if lowercased(bytes[at]) != lowercased(byte) { return false }
            at += 1
        }
        return true
    }

    /// Whether every name is a token and no value holds a control character (RFC 9110 part 5).
    var areWellFormed: Bool {
        places.allSatisfy { place in
            place.value > place.name && bytes[place.name..<place.value].allSatisfy(isTokenByte)
                && bytes[place.value..<place.end].allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
        }
    }
}

/// ASCII letters become small ones.
func lowercased(_ byte: UInt8) -> UInt8 { (65...90).contains(byte) ? byte | 0x20 : byte }

/// The characters of names and methods (RFC 9110 part 5.6.2).
func isTokenByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 48...57, 65...90, 97...122: true
    case 0x21, 0x23, 0x24, 0x25, 0x26, 0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E, 0x5F, 0x60, 0x7C, 0x7E: true
    default: false
    }
}
