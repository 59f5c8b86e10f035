/// The element types of BSON 1.1 that can stand in a document.
package enum BSONType: UInt8 {
    case double = 0x01
    case string = 0x02
    case document = 0x03
    case array = 0x04
    case binary = 0x05
    case undefined = 0x06
    case objectID = 0x07
    case bool = 0x08
    case date = 0x09
    case null = 0x0A
    case regularExpression = 0x0B
    case int32 = 0x10
    case timestamp = 0x11
    case int64 = 0x12
    case decimal128 = 0x13
    case maxKey = 0x7F
    case minKey = 0xFF
}

/// One value of a document.
package enum BSONValue: Sendable, Equatable {
    case double(Double)
    case string(String)
    case document(BSONDocument)
    case array([BSONValue])
    case binary([UInt8])
    case objectID([UInt8])
    case bool(Bool)
    /// Milliseconds since 1970-01-01T00:00:00Z.
    case date(Int64)
    case null
    case int32(Int32)
    case int64(Int64)
    /// A value of a type that no document of ours has; its bytes are skipped.
    case other(type: UInt8)
}

/// Why bytes are not the document that was expected.
package enum BSONError: Error, Equatable, CustomStringConvertible {
    /// The bytes break off or contradict themselves at this offset.
    case malformed(offset: Int)
    /// The field is absent or has another type.
    case field(String)

    /// Where it breaks off, or the field.
    package var description: String {
        switch self {
        case .malformed(let offset): "malformed document, at byte \(offset)"
        case .field(let name): "field \(name) is missing or has another type"
        }
    }
}

extension BSONDocument {
    /// Nesting deeper than the server itself accepts is refused before the stack is in danger.
    private static let depthLimit = 100

    /// Calls `body` with each field in order.
    package func forEach(_ body: (String, BSONValue) throws(BSONError) -> Void) throws(BSONError) {
        var reader = BSONReader(bytes: bytes)
        try reader.document(from: 0, to: bytes.count, depth: Self.depthLimit, body)
    }

    /// The fields by name. Of a name that occurs twice the last one counts.
    package func fields() throws(BSONError) -> BSONFields {
        var fields: [String: BSONValue] = [:]
        fields.reserveCapacity(24)
        try forEach { (key, value) throws(BSONError) in fields[key] = value }
        return BSONFields(fields)
    }
}

private struct BSONReader {
    let bytes: [UInt8]

    mutating func document(
        from start: Int, to limit: Int, depth: Int, _ body: (String, BSONValue) throws(BSONError) -> Void
    ) throws(BSONError) {
        guard depth > 0 else { throw .malformed(offset: start) }
        let length = try length(at: start, to: limit)
        guard length >= 5, length == limit - start, bytes[limit - 1] == 0 else {
            throw .malformed(offset: start)
        }
        var at = start + 4
        while at < limit - 1 {
            let type = bytes[at]
            at += 1
            let key = try cString(&at, to: limit - 1)
            let value = try value(type, &at, to: limit - 1, depth: depth)
            try body(key, value)
        }
    }

    private mutating func value(
        _ type: UInt8, _ at: inout Int, to limit: Int, depth: Int
    ) throws(BSONError) -> BSONValue {
        switch BSONType(rawValue: type) {
        case .double: return .double(Double(bitPattern: try word(&at, to: limit)))
        case .string: return .string(try string(&at, to: limit))
        case .document:
            let end = try end(of: at, to: limit)
            // The nested bytes are checked when they are read: their length alone is taken on trust here.
            defer { at = end }
            return .document(BSONDocument(bytes: [UInt8](bytes[at..<end])))
        case .array:
            let end = try end(of: at, to: limit)
            var items: [BSONValue] = []
            try document(from: at, to: end, depth: depth - 1) { (_, item) throws(BSONError) in
                items.append(item)
            }
            at = end
            return .array(items)
        case .binary:
            let count = try length(at: at, to: limit)
            guard count >= 0, limit - at - 5 >= count else { throw .malformed(offset: at) }
            defer { at += 5 + count }
            return .binary([UInt8](bytes[(at + 5)..<(at + 5 + count)]))
        case .objectID: return .objectID(try take(12, &at, to: limit))
        case .bool:
            let byte = try take(1, &at, to: limit)[0]
            guard byte <= 1 else { throw .malformed(offset: at - 1) }
            return .bool(byte == 1)
        case .date: return .date(Int64(bitPattern: try word(&at, to: limit)))
        case .null: return .null
        case .int32:
            let value = try length(at: at, to: limit)
            at += 4
            return .int32(Int32(truncatingIfNeeded: value))
        case .int64: return .int64(Int64(bitPattern: try word(&at, to: limit)))
        case .timestamp:
            _ = try word(&at, to: limit)
        case .decimal128:
            _ = try take(16, &at, to: limit)
        case .regularExpression:
            _ = try cString(&at, to: limit)
            _ = try cString(&at, to: limit)
        case .undefined, .minKey, .maxKey: break
        case nil: throw .malformed(offset: at)
        }
        return .other(type: type)
    }

    private func length(at: Int, to limit: Int) throws(BSONError) -> Int {
        guard limit <= bytes.count, limit - at >= 4 else { throw .malformed(offset: at) }
        var value: UInt32 = 0
        for index in 0..<4 { value |= UInt32(bytes[at + index]) << UInt32(8 * index) }
        return Int(Int32(bitPattern: value))
    }

    private func end(of at: Int, to limit: Int) throws(BSONError) -> Int {
        let length = try length(at: at, to: limit)
        guard length >= 5, limit - at >= length else { throw .malformed(offset: at) }
        return at + length
    }

    private func word(_ at: inout Int, to limit: Int) throws(BSONError) -> UInt64 {
        guard limit - at >= 8 else { throw .malformed(offset: at) }
        var value: UInt64 = 0
        for index in 0..<8 { value |= UInt64(bytes[at + index]) << UInt64(8 * index) }
        at += 8
        return value
    }

    private func take(_ count: Int, _ at: inout Int, to limit: Int) throws(BSONError) -> [UInt8] {
        guard limit - at >= count else { throw .malformed(offset: at) }
        defer { at += count }
        return [UInt8](bytes[at..<(at + count)])
    }

    private func cString(_ at: inout Int, to limit: Int) throws(BSONError) -> String {
        let start = at
        while at < limit, bytes[at] != 0 { at += 1 }
        guard at < limit else { throw .malformed(offset: start) }
        defer { at += 1 }
        return String(decoding: bytes[start..<at], as: UTF8.self)
    }

    private func string(_ at: inout Int, to limit: Int) throws(BSONError) -> String {
        let count = try length(at: at, to: limit)
        guard count >= 1, limit - at - 4 >= count, bytes[at + 4 + count - 1] == 0 else {
            throw .malformed(offset: at)
        }
        defer { at += 4 + count }
        return String(decoding: bytes[(at + 4)..<(at + 4 + count - 1)], as: UTF8.self)
    }
}
