/// The fields of one document by name, read with the type that the schema gives them.
struct BSONFields {
    private let values: [String: BSONValue]

    init(_ values: [String: BSONValue]) {
        self.values = values
    }

    /// The names that occur, in no order.
    var names: [String] { Array(values.keys) }

    subscript(key: String) -> BSONValue? { values[key] }

    func string(_ key: String) throws(BSONError) -> String {
        guard case .string(let value) = values[key] else { throw .field(key) }
        return value
    }

    func bool(_ key: String) throws(BSONError) -> Bool {
        guard case .bool(let value) = values[key] else { throw .field(key) }
        return value
    }

    /// An integer of either width; other tools may have written the narrower one.
    func int(_ key: String) throws(BSONError) -> Int64 {
        switch values[key] {
        case .int64(let value): return value
        case .int32(let value): return Int64(value)
        default: throw .field(key)
        }
    }

    /// A number of any type.
    func double(_ key: String) throws(BSONError) -> Double {
        if case .double(let value) = values[key] { return value }
        return Double(try int(key))
    }

    func date_ms(_ key: String) throws(BSONError) -> Int64 {
        guard case .date(let value) = values[key] else { throw .field(key) }
        return value
    }

    func binary(_ key: String) throws(BSONError) -> [UInt8] {
        guard case .binary(let value) = values[key] else { throw .field(key) }
        return value
    }

    func document(_ key: String) throws(BSONError) -> BSONFields {
        guard case .document(let value) = values[key] else { throw .field(key) }
        return try value.fields()
    }

    func array(_ key: String) throws(BSONError) -> [BSONValue] {
        guard case .array(let value) = values[key] else { throw .field(key) }
        return value
    }

    func strings(_ key: String) throws(BSONError) -> [String] {
        var strings: [String] = []
        for item in try array(key) {
            guard case .string(let value) = item else { throw .field(key) }
            strings.append(value)
        }
        return strings
    }

    /// Whether the field is absent or null, which mean the same to a reader.
    func isNull(_ key: String) -> Bool {
        switch values[key] {
        case nil, .null: return true
        default: return false
        }
    }

    func optionalString(_ key: String) throws(BSONError) -> String? {
        isNull(key) ? nil : try string(key)
    }

    func optionalInt(_ key: String) throws(BSONError) -> Int64? {
        isNull(key) ? nil : try int(key)
    }

    func optionalDouble(_ key: String) throws(BSONError) -> Double? {
        isNull(key) ? nil : try double(key)
    }

    func optionalDate_ms(_ key: String) throws(BSONError) -> Int64? {
        isNull(key) ? nil : try date_ms(key)
    }
}
