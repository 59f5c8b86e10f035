package import Base
package import EventSourcing

/// Reads the members of an event's payload; every error names the member.
package struct FieldReader {
    private let type: String
    private let path: String
    private let json: JSONValue

    /// A reader of `json`, the payload of an event of the given type.
    package init(type: String, _ json: JSONValue, path: String = "") throws(MalformedEvent) {
        guard case .object = json else {
            throw MalformedEvent(type: type, text: "\(path.isEmpty ? "data" : path) is not an object")
        }
        self.type = type
        self.path = path
        self.json = json
    }

    private func bad(_ name: String, _ text: String) -> MalformedEvent {
        MalformedEvent(type: type, text: "\(path.isEmpty ? "" : path + ".")\(name) \(text)")
    }

    private func value(_ name: String) -> JSONValue? {
        guard let value = json[name], !value.isNull else { return nil }
        return value
    }

    /// Refuses an object that lacks one of these members.
    package func require(_ names: [String]) throws(MalformedEvent) {
        for name in names where value(name) == nil { throw bad(name, "is missing") }
    }

    /// A member that may be missing.
    package func optionalString(_ name: String) throws(MalformedEvent) -> String? {
        guard let value = value(name) else { return nil }
        guard let string = value.string else { throw bad(name, "is not a string") }
        return string
    }

    /// A member that must be there.
    package func string(_ name: String) throws(MalformedEvent) -> String {
        guard let string = try optionalString(name) else { throw bad(name, "is missing") }
        return string
    }

    /// A member that must be there, with so many characters.
    package func string(_ name: String, _ lengths: ClosedRange<Int>) throws(MalformedEvent) -> String {
        let string = try string(name)
        guard lengths.contains(string.unicodeScalars.count) else {
            throw bad(name, "does not have \(lengths.lowerBound) to \(lengths.upperBound) characters")
        }
        return string
    }

    /// A whole number within bounds that may be missing.
    package func optionalInteger(
        _ name: String, _ bounds: ClosedRange<Int>
    ) throws(MalformedEvent) -> Int? {
        guard let value = value(name) else { return nil }
        guard let whole = value.whole else { throw bad(name, "is not a whole number of 64 bits") }
        guard let integer = Int(exactly: whole), bounds.contains(integer) else {
            throw bad(name, "is not from \(bounds.lowerBound) to \(bounds.upperBound)")
        }
        return integer
    }

    /// A whole number within bounds that must be there.
    package func integer(_ name: String, _ bounds: ClosedRange<Int>) throws(MalformedEvent) -> Int {
        guard let integer = try optionalInteger(name, bounds) else { throw bad(name, "is missing") }
        return integer
    }

    /// A number within bounds that may be missing. JSON has no words for NaN and infinity, and what is too
    /// large for a double is no JSON that is accepted.
    package func optionalNumber(
        _ name: String, _ bounds: ClosedRange<Double>
    ) throws(MalformedEvent) -> Double? {
        guard let value = value(name) else { return nil }
        guard let number = value.number else { throw bad(name, "is not a number") }
        guard bounds.contains(number) else {
            throw bad(name, "is not from \(bounds.lowerBound) to \(bounds.upperBound)")
        }
        return number
    }

    /// A number within bounds that must be there.
    package func number(_ name: String, _ bounds: ClosedRange<Double>) throws(MalformedEvent) -> Double {
        guard let number = try optionalNumber(name, bounds) else { throw bad(name, "is missing") }
        return number
    }

    /// A truth value that may be missing.
    package func optionalBool(_ name: String) throws(MalformedEvent) -> Bool? {
        guard let value = value(name) else { return nil }
        guard let flag = value.bool else { throw bad(name, "is neither true nor false") }
        return flag
    }

    /// A truth value that must be there.
    package func bool(_ name: String) throws(MalformedEvent) -> Bool {
        guard let flag = try optionalBool(name) else { throw bad(name, "is missing") }
        return flag
    }

    /// An array of strings; empty when missing.
    package func strings(_ name: String) throws(MalformedEvent) -> [String] {
        guard let value = value(name) else { return [] }
        guard let elements = value.array else { throw bad(name, "is not an array") }
        var strings: [String] = []
        for element in elements {
            guard let string = element.string else { throw bad(name, "holds something else than strings") }
            strings.append(string)
        }
        return strings
    }

    /// An array of strings that must be there.
    package func requiredStrings(_ name: String) throws(MalformedEvent) -> [String] {
        guard value(name) != nil else { throw bad(name, "is missing") }
        return try strings(name)
    }

    /// An object that must be there and holds nothing but strings, by their names.
    package func texts(_ name: String) throws(MalformedEvent) -> [String: String] {
        guard let members = value(name)?.members else { throw bad(name, "is missing or no object") }
        var texts: [String: String] = [:]
        for member in members {
            guard let text = member.value.string else {
                throw bad("\(name).\(member.name)", "is not a string")
            }
            texts[member.name] = text
        }
        return texts
    }

    /// One word of an enumeration, which must be there.
    package func choice<T: RawRepresentable>(_ name: String) throws(MalformedEvent) -> T
    where T.RawValue == String {
        let word = try string(name)
        guard let choice = T(rawValue: word) else { throw bad(name, "has the unknown value \(word)") }
        return choice
    }

    /// A time that must be there.
    package func time(_ name: String) throws(MalformedEvent) -> Timestamp {
        guard let time = Timestamp(rfc3339: try string(name)) else {
            throw bad(name, "is not an RFC 3339 time")
        }
        return time
    }

    /// An object that may be missing.
    package func optionalObject(_ name: String) throws(MalformedEvent) -> FieldReader? {
        guard let value = value(name) else { return nil }
        return try FieldReader(type: type, value, path: path.isEmpty ? name : "\(path).\(name)")
    }

    /// An object that must be there.
    package func object(_ name: String) throws(MalformedEvent) -> FieldReader {
        guard let object = try optionalObject(name) else { throw bad(name, "is missing") }
        return object
    }
}
