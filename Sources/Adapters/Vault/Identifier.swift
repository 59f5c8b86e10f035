internal import Base

/// The rule for every id that becomes part of a path, a header or a key's associated data.
package enum Identifier {
    /// Longest id, in characters.
    package static let maximumLength = 100

    /// True when `text` matches `^[a-zA-Z0-9_-]{1,100}$`: no separator, no dot, so no way out of a folder.
    package static func isValid(_ text: String) -> Bool {
        let characters = text.utf8
        return (1...maximumLength).contains(characters.count) && characters.allSatisfy(isAllowed)
    }

    static func isAllowed(_ character: UInt8) -> Bool {
        switch character {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    /// `count` random bytes as hexadecimal digits behind a prefix.
    static func random(prefix: String, bytes count: Int) -> String {
        prefix + Hexadecimal.text(FileCalls.watcher?.randomBytes(count) ?? Sodium.randomBytes(count))
    }
}
