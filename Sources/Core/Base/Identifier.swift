/// What an id may look like, from outside or as a part of a path: `^[a-zA-Z0-9_-]{1,100}$`. No separator and
/// no dot, so no way out of a folder.
package enum Identifier {
    /// The rule, for whoever breaks it.
    package static let rule = "must have 1 to 100 letters, digits, hyphens and underscores"

    /// Longest id, in characters.
    package static let maximumLength = 100

    /// Whether `text` may be an id.
    package static func isValid(_ text: String) -> Bool {
        (1...maximumLength).contains(text.utf8.count) && text.utf8.allSatisfy(isAllowed)
    }

    /// Whether a byte may stand in an id.
    package static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x5F: true
        default: false
        }
    }
}
