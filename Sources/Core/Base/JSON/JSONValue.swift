/// A JSON value that was read (RFC 8259). Objects keep their order.
package enum JSONValue: Sendable, Hashable {
    /// One member of an object.
    package struct Member: Sendable, Hashable {
        /// Its name.
        package var name: String
        /// Its value.
        package var value: JSONValue
        package init(name: String, value: JSONValue) {
            self.name = name
            self.value = value
        }
    }

    /// null.
    case null
    /// true or false.
    case bool(Bool)
    /// A number without fraction and exponent that fits 64 bits.
    case integer(Int64)
    /// Any other number.
    case number(Double)
    /// A string.
    case string(String)
    /// An array.
    case array([JSONValue])
    /// An object, its names unique.
    case object([Member])

    /// The member of an object; nil when it is absent or this is no object.
    package subscript(_ name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    /// The string, if it is one.
    package var string: String? {
        guard case .string(let string) = self else { return nil }
        return string
    }

    /// The integer, if it is one.
    package var integer: Int64? {
        guard case .integer(let integer) = self else { return nil }
        return integer
    }

    /// The whole number, however it is written: `30`, `30.0` and `3e1` alike, as JSON Schema has it; nil for
    /// any other value, and where it does not fit 64 bits.
    package var whole: Int64? {
        switch self {
        case .integer(let integer): integer
        case .number(let number): Int64(exactly: number)
        default: nil
        }
    }

    /// The number, whole or not.
    package var number: Double? {
        switch self {
        case .integer(let integer): Double(integer)
        case .number(let number): number
        default: nil
        }
    }

    /// The truth value, if it is one.
    package var bool: Bool? {
        guard case .bool(let flag) = self else { return nil }
        return flag
    }

    /// The elements, if it is an array.
    package var array: [JSONValue]? {
        guard case .array(let elements) = self else { return nil }
        return elements
    }

    /// The members, if it is an object.
    package var members: [Member]? {
        guard case .object(let members) = self else { return nil }
        return members
    }

    /// Whether it is null.
    package var isNull: Bool { self == .null }
}

/// Text that is not the JSON that is accepted.
package struct JSONError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Offset of the offending byte.
    package var offset: Int
    /// What is wrong there.
    package var text: String

    /// Place and text.
    package var description: String { "JSON, byte \(offset): \(text)" }
}
