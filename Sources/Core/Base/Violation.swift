/// One rule that one field breaks.
package struct Violation: Sendable, Hashable, CustomStringConvertible {
    /// Path of the field: `limits.frame_rate`.
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
