/// One whole BSON document as its bytes (bsonspec.org, version 1.1): an ordered list of named values.
///
/// It is a plain value and owns its bytes, so it may cross threads and outlive the client it came from.
/// libmongoc is only ever lent a pointer to it (`withBSON`), and what libmongoc answers is copied into one.
package struct BSONDocument: Sendable, Hashable {
    /// The document, from its length to its closing zero.
    package let bytes: [UInt8]

    /// The document without any field.
    package static let empty = BSONDocument { _ in }

    /// Builds a document field by field.
    package init(_ build: (inout BSONBuilder) -> Void) {
        var builder = BSONBuilder()
        build(&builder)
        self.bytes = builder.finish()
    }

    /// Takes over bytes that are a document already; reading them checks them.
    package init(copying bytes: UnsafeRawBufferPointer) {
        self.bytes = [UInt8](bytes)
    }

    /// A document with the fields of another and some more.
    package init(extending base: BSONDocument, _ build: (inout BSONBuilder) -> Void) {
        self.init { builder in
            builder.appendFields(of: base)
            build(&builder)
        }
    }

    /// Takes over bytes that are a document already; reading them checks them.
    package init(bytes: [UInt8]) {
        self.bytes = bytes
    }
}

/// Appends the fields of a document in the order in which they are to stand.
package struct BSONBuilder {
    private var bytes: [UInt8]

    fileprivate init() {
        bytes = []
        bytes.reserveCapacity(512)
        bytes.append(contentsOf: [0, 0, 0, 0])
    }

    private init(nothing: Void) { bytes = [] }

    /// Stands in the place of a builder that somebody else has for a while; allocates nothing.
    package static var nothing: BSONBuilder { BSONBuilder(nothing: ()) }

    fileprivate mutating func finish() -> [UInt8] {
        close(from: 0)
        return bytes
    }

    /// Appends all fields of another document.
    package mutating func appendFields(of document: BSONDocument) {
        bytes.append(contentsOf: document.bytes.dropFirst(4).dropLast())
    }

    /// Appends text.
    package mutating func append(_ key: String, _ value: String) {
        open(.string, key)
        put(value)
    }

    private mutating func put(_ value: String) {
        let at = bytes.count
        bytes.append(contentsOf: [0, 0, 0, 0])
        bytes.append(contentsOf: value.utf8)
        bytes.append(0)
        patch(UInt32(truncatingIfNeeded: bytes.count - at - 4), at: at)
    }

    /// Appends a whole number of 32 bits.
    package mutating func append(_ key: String, int32 value: Int32) {
        open(.int32, key)
        little(UInt32(bitPattern: value))
    }

    /// Appends a whole number of 64 bits.
    package mutating func append(_ key: String, int64 value: Int64) {
        open(.int64, key)
        little(UInt64(bitPattern: value))
    }

    /// Appends a number.
    package mutating func append(_ key: String, double value: Double) {
        open(.double, key)
        little(value.bitPattern)
    }

    /// Appends a truth value.
    package mutating func append(_ key: String, _ value: Bool) {
        open(.bool, key)
        bytes.append(value ? 1 : 0)
    }

    /// Appends a BSON date: milliseconds since 1970-01-01T00:00:00Z.
    package mutating func append(_ key: String, date_ms value: Int64) {
        open(.date, key)
        little(UInt64(bitPattern: value))
    }

    /// Appends null.
    package mutating func appendNull(_ key: String) {
        open(.null, key)
    }

    /// Appends bytes of the generic subtype 0.
    package mutating func append(_ key: String, binary value: [UInt8]) {
        open(.binary, key)
        little(UInt32(truncatingIfNeeded: value.count))
        bytes.append(0)
        bytes.append(contentsOf: value)
    }

    /// Appends an object id, 12 bytes.
    package mutating func append(_ key: String, objectID value: [UInt8]) {
        open(.objectID, key)
        bytes.append(contentsOf: value)
    }

    /// Appends a document.
    package mutating func append(_ key: String, document value: BSONDocument) {
        open(.document, key)
        bytes.append(contentsOf: value.bytes)
    }

    /// Appends a document field by field.
    package mutating func append(_ key: String, _ build: (inout BSONBuilder) -> Void) {
        nest(.document, key, build)
    }

    /// Appends an array; `item` writes the value of each element under the key that it is given.
    package mutating func append<Items: Collection>(
        _ key: String, array items: Items, _ item: (inout BSONBuilder, String, Items.Element) -> Void
    ) {
        nest(.array, key) { builder in
            var index = 0
            for element in items {
                item(&builder, String(index), element)
                index += 1
            }
        }
    }

    /// Appends an array of texts.
    package mutating func append(_ key: String, array items: [String]) {
        append(key, array: items) { $0.append($1, $2) }
    }

    /// Appends text, or null, under a name that is known to the compiler.
    package mutating func append(_ key: StaticString, text value: String?) {
        guard let value else { return open(.null, key) }
        open(.string, key)
        put(value)
    }

    /// Appends a number that is small by its bounds, or null, under a name that is known to the compiler.
    package mutating func append(_ key: StaticString, count value: Int?) {
        guard let value else { return open(.null, key) }
        open(.int32, key)
        little(UInt32(bitPattern: Int32(clamping: value)))
    }

    /// Appends a truth value, or null, under a name that is known to the compiler.
    package mutating func append(_ key: StaticString, flag value: Bool?) {
        guard let value else { return open(.null, key) }
        open(.bool, key)
        bytes.append(value ? 1 : 0)
    }

    private mutating func nest(_ type: BSONType, _ key: String, _ build: (inout BSONBuilder) -> Void) {
        open(type, key)
        let at = bytes.count
        bytes.append(contentsOf: [0, 0, 0, 0])
        build(&self)
        close(from: at)
    }

    private mutating func open(_ type: BSONType, _ key: String) {
        bytes.append(type.rawValue)
        bytes.append(contentsOf: key.utf8)
        bytes.append(0)
    }

    private mutating func open(_ type: BSONType, _ key: StaticString) {
        bytes.append(type.rawValue)
        key.withUTF8Buffer { bytes.append(contentsOf: $0) }
        bytes.append(0)
    }

    private mutating func close(from at: Int) {
        bytes.append(0)
        patch(UInt32(truncatingIfNeeded: bytes.count - at), at: at)
    }

    private mutating func patch(_ value: UInt32, at: Int) {
        for shift in 0..<4 { bytes[at + shift] = UInt8(truncatingIfNeeded: value >> UInt32(8 * shift)) }
    }

    private mutating func little<Word: FixedWidthInteger>(_ value: Word) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
}

// Optional values are written as null, so that every document of a collection has the same fields.
extension BSONBuilder {
    /// Appends text, or null.
    package mutating func append(_ key: String, _ value: String?) {
        if let value { append(key, value) } else { appendNull(key) }
    }

    /// Appends a truth value, or null.
    package mutating func append(_ key: String, _ value: Bool?) {
        if let value { append(key, value) } else { appendNull(key) }
    }

    /// A number that is small by its bounds.
    package mutating func append(_ key: String, int32 value: Int?) {
        if let value { append(key, int32: Int32(clamping: value)) } else { appendNull(key) }
    }

    /// Appends a whole number of 64 bits, or null.
    package mutating func append(_ key: String, int64 value: Int64?) {
        if let value { append(key, int64: value) } else { appendNull(key) }
    }

    /// Appends a number, or null.
    package mutating func append(_ key: String, double value: Double?) {
        if let value { append(key, double: value) } else { appendNull(key) }
    }

    /// Appends a date, or null.
    package mutating func append(_ key: String, date_ms value: Int64?) {
        if let value { append(key, date_ms: value) } else { appendNull(key) }
    }
}
