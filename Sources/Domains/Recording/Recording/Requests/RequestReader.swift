package import Base
internal import EventSourcing

/// Reads one object that somebody sent, and gathers every field that breaks a rule. Never throws: what a
/// field holds that it may not hold is a violation, and the field keeps the value that it had.
///
/// What is taken for what, once for all requests:
/// - A **whole number** is a JSON number without a fraction: `30`, `30.0` and `3e1` alike, as JSON Schema has
///   it. One that is too large for 64 bits counts as the largest, so that its field's range refuses it.
/// - A **truth value** is `true` or `false`; a **text** is a string. Nothing is converted: not `"30"`, not
/// `1`.
/// - **Absent** leaves a field as it was: at its default, or in a change as it is. **null** empties a field
///   that may be empty, and is refused elsewhere.
/// - A field that nobody knows is refused, so that a typing error does not pass for a default.
/// - NaN and infinities are no JSON, and numbers beyond a double are refused with the whole text.
package struct RequestReader {
    /// The most violations that one request lists.
    package static let maximumViolations = 100

    /// What is wrong so far.
    package private(set) var violations: [Violation] = []
    private var unread: [JSONValue.Member] = []
    private let prefix: String

    /// A reader of a whole body, or of the object at `path`.
    package init(_ json: JSONValue, path: String = "") {
        prefix = path.isEmpty ? "" : path + "."
        if case .object(let members) = json {
            unread = members
        } else {
            isNoObject = true
            violations = [Violation(path.isEmpty ? "body" : path, "must be an object")]
        }
    }

    /// Whether it was no object at all; then nothing else is worth saying of it.
    package private(set) var isNoObject = false

    /// Takes a member out; what is left at the end is unknown.
    private mutating func take(_ name: String) -> JSONValue? {
        guard let place = unread.firstIndex(where: { $0.name == name }) else { return nil }
        return unread.remove(at: place).value
    }

    mutating func refuse(_ name: String, _ rule: String) {
        violations.append(Violation(prefix + name, rule))
    }

    /// Takes a member that must not be null; nil when it is absent or null.
    private mutating func present(_ name: String, required: Bool) -> JSONValue? {
        guard let value = take(name) else {
            if required { refuse(name, "is required") }
            return nil
        }
        if value.isNull {
            refuse(name, "must not be null")
            return nil
        }
        return value
    }

    private mutating func text(_ name: String, required: Bool = false) -> String? {
        guard let value = present(name, required: required) else { return nil }
        if value.string == nil { refuse(name, "must be a string") }
        return value.string
    }

    private mutating func integer(_ name: String, required: Bool = false) -> Int? {
        guard let value = present(name, required: required) else { return nil }
        let whole = Self.whole(value)
        if whole == nil { refuse(name, "must be a whole number") }
        return whole
    }

    private mutating func flag(_ name: String) -> Bool? {
        guard let value = present(name, required: false) else { return nil }
        if value.bool == nil { refuse(name, "must be true or false") }
        return value.bool
    }

    /// A text.
    package mutating func read(_ name: String, into text: inout String, required: Bool = false) {
        if let given = self.text(name, required: required) { text = given }
    }

    /// A text that need not have been stated before, and that null does not empty.
    package mutating func read(_ name: String, stating text: inout String?, required: Bool = false) {
        if let given = self.text(name, required: required) { text = given }
    }

    /// A text, or none.
    package mutating func read(_ name: String, into text: inout String?) {
        guard let value = take(name) else { return }
        if value.isNull {
            text = nil
        } else if let string = value.string {
            text = string
        } else {
            refuse(name, "must be a string or null")
        }
    }

    /// A whole number.
    package mutating func read(_ name: String, into integer: inout Int, required: Bool = false) {
        if let given = self.integer(name, required: required) { integer = given }
    }

    /// A whole number that need not have been stated before, and that null does not empty.
    package mutating func read(_ name: String, stating integer: inout Int?) {
        if let given = self.integer(name) { integer = given }
    }

    /// A whole number, or none.
    package mutating func read(_ name: String, into integer: inout Int?) {
        guard let value = take(name) else { return }
        if value.isNull {
            integer = nil
        } else if let whole = Self.whole(value) {
            integer = whole
        } else {
            refuse(name, "must be a whole number or null")
        }
    }

    /// A truth value.
    package mutating func read(_ name: String, into flag: inout Bool) {
        if let given = self.flag(name) { flag = given }
    }

    /// A truth value that need not have been stated before, and that null does not empty.
    package mutating func read(_ name: String, stating flag: inout Bool?) {
        if let given = self.flag(name) { flag = given }
    }

    /// A list of texts.
    package mutating func read(_ name: String, into texts: inout [String]) {
        guard let value = present(name, required: false) else { return }
        guard let elements = value.array else { return refuse(name, "must be an array of strings") }
        var strings: [String] = []
        for (place, element) in elements.prefix(RequestReader.maximumViolations).enumerated() {
            if let string = element.string {
                strings.append(string)
            } else {
                refuse("\(name).\(place)", "must be a string")
            }
        }
        // Longer lists than any that is allowed are cut, and stay too long.
        texts = strings
    }

    /// An object within; nil when it is absent, or null where that says the same.
    package mutating func object(_ name: String, required: Bool = false, nullable: Bool = false) -> JSONValue?
    {
        guard let value = take(name) else {
            if required { refuse(name, "is required") }
            return nil
        }
        if value.isNull {
            if !nullable { refuse(name, "must not be null") }
            return nil
        }
        return value
    }

    /// Everything that is wrong, unknown members and the rules of what was read included.
    ///
    /// A field whose value could not be taken is not judged a second time by the value it kept.
    package mutating func finish(_ rules: [Violation] = []) -> [Violation] {
        for member in unread { refuse(Self.shortened(member.name), "is not a field of this request") }
        unread = []
        let broken = Set(violations.map(\.field))
        let all = violations + rules.filter { !broken.contains($0.field) }
        return Array(all.prefix(Self.maximumViolations))
    }

    private static func whole(_ value: JSONValue) -> Int? {
        switch value {
        case .integer(let integer): return Int(integer)
        case .number(let number):
            guard number == number.rounded() else { return nil }
            return Int(exactly: number) ?? (number < 0 ? .min : .max)
        default: return nil
        }
    }

    /// A name that a stranger chose, short enough to be shown to somebody.
    static func shortened(_ name: String) -> String {
        name.unicodeScalars.count <= 64
            ? name : String(String.UnicodeScalarView(name.unicodeScalars.prefix(64))) + "…"
    }
}

/// Why a request was not understood.
package enum RequestFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// More bytes than any request of its kind has.
    case tooLarge(bytes: Int, most: Int)
    /// No JSON text.
    case malformed(JSONError)
    /// Fields that break rules; all of them, as far as there is room.
    case invalid([Violation])

    /// What happened, in a sentence; holds no value that was sent.
    package var description: String {
        switch self {
        case .tooLarge(let bytes, let most): "the body has \(bytes) bytes, at most \(most) are allowed"
        case .malformed(let error): "the body is no JSON that is accepted: \(error)"
        case .invalid(let violations): violations.map(\.description).joined(separator: "; ")
        }
    }

    /// The fields and their rules, where that is what is wrong.
    package var violations: [Violation] {
        if case .invalid(let violations) = self { violations } else { [] }
    }
}

/// What a client sends as a JSON object.
package protocol RequestBody: Sendable {
    /// Reads the object; the violations that come with it are all that is wrong.
    static func read(_ json: JSONValue) -> (Self, [Violation])
}

extension RequestBody {
    /// The most bytes that a body may have. The largest lawful one, with every character escaped, has less.
    package static var maximumBytes: Int { 64 * 1024 }

    /// Reads a body.
    package init(json bytes: [UInt8]) throws(RequestFailure) {
        guard bytes.count <= Self.maximumBytes else {
            throw .tooLarge(bytes: bytes.count, most: Self.maximumBytes)
        }
        let json: JSONValue
        do { json = try JSONValue(parsing: bytes, maximumDepth: 8) } catch {
            // The text may hold a name of any length.
            var shown = error
            shown.text = RequestReader.shortened(error.text)
            throw .malformed(shown)
        }
        let (request, violations) = Self.read(json)
        guard violations.isEmpty else { throw .invalid(violations) }
        self = request
    }
}
