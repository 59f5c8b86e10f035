internal import Base
internal import EventSourcing

/// One rule that one field breaks.
package struct Violation: Sendable, Hashable, CustomStringConvertible {
    /// Path of the field: `recording_config.frame_rate`.
    package var field: String
    /// The rule: `must be between 1 and 120`.
    package var rule: String
    package init(_ field: String, _ rule: String) {
        self.field = field
        self.rule = rule
    }

    /// `field rule`.
    package var description: String { "\(field) \(rule)" }
}

/// Gathers every violation of a model, not the first alone.
struct Rules {
    private(set) var violations: [Violation] = []
    let prefix: String

    init(_ prefix: String = "") { self.prefix = prefix.isEmpty ? "" : prefix + "." }

    /// A text in one line: its length in code points, and no control character.
    mutating func length(_ field: String, _ value: String?, _ range: ClosedRange<Int>) {
        guard let value, isWithin(field, value, range) else { return }
        require(field, value.isOneLine, "must have no control characters")
    }

    /// A text of several lines: its length in code points, and no control character but tabs and line ends.
    mutating func lines(_ field: String, _ value: String?, _ range: ClosedRange<Int>) {
        guard let value, isWithin(field, value, range) else { return }
        require(field, value.isLines, "must have no control characters but tabs and line ends")
    }

    private mutating func isWithin(_ field: String, _ value: String, _ range: ClosedRange<Int>) -> Bool {
        if range.contains(value.unicodeScalars.count) { return true }
        let rule =
            range.lowerBound == 0
            ? "must have at most \(range.upperBound) characters"
            : "must have \(range.lowerBound) to \(range.upperBound) characters"
        violations.append(Violation(prefix + field, rule))
        return false
    }

    mutating func range<T: Comparable>(_ field: String, _ value: T?, _ range: ClosedRange<T>) {
        guard let value, !range.contains(value) else { return }
        violations.append(
            Violation(prefix + field, "must be between \(range.lowerBound) and \(range.upperBound)"))
    }

    mutating func oneOf(_ field: String, _ value: String?, _ allowed: [String]) {
        guard let value, !allowed.contains(value) else { return }
        violations.append(
            Violation(prefix + field, "must be one of: \(allowed.joined(separator: ", "))"))
    }

    mutating func require(_ field: String, _ holds: Bool, _ rule: String) {
        if !holds { violations.append(Violation(prefix + field, rule)) }
    }
}

/// What an id from outside may look like: `^[a-zA-Z0-9_-]+$`, 1 to 100 characters.
package enum Identifier {
    static let rule = "must have 1 to 100 letters, digits, hyphens and underscores"

    /// Whether `text` may be an id.
    package static func isValid(_ text: String) -> Bool {
        (1...100).contains(text.utf8.count) && text.utf8.allSatisfy(isAllowed)
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x5F: true
        default: false
        }
    }
}
