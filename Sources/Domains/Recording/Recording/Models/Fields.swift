internal import Base
internal import EventSourcing
internal import ReadModels

/// A model whose fields are described once. From that follow its form in events, documents, responses and
/// requests, its rules, and which fields two of them differ in.
protocol Described {
    /// Goes through the fields, in the order in which they are written.
    mutating func describe<Visitor: FieldVisitor>(_ fields: inout Visitor) throws(Visitor.Failure)
}

/// What a text may hold.
enum TextRule {
    /// One line of so many characters.
    case line(ClosedRange<Int>)
    /// Lines with so many characters together.
    case lines(ClosedRange<Int>)
    /// One of these words.
    case word([String])
    /// What a function judges.
    case checked((_ field: String, _ text: String, _ rules: inout Rules) -> Void)
}

/// What a value is when nobody gives one.
enum Absence {
    /// There is no value, and whoever has one may take it away.
    case empty
    /// Nobody has stated it. It has a default, and can't be taken away.
    case unstated
}

/// Goes through fields: writes, reads or judges them. Rules are asked for by whoever needs them alone.
protocol FieldVisitor {
    associatedtype Failure: Error
    mutating func text(
        _ name: StaticString, _ value: inout String, _ rule: @autoclosure () -> TextRule
    ) throws(Failure)
    mutating func text(
        _ name: StaticString, _ value: inout String?, _ absence: Absence, _ rule: @autoclosure () -> TextRule
    ) throws(Failure)
    mutating func texts(
        _ name: StaticString, _ value: inout [String],
        _ check: (_ field: String, _ texts: [String], _ rules: inout Rules) -> Void
    ) throws(Failure)
    mutating func count(
        _ name: StaticString, _ value: inout Int, _ bounds: ClosedRange<Int>
    ) throws(Failure)
    mutating func count(
        _ name: StaticString, _ value: inout Int?, _ absence: Absence, _ bounds: ClosedRange<Int>
    ) throws(Failure)
    mutating func flag(_ name: StaticString, _ value: inout Bool) throws(Failure)
    mutating func flag(_ name: StaticString, _ value: inout Bool?, _ absence: Absence) throws(Failure)
}

// MARK: Events and responses

/// Writes members of an event or of a response.
private struct MemberWriter: FieldVisitor {
    var json: JSONWriter
    /// Whether what has no value is there, and null; else it is left out.
    let showsNull: Bool

    mutating func text(_ name: StaticString, _ value: inout String, _: @autoclosure () -> TextRule) {
        json.member(name, value)
    }
    mutating func text(
        _ name: StaticString, _ value: inout String?, _: Absence, _: @autoclosure () -> TextRule
    ) { if showsNull { json.nullable(name, value) } else { json.member(name, value) } }
    mutating func texts(
        _ name: StaticString, _ value: inout [String], _: (String, [String], inout Rules) -> Void
    ) { json.member(name, value) }
    mutating func count(_ name: StaticString, _ value: inout Int, _: ClosedRange<Int>) {
        json.member(name, value)
    }
    mutating func count(_ name: StaticString, _ value: inout Int?, _: Absence, _: ClosedRange<Int>) {
        if showsNull { json.nullable(name, value) } else { json.member(name, value) }
    }
    mutating func flag(_ name: StaticString, _ value: inout Bool) { json.member(name, value) }
    mutating func flag(_ name: StaticString, _ value: inout Bool?, _: Absence) {
        if showsNull { json.nullable(name, value) } else { json.member(name, value) }
    }
}

/// Reads members of an event.
private struct EventFields: FieldVisitor {
    let json: FieldReader
    /// Whether all is stated that has a default.
    let isWhole: Bool

    private func require(_ name: StaticString, _ absence: Absence) throws(MalformedEvent) {
        if isWhole, absence == .unstated { try json.require(["\(name)"]) }
    }

    mutating func text(
        _ name: StaticString, _ value: inout String, _: @autoclosure () -> TextRule
    ) throws(MalformedEvent) { value = try json.string("\(name)") }
    mutating func text(
        _ name: StaticString, _ value: inout String?, _ absence: Absence, _: @autoclosure () -> TextRule
    ) throws(MalformedEvent) {
        try require(name, absence)
        value = try json.optionalString("\(name)")
    }
    mutating func texts(
        _ name: StaticString, _ value: inout [String], _: (String, [String], inout Rules) -> Void
    ) throws(MalformedEvent) { value = try json.strings("\(name)") }
    mutating func count(
        _ name: StaticString, _ value: inout Int, _ bounds: ClosedRange<Int>
    ) throws(MalformedEvent) { value = try json.integer("\(name)", bounds) }
    mutating func count(
        _ name: StaticString, _ value: inout Int?, _ absence: Absence, _ bounds: ClosedRange<Int>
    ) throws(MalformedEvent) {
        try require(name, absence)
        value = try json.optionalInteger("\(name)", bounds)
    }
    mutating func flag(_ name: StaticString, _ value: inout Bool) throws(MalformedEvent) {
        value = try json.bool("\(name)")
    }
    mutating func flag(
        _ name: StaticString, _ value: inout Bool?, _ absence: Absence
    ) throws(MalformedEvent) {
        try require(name, absence)
        value = try json.optionalBool("\(name)")
    }
}

// MARK: Documents

/// Writes fields of a document: what has no value is there, and null.
private struct DocumentWriter: FieldVisitor {
    var builder: BSONBuilder

    mutating func text(_ name: StaticString, _ value: inout String, _: @autoclosure () -> TextRule) {
        builder.append(name, text: value)
    }
    mutating func text(
        _ name: StaticString, _ value: inout String?, _: Absence, _: @autoclosure () -> TextRule
    ) { builder.append(name, text: value) }
    mutating func texts(
        _ name: StaticString, _ value: inout [String], _: (String, [String], inout Rules) -> Void
    ) { builder.append("\(name)", array: value) }
    mutating func count(_ name: StaticString, _ value: inout Int, _: ClosedRange<Int>) {
        builder.append(name, count: value)
    }
    mutating func count(_ name: StaticString, _ value: inout Int?, _: Absence, _: ClosedRange<Int>) {
        builder.append(name, count: value)
    }
    mutating func flag(_ name: StaticString, _ value: inout Bool) { builder.append(name, flag: value) }
    mutating func flag(_ name: StaticString, _ value: inout Bool?, _: Absence) {
        builder.append(name, flag: value)
    }
}

/// Reads fields of a document.
private struct DocumentFields: FieldVisitor {
    let fields: BSONFields

    mutating func text(
        _ name: StaticString, _ value: inout String, _: @autoclosure () -> TextRule
    ) throws(BSONError) { value = try fields.string("\(name)") }
    mutating func text(
        _ name: StaticString, _ value: inout String?, _: Absence, _: @autoclosure () -> TextRule
    ) throws(BSONError) { value = try fields.optionalString("\(name)") }
    mutating func texts(
        _ name: StaticString, _ value: inout [String], _: (String, [String], inout Rules) -> Void
    ) throws(BSONError) { value = try fields.strings("\(name)") }
    mutating func count(
        _ name: StaticString, _ value: inout Int, _ bounds: ClosedRange<Int>
    ) throws(BSONError) { value = try fields.count("\(name)", bounds) }
    mutating func count(
        _ name: StaticString, _ value: inout Int?, _: Absence, _ bounds: ClosedRange<Int>
    ) throws(BSONError) { value = try fields.optionalCount("\(name)", bounds) }
    mutating func flag(_ name: StaticString, _ value: inout Bool) throws(BSONError) {
        value = try fields.bool("\(name)")
    }
    mutating func flag(_ name: StaticString, _ value: inout Bool?, _: Absence) throws(BSONError) {
        value = try fields.optionalBool("\(name)")
    }
}

// MARK: Requests

/// Reads fields that somebody sent.
private struct RequestFields: FieldVisitor {
    var reader: RequestReader

    mutating func text(_ name: StaticString, _ value: inout String, _: @autoclosure () -> TextRule) {
        reader.read("\(name)", into: &value)
    }
    mutating func text(
        _ name: StaticString, _ value: inout String?, _ absence: Absence, _: @autoclosure () -> TextRule
    ) {
        switch absence {
        case .empty: reader.read("\(name)", into: &value)
        case .unstated: reader.read("\(name)", stating: &value)
        }
    }
    mutating func texts(
        _ name: StaticString, _ value: inout [String], _: (String, [String], inout Rules) -> Void
    ) { reader.read("\(name)", into: &value) }
    mutating func count(_ name: StaticString, _ value: inout Int, _: ClosedRange<Int>) {
        reader.read("\(name)", into: &value)
    }
    mutating func count(
        _ name: StaticString, _ value: inout Int?, _ absence: Absence, _: ClosedRange<Int>
    ) {
        switch absence {
        case .empty: reader.read("\(name)", into: &value)
        case .unstated: reader.read("\(name)", stating: &value)
        }
    }
    mutating func flag(_ name: StaticString, _ value: inout Bool) { reader.read("\(name)", into: &value) }
    mutating func flag(_ name: StaticString, _ value: inout Bool?, _: Absence) {
        reader.read("\(name)", stating: &value)
    }
}

/// Judges fields by their rules.
private struct RuleChecker: FieldVisitor {
    var rules: Rules

    private mutating func check(_ name: StaticString, _ text: String?, _ rule: TextRule) {
        switch rule {
        case .line(let range): rules.length("\(name)", text, range)
        case .lines(let range): rules.lines("\(name)", text, range)
        case .word(let words): rules.oneOf("\(name)", text, words)
        case .checked(let check): if let text { check("\(name)", text, &rules) }
        }
    }

    mutating func text(_ name: StaticString, _ value: inout String, _ rule: @autoclosure () -> TextRule) {
        check(name, value, rule())
    }
    mutating func text(
        _ name: StaticString, _ value: inout String?, _: Absence, _ rule: @autoclosure () -> TextRule
    ) { check(name, value, rule()) }
    mutating func texts(
        _ name: StaticString, _ value: inout [String], _ check: (String, [String], inout Rules) -> Void
    ) { check("\(name)", value, &rules) }
    mutating func count(_ name: StaticString, _ value: inout Int, _ bounds: ClosedRange<Int>) {
        rules.range("\(name)", value, bounds)
    }
    mutating func count(_ name: StaticString, _ value: inout Int?, _: Absence, _ bounds: ClosedRange<Int>) {
        rules.range("\(name)", value, bounds)
    }
    mutating func flag(_: StaticString, _: inout Bool) {}
    mutating func flag(_: StaticString, _: inout Bool?, _: Absence) {}
}

// MARK: Defaults

/// Takes the values of fields that have a default, in their order, or puts them in where there is none.
private struct Defaults: FieldVisitor {
    private enum Value {
        case text(String?)
        case count(Int?)
        case flag(Bool?)
    }

    private var values: [Value] = []
    private var next = 0
    /// Whether values are put in; else they are taken.
    var isFilling = false

    private mutating func exchange<T>(
        _ value: inout T?, _ absence: Absence, _ wrap: (T?) -> Value, _ unwrap: (Value) -> T?
    ) {
        guard absence == .unstated else { return }
        if isFilling {
            value = value ?? unwrap(values[next])
            next += 1
        } else {
            values.append(wrap(value))
        }
    }

    mutating func text(_: StaticString, _: inout String, _: @autoclosure () -> TextRule) {}
    mutating func text(
        _: StaticString, _ value: inout String?, _ absence: Absence, _: @autoclosure () -> TextRule
    ) { exchange(&value, absence, Value.text) { if case .text(let text) = $0 { text } else { nil } } }
    mutating func texts(
        _: StaticString, _: inout [String], _: (String, [String], inout Rules) -> Void
    ) {}
    mutating func count(_: StaticString, _: inout Int, _: ClosedRange<Int>) {}
    mutating func count(_: StaticString, _ value: inout Int?, _ absence: Absence, _: ClosedRange<Int>) {
        exchange(&value, absence, Value.count) { if case .count(let count) = $0 { count } else { nil } }
    }
    mutating func flag(_: StaticString, _: inout Bool) {}
    mutating func flag(_: StaticString, _ value: inout Bool?, _ absence: Absence) {
        exchange(&value, absence, Value.flag) { if case .flag(let flag) = $0 { flag } else { nil } }
    }
}

/// Forgets what has a default.
private struct Unstating: FieldVisitor {
    mutating func text(_: StaticString, _: inout String, _: @autoclosure () -> TextRule) {}
    mutating func text(
        _: StaticString, _ value: inout String?, _ absence: Absence, _: @autoclosure () -> TextRule
    ) { if absence == .unstated { value = nil } }
    mutating func texts(_: StaticString, _: inout [String], _: (String, [String], inout Rules) -> Void) {}
    mutating func count(_: StaticString, _: inout Int, _: ClosedRange<Int>) {}
    mutating func count(_: StaticString, _ value: inout Int?, _ absence: Absence, _: ClosedRange<Int>) {
        if absence == .unstated { value = nil }
    }
    mutating func flag(_: StaticString, _: inout Bool) {}
    mutating func flag(_: StaticString, _ value: inout Bool?, _ absence: Absence) {
        if absence == .unstated { value = nil }
    }
}

// MARK: What follows

extension Described {
    /// Writes the members of an event.
    func encodeStated(_ json: inout JSONWriter) { encode(&json, showsNull: false) }

    /// Writes the members of a response.
    func encodeShown(_ json: inout JSONWriter) { encode(&json, showsNull: true) }

    private func encode(_ json: inout JSONWriter, showsNull: Bool) {
        var (copy, writer) = (self, MemberWriter(json: json, showsNull: showsNull))
        json = JSONWriter(reserving: 0)
        copy.describe(&writer)
        json = writer.json
    }

    /// Writes the fields of a document.
    func append(to builder: inout BSONBuilder) {
        var (copy, writer) = (self, DocumentWriter(builder: builder))
        builder = BSONBuilder.nothing
        copy.describe(&writer)
        builder = writer.builder
    }

    /// Reads the members of an event.
    /// - Parameter isWhole: whether everything is stated that has a default.
    mutating func read(_ json: FieldReader, isWhole: Bool) throws(MalformedEvent) {
        var fields = EventFields(json: json, isWhole: isWhole)
        try describe(&fields)
    }

    /// Reads the fields of a document.
    mutating func read(_ document: BSONFields) throws(BSONError) {
        var fields = DocumentFields(fields: document)
        try describe(&fields)
    }

    /// Takes over what somebody sent.
    mutating func read(request reader: inout RequestReader) {
        var fields = RequestFields(reader: reader)
        describe(&fields)
        reader = fields.reader
    }

    /// Every rule that is broken.
    /// - Parameter prefix: the name of the object.
    func brokenRules(of prefix: String) -> [Violation] {
        var (copy, checker) = (self, RuleChecker(rules: Rules(prefix)))
        copy.describe(&checker)
        return checker.rules.violations
    }

    /// With the values of `defaults` where nothing was stated.
    func filled(from defaults: Self) -> Self {
        var (copy, from, values) = (self, defaults, Defaults())
        from.describe(&values)
        values.isFilling = true
        copy.describe(&values)
        return copy
    }

    /// Without anything that has a default.
    var unstated: Self {
        var (copy, visitor) = (self, Unstating())
        copy.describe(&visitor)
        return copy
    }
}
