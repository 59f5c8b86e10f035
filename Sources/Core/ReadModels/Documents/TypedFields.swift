package import Base
package import EventSourcing

// Fields in the domain's own types. Documents that somebody else has written may hold anything: a number
// beyond the bounds of its field is no such field, and the document none of ours.

extension BSONFields {
    /// A date that is a lawful time.
    package func time(_ key: String) throws(BSONError) -> Timestamp {
        guard let time = Timestamp(exactly: try date_ms(key)) else { throw .field(key) }
        return time
    }

    /// A time, absent where it is unknown.
    package func optionalTime(_ key: String) throws(BSONError) -> Timestamp? {
        isNull(key) ? nil : try time(key)
    }

    /// A whole number within bounds; not negative where none are given.
    package func count(_ key: String, _ bounds: ClosedRange<Int> = 0...Int.max) throws(BSONError) -> Int {
        guard let value = Int(exactly: try int(key)), bounds.contains(value) else { throw .field(key) }
        return value
    }

    /// A whole number within bounds, absent where it is unknown.
    package func optionalCount(_ key: String, _ bounds: ClosedRange<Int>) throws(BSONError) -> Int? {
        isNull(key) ? nil : try count(key, bounds)
    }

    /// A number within bounds; where none are given, one that is finite and not negative.
    package func amount(
        _ key: String, _ bounds: ClosedRange<Double> = 0 ... .greatestFiniteMagnitude
    ) throws(BSONError) -> Double {
        let value = try double(key)
        guard bounds.contains(value) else { throw .field(key) }
        return value
    }

    /// A number within bounds, absent where it is unknown.
    package func optionalAmount(
        _ key: String, _ bounds: ClosedRange<Double> = 0 ... .greatestFiniteMagnitude
    ) throws(BSONError) -> Double? {
        isNull(key) ? nil : try amount(key, bounds)
    }

    /// A truth value, absent where it is unknown.
    package func optionalBool(_ key: String) throws(BSONError) -> Bool? {
        isNull(key) ? nil : try bool(key)
    }

    /// A sum that the server made: one of integers that does not fit 64 bits comes as a double.
    package func sum(_ key: String) throws(BSONError) -> Int {
        if case .double(let value) = self[key] { return max(0, Int(saturating: value)) }
        return max(0, Int(clamping: try int(key)))
    }

    /// One of a fixed set of texts.
    package func choice<Choice: RawRepresentable>(_ key: String) throws(BSONError) -> Choice
    where Choice.RawValue == String {
        guard let choice = Choice(rawValue: try string(key)) else { throw .field(key) }
        return choice
    }

    /// A place in the log.
    package func position(_ key: String) throws(BSONError) -> LogPosition {
        guard let position = LogPosition(try string(key)) else { throw .field(key) }
        return position
    }
}
