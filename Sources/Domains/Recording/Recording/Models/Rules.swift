internal import Base
internal import EventSourcing

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
