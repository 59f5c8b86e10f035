/// Where a role tells operators what it does: one line each, never with secrets.
public struct RoleLog: Sendable {
    /// How urgent a line is.
    public enum Level: String, Sendable {
        case debug, info, warning, error
    }

    private let write: @Sendable (Level, String) -> Void

    /// A log that hands each line to `write`.
    public init(_ write: @escaping @Sendable (Level, String) -> Void) { self.write = write }

    /// A log that keeps quiet.
    public static let silent = RoleLog { _, _ in }

    /// Writes one line.
    public func callAsFunction(_ level: Level, _ text: String) { write(level, text) }
}
