/// The fields of one document by name, read with the type that the schema gives them.
package struct BSONFields {
    private let values: [String: BSONValue]

    package init(_ values: [String: BSONValue]) {
        self.values = values
    }

    /// The names that occur, in no order.
    package var names: [String] { Array(values.keys) }

    /// A field's value; nil where there is none.
    package subscript(key: String) -> BSONValue? { values[key] }

    /// A text.
    package func string(_ key: String) throws(BSONError) -> String {
        guard case .string(let value) = values[key] else { throw .field(key) }
        return value
    }

    /// A truth value.
    package func bool(_ key: String) throws(BSONError) -> Bool {
        guard case .bool(let value) = values[key] else { throw .field(key) }
        return value
    }

    /// An integer of either width; other tools may have written the narrower one.
    package func int(_ key: String) throws(BSONError) -> Int64 {
        switch values[key] {
        case .int64(let value): return value
        case .int32(let value): return Int64(value)
        default: throw .field(key)
        }
    }

    /// A number of any type.
    package func double(_ key: String) throws(BSONError) -> Double {
        if case .double(let value) = values[key] { return value }
        return Double(try int(key))
    }

    /// A date, in milliseconds since 1970.
    package func date_ms(_ key: String) throws(BSONError) -> Int64 {
        guard case .date(let value) = values[key] else { throw .field(key) }
        return value
    }

    /// Bytes.
    package func binary(_ key: String) throws(BSONError) -> [UInt8] {
        guard case .binary(let value) = values[key] else { throw .field(key) }
        return value
    }

    /// The fields of a nested document.
    package func document(_ key: String) throws(BSONError) -> BSONFields {
        guard case .document(let value) = values[key] else { throw .field(key) }
        return try value.fields()
    }

    /// The items of an array.
    package func array(_ key: String) throws(BSONError) -> [BSONValue] {
        guard case .array(let value) = values[key] else { throw .field(key) }
        return value
    }

    /// The texts of an array that has no others.
    package func strings(_ key: String) throws(BSONError) -> [String] {
        var strings: [String] = []
        for item in try array(key) {
            guard case .string(let value) = item else { throw .field(key) }
            strings.append(value)
        }
        return strings
    }

    /// Whether the field is absent or null, which mean the same to a reader.
    package func isNull(_ key: String) -> Bool {
        switch values[key] {
        case nil, .null: return true
        default: return false
        }
    }

    /// A text, absent where it is unknown.
    package func optionalString(_ key: String) throws(BSONError) -> String? {
        isNull(key) ? nil : try string(key)
    }

    /// An integer, absent where it is unknown.
    package func optionalInt(_ key: String) throws(BSONError) -> Int64? {
        isNull(key) ? nil : try int(key)
    }

    /// A number, absent where it is unknown.
    package func optionalDouble(_ key: String) throws(BSONError) -> Double? {
        isNull(key) ? nil : try double(key)
    }

    /// A date in milliseconds, absent where it is unknown.
    package func optionalDate_ms(_ key: String) throws(BSONError) -> Int64? {
        isNull(key) ? nil : try date_ms(key)
    }
}
