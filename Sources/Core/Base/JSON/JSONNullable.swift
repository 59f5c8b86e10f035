// Members that are there whatever they hold.
extension JSONWriter {
    /// A member with text, null when there is none.
    package mutating func nullable(_ name: StaticString, _ text: String?) {
        key(name)
        if let text { value(text) } else { null() }
    }

    /// A member with a time, null when there is none.
    package mutating func nullable(_ name: StaticString, _ time: Timestamp?) {
        key(name)
        if let time { value(time) } else { null() }
    }

    /// A member with a number, null when there is none.
    package mutating func nullable(_ name: StaticString, _ number: Double?) {
        key(name)
        if let number { value(number) } else { null() }
    }

    /// A member with a whole number, null when there is none.
    package mutating func nullable(_ name: StaticString, _ number: Int?) {
        key(name)
        if let number { value(number) } else { null() }
    }

    /// A member with a truth value, null when there is none.
    package mutating func nullable(_ name: StaticString, _ flag: Bool?) {
        key(name)
        if let flag { value(flag) } else { null() }
    }

    /// A member with an object, null when there is none.
    package mutating func nullable(_ name: StaticString, object body: ((inout JSONWriter) -> Void)?) {
        key(name)
        if let body { object(body) } else { null() }
    }
}
