/// Writes JSON text into a buffer that its owner can use again; allocates nothing per value.
///
/// The caller decides order and nesting; the writer takes care of commas, quotes and escapes.
package struct JSONWriter: Sendable {
    /// The text so far, UTF-8.
    package private(set) var bytes: [UInt8] = []
    private var needsComma = false

    /// An empty writer.
    package init(reserving capacity: Int = 512) { bytes.reserveCapacity(capacity) }

    /// Forgets the text and keeps the memory.
    package mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        needsComma = false
    }

    /// The text as a string.
    package var text: String { String(decoding: bytes, as: UTF8.self) }

    private mutating func separate() {
        if needsComma { bytes.append(0x2C) }
    }

    /// An object whose members `body` writes.
    package mutating func object(_ body: (inout JSONWriter) -> Void) { nest(0x7B, 0x7D, body) }

    /// An array whose elements `body` writes.
    package mutating func array(_ body: (inout JSONWriter) -> Void) { nest(0x5B, 0x5D, body) }

    private mutating func nest(_ open: UInt8, _ close: UInt8, _ body: (inout JSONWriter) -> Void) {
        separate()
        bytes.append(open)
        needsComma = false
        body(&self)
        bytes.append(close)
        needsComma = true
    }

    /// The name of the member whose value comes next.
    package mutating func key(_ name: StaticString) {
        separate()
        bytes.append(0x22)
        name.withUTF8Buffer { bytes.append(contentsOf: $0) }
        bytes.append(0x22)
        bytes.append(0x3A)
        needsComma = false
    }

    /// The name of the member whose value comes next, when it is not known at compile time.
    package mutating func key(dynamic name: String) {
        separate()
        quoted(name)
        bytes.append(0x3A)
        needsComma = false
    }

    /// A string.
    package mutating func value(_ string: String) {
        separate()
        quoted(string)
        needsComma = true
    }

    /// An integer.
    package mutating func value(_ integer: some BinaryInteger) {
        separate()
        bytes.append(contentsOf: String(integer).utf8)
        needsComma = true
    }

    /// A number; infinities and NaN, which JSON has no words for, become null.
    package mutating func value(_ number: Double) {
        separate()
        if !number.isFinite {
            bytes.append(contentsOf: "null".utf8)
        } else if number == number.rounded(), abs(number) < 1e15 {
            bytes.append(contentsOf: String(Int64(number)).utf8)
        } else {
            bytes.append(contentsOf: "\(number)".utf8)
        }
        needsComma = true
    }

    /// true or false.
    package mutating func value(_ flag: Bool) {
        separate()
        bytes.append(contentsOf: (flag ? "true" : "false").utf8)
        needsComma = true
    }

    /// null.
    package mutating func null() {
        separate()
        bytes.append(contentsOf: "null".utf8)
        needsComma = true
    }

    /// JSON text that is valid already.
    package mutating func raw(_ json: some Sequence<UInt8>) {
        separate()
        bytes.append(contentsOf: json)
        needsComma = true
    }

    /// A time as RFC 3339 text.
    package mutating func value(_ time: Timestamp) { value(time.rfc3339) }

    /// A member with a string.
    package mutating func member(_ name: StaticString, _ string: String) {
        key(name)
        value(string)
    }

    /// A member with a string, left out when there is none.
    package mutating func member(_ name: StaticString, _ string: String?) {
        if let string { member(name, string) }
    }

    /// A member with an integer.
    package mutating func member(_ name: StaticString, _ integer: some BinaryInteger) {
        key(name)
        value(integer)
    }

    /// A member with an integer, left out when there is none.
    package mutating func member(_ name: StaticString, _ integer: (some BinaryInteger)?) {
        if let integer { member(name, integer) }
    }

    /// A member with a number.
    package mutating func member(_ name: StaticString, _ number: Double) {
        key(name)
        value(number)
    }

    /// A member with a number, left out when there is none.
    package mutating func member(_ name: StaticString, _ number: Double?) {
        if let number { member(name, number) }
    }

    /// A member with a truth value.
    package mutating func member(_ name: StaticString, _ flag: Bool) {
        key(name)
        value(flag)
    }

    /// A member with a truth value, left out when there is none.
    package mutating func member(_ name: StaticString, _ flag: Bool?) {
        if let flag { member(name, flag) }
    }

    /// A member with a time.
    package mutating func member(_ name: StaticString, _ time: Timestamp) {
        key(name)
        value(time)
    }

    /// A member with a time, left out when there is none.
    package mutating func member(_ name: StaticString, _ time: Timestamp?) {
        if let time { member(name, time) }
    }

    /// A member with an array of strings.
    package mutating func member(_ name: StaticString, _ strings: [String]) {
        key(name)
        array { for string in strings { $0.value(string) } }
    }

    /// A member with an object.
    package mutating func member(_ name: StaticString, object body: (inout JSONWriter) -> Void) {
        key(name)
        object(body)
    }

    private mutating func quoted(_ string: String) {
        var string = string
        bytes.append(0x22)
        string.withUTF8 { utf8 in
            if utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x22 && $0 != 0x5C }) {
                bytes.append(contentsOf: utf8)
            } else {
                for byte in utf8 { escape(byte) }
            }
        }
        bytes.append(0x22)
    }

    /// The escapes of RFC 8785: the short ones where there are, `\u00xx` for other control characters.
    private mutating func escape(_ byte: UInt8) {
        let short: UInt8? =
            switch byte {
            case 0x22, 0x5C: byte
            case 0x08: 0x62
            case 0x09: 0x74
            case 0x0A: 0x6E
            case 0x0C: 0x66
            case 0x0D: 0x72
            default: nil
            }
        if let short {
            bytes.append(0x5C)
            bytes.append(short)
        } else if byte < 0x20 {
            bytes.append(contentsOf: "\\u00".utf8)
            Hexadecimal.append(byte, to: &bytes)
        } else {
            bytes.append(byte)
        }
    }
}
