internal import EventSourcing

// Fields in the domain's own types.

extension BSONFields {
    func time(_ key: String) throws(BSONError) -> Timestamp {
        Timestamp(milliseconds: try date_ms(key))
    }

    func optionalTime(_ key: String) throws(BSONError) -> Timestamp? {
        isNull(key) ? nil : try time(key)
    }

    /// A whole number that is not negative.
    func count(_ key: String) throws(BSONError) -> Int {
        let value = try int(key)
        guard value >= 0 else { throw .field(key) }
        return Int(value)
    }

    func choice<Choice: RawRepresentable>(_ key: String) throws(BSONError) -> Choice
    where Choice.RawValue == String {
        guard let choice = Choice(rawValue: try string(key)) else { throw .field(key) }
        return choice
    }

    func position(_ key: String) throws(BSONError) -> LogPosition {
        guard let position = LogPosition(try string(key)) else { throw .field(key) }
        return position
    }
}
