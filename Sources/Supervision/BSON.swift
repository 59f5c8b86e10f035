/// As much BSON (bsonspec.org, version 1.1) as the commands need that make a replica set of one mongod.
enum BSON: Equatable {
    case double(Double)
    case string(String)
    case document([Field])
    case array([BSON])
    case bool(Bool)
    case null
    case int32(Int32)
    case int64(Int64)
    /// A type we don't look into; its number.
    case other(UInt8)

    struct Field: Equatable {
        let name: String
        let value: BSON

        init(_ name: String, _ value: BSON) {
            self.name = name
            self.value = value
        }
    }

    struct Malformed: Error, Equatable {}

    subscript(_ name: String) -> BSON? {
        guard case .document(let fields) = self else { return nil }
        return fields.first { $0.name == name }?.value
    }

    subscript(_ index: Int) -> BSON? {
        guard case .array(let values) = self, values.indices.contains(index) else { return nil }
        return values[index]
    }

    var text: String? { if case .string(let text) = self { text } else { nil } }

    /// The number, whichever way it is written: servers differ in the type they answer with.
    var number: Int? {
        switch self {
        case .double(let value): Int(exactly: value)
        case .int32(let value): Int(value)
        case .int64(let value): Int(exactly: value)
        case .bool(let value): value ? 1 : 0
        default: nil
        }
    }
}

extension BSON {
    /// The bytes of a document. Types we can't write count as null.
    static func encode(_ fields: [Field]) -> [UInt8] {
        var body: [UInt8] = []
        for field in fields { append(field.value, named: field.name, to: &body) }
        return littleEndian(Int32(body.count + 5)) + body + [0]
    }

    private static func append(_ value: BSON, named name: String, to body: inout [UInt8]) {
        let (type, bytes): (UInt8, [UInt8]) =
            switch value {
            case .double(let value): (0x01, littleEndian(value.bitPattern))
            case .string(let text): (0x02, littleEndian(Int32(text.utf8.count + 1)) + text.utf8 + [0])
            case .document(let fields): (0x03, encode(fields))
            case .array(let values):
                (0x04, encode(values.enumerated().map { Field("\($0.offset)", $0.element) }))
            case .bool(let value): (0x08, [value ? 1 : 0])
            case .null, .other: (0x0a, [])
            case .int32(let value): (0x10, littleEndian(value))
            case .int64(let value): (0x12, littleEndian(value))
            }
        body += [type] + name.utf8 + [0] + bytes
    }

    /// Reads one document that fills `bytes`.
    static func decode(_ bytes: ArraySlice<UInt8>) throws(Malformed) -> BSON {
        var reader = Reader(bytes: bytes)
        let document = try reader.document()
        guard reader.bytes.isEmpty else { throw Malformed() }
        return .document(document)
    }

    private struct Reader {
        var bytes: ArraySlice<UInt8>

        mutating func take(_ count: Int) throws(Malformed) -> ArraySlice<UInt8> {
            guard count >= 0, count <= bytes.count else { throw Malformed() }
            defer { bytes = bytes.dropFirst(count) }
            return bytes.prefix(count)
        }

        mutating func integer<Number: FixedWidthInteger>(_: Number.Type) throws(Malformed) -> Number {
            let size = Number.bitWidth / 8
            return try take(size).reversed().reduce(0) { $0 << 8 | Number(truncatingIfNeeded: $1) }
        }

        mutating func name() throws(Malformed) -> String {
            guard let end = bytes.firstIndex(of: 0) else { throw Malformed() }
            defer { bytes = bytes[(end + 1)...] }
            return String(decoding: bytes[..<end], as: UTF8.self)
        }

        mutating func document() throws(Malformed) -> [Field] {
            let length = Int(try integer(Int32.self))
            var inner = Reader(bytes: try take(length - 4))
            var fields: [Field] = []
            while true {
                let type = try inner.integer(UInt8.self)
                if type == 0 {
                    guard inner.bytes.isEmpty else { throw Malformed() }
                    return fields
                }
                let name = try inner.name()
                fields.append(Field(name, try inner.value(type)))
            }
        }

        mutating func value(_ type: UInt8) throws(Malformed) -> BSON {
            switch type {
            case 0x01: return .double(Double(bitPattern: try integer(UInt64.self)))
            case 0x02:
                let text = try take(Int(try integer(Int32.self)))
                guard text.last == 0 else { throw Malformed() }
                return .string(String(decoding: text.dropLast(), as: UTF8.self))
            case 0x03: return .document(try document())
            case 0x04: return .array(try document().map(\.value))
            case 0x08: return .bool(try integer(UInt8.self) != 0)
            case 0x0a: return .null
            case 0x10: return .int32(try integer(Int32.self))
            case 0x12: return .int64(try integer(Int64.self))
            case 0x05: _ = try take(Int(try integer(Int32.self)) + 1)
            case 0x07: _ = try take(12)
            case 0x09, 0x11: _ = try take(8)
            case 0x13: _ = try take(16)
            default: throw Malformed()
            }
            return .other(type)
        }
    }

    static func littleEndian<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
        withUnsafeBytes(of: number.littleEndian) { Array($0) }
    }
}
