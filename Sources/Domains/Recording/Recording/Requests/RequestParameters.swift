package import Access
internal import Base
internal import EventSourcing

/// The parameters of a request's query, percent-decoded, in their order: what they hold is read as text is,
/// and every one that breaks a rule is gathered.
///
/// Whole numbers are decimal digits, with a minus sign or without; `1.0` and `+1` are none. A parameter that
/// is given twice, and one that nobody knows, is refused. An empty one is there, and empty.
struct RequestParameters {
    private(set) var violations: [Violation] = []
    private var unread: [(name: String, value: String)]

    /// A reader of a query; one with more parameters than there are names for is refused.
    init(_ parameters: [(name: String, value: String)]) {
        unread = Array(parameters.prefix(RequestReader.maximumViolations))
        if unread.count < parameters.count {
            violations = [Violation("query", "must have at most \(unread.count) parameters")]
        }
    }

    mutating func refuse(_ name: String, _ rule: String) { violations.append(Violation(name, rule)) }

    /// A text; nil when it is absent.
    mutating func text(_ name: String) -> String? {
        let given = unread.filter { $0.name == name }
        unread.removeAll { $0.name == name }
        if given.count > 1 {
            refuse(name, "must be given once")
            return nil
        }
        return given.first?.value
    }

    /// A text of bounded length.
    mutating func text(_ name: String, lengths: ClosedRange<Int>) -> String? {
        guard let text = text(name) else { return nil }
        var rules = Rules()
        rules.length(name, text, lengths)
        violations += rules.violations
        return text
    }

    /// A whole number within bounds; `otherwise` when it is absent or refused.
    mutating func integer(_ name: String, _ range: ClosedRange<Int>, otherwise: Int) -> Int {
        integer(name, range) ?? otherwise
    }

    mutating func integer(_ name: String, _ range: ClosedRange<Int>) -> Int? {
        guard let text = text(name) else { return nil }
        let digits = text.utf8.first == 0x2D ? text.utf8.dropFirst() : text.utf8[...]
        guard !digits.isEmpty, digits.allSatisfy({ (0x30...0x39).contains($0) }) else {
            refuse(name, "must be a whole number")
            return nil
        }
        // Digits that make no 64-bit number make one beyond every range.
        let value = Int(text) ?? (text.utf8.first == 0x2D ? .min : .max)
        var rules = Rules()
        rules.range(name, value, range)
        violations += rules.violations
        return rules.violations.isEmpty ? value : nil
    }

    /// A number within bounds: digits with a fraction and an exponent or without, as in JSON.
    mutating func number(_ name: String, _ range: ClosedRange<Double>) -> Double? {
        guard let text = text(name) else { return nil }
        guard text.utf8.count <= 64, let json = try? JSONValue(parsing: Array(text.utf8)),
            let number = json.number
        else {
            refuse(name, "must be a number")
            return nil
        }
        var rules = Rules()
        rules.require(
            name, range.contains(number),
            "must be between \(range.lowerBound) and \(range.upperBound)")
        violations += rules.violations
        return rules.violations.isEmpty ? number : nil
    }

    /// A time (RFC 3339).
    mutating func time(_ name: String) -> Timestamp? {
        guard let text = text(name) else { return nil }
        guard let time = Timestamp(rfc3339: text) else {
            refuse(name, "must be a time such as 2026-01-31T23:59:59.123Z")
            return nil
        }
        return time
    }

    /// `true` or `false`.
    mutating func flag(_ name: String) -> Bool? {
        guard let text = text(name) else { return nil }
        if text == "true" || text == "false" { return text == "true" }
        refuse(name, "must be true or false")
        return nil
    }

    /// One word of an enumeration.
    mutating func choice<T: RawRepresentable & CaseIterable>(_ name: String) -> T?
    where T.RawValue == String {
        guard let text = text(name) else { return nil }
        if let choice = T(rawValue: text) { return choice }
        refuse(name, "must be one of: \(T.allCases.map(\.rawValue).joined(separator: ", "))")
        return nil
    }

    /// Ends reading: throws everything that is wrong.
    mutating func finish() throws(RequestFailure) {
        var unknown: Set<String> = []
        for item in unread where unknown.insert(item.name).inserted {
            refuse(RequestReader.shortened(item.name), "is not a parameter of this request")
        }
        unread = []
        guard violations.isEmpty else { throw .invalid(violations) }
    }
}

/// `GET /sessions`.
package struct SessionListQuery: Sendable, Hashable {
    /// Which sessions.
    package var filter = SessionFilter()
    /// The most sessions on the page, 1 to 100.
    package var limit = 50
    /// From where the page goes.
    package var start = ListStart.offset(0)

    /// The parameters `status`, `project`, `environment`, `tag`, `owner`, `held`, `case`, `limit`, `offset`
    /// and `cursor`.
    /// - Parameter audience: who asks (`Subject.audience`); nil when everything may be seen.
    package init(
        _ parameters: [(name: String, value: String)], seenBy audience: Audience?
    ) throws(RequestFailure) {
        var reader = RequestParameters(parameters)
        filter.audience = audience
        filter.status = reader.choice("status")
        filter.project = reader.text("project", lengths: 0...100)
        filter.environment = reader.text("environment", lengths: 0...50)
        filter.tag = reader.text("tag", lengths: 0...50)
        filter.owner = reader.text("owner", lengths: 0...100)
        filter.isHeld = reader.flag("held")
        filter.caseName = reader.text("case", lengths: CaseText.caseLengths)
        limit = reader.integer("limit", 1...100, otherwise: 50)
        start = ListStart(&reader, of: filter.listName)
        try reader.finish()
    }
}

/// `GET /sessions/{id}/chunks`.
package struct ChunkListQuery: Sendable, Hashable {
    /// Which chunks.
    package var filter = ChunkFilter()
    /// The most chunks on the page, 1 to 1000.
    package var limit = 100
    /// From where the page goes.
    package var start = ListStart.offset(0)

    /// The parameters `status`, `start_time`, `end_time`, `limit`, `offset` and `cursor`.
    package init(
        _ parameters: [(name: String, value: String)], ofSession sessionID: String
    ) throws(RequestFailure) {
        var reader = RequestParameters(parameters)
        filter.status = reader.choice("status")
        filter.from = reader.time("start_time")
        filter.to = reader.time("end_time")
        if let from = filter.from, let to = filter.to, to < from {
            reader.refuse("end_time", "must not be before start_time")
        }
        limit = reader.integer("limit", 1...1000, otherwise: 100)
        start = ListStart(&reader, of: filter.listName(ofSession: sessionID))
        try reader.finish()
    }
}

extension ListStart {
    /// Reads `offset` and `cursor`, of which one alone may be given.
    fileprivate init(_ reader: inout RequestParameters, of list: String) {
        let offset = reader.integer("offset", 0...Self.maximumOffset)
        self = .offset(offset ?? 0)
        guard let text = reader.text("cursor") else { return }
        if offset != nil {
            reader.refuse("cursor", "must not be given together with offset")
        } else if let cursor = ListCursor(text, of: list) {
            self = .after(cursor)
        } else {
            reader.refuse("cursor", "must be a next_cursor of the same list, with the same filters")
        }
    }
}
