/// Where a role tells operators what it does: one line each, never with secrets.
package struct RoleLog: Sendable {
    /// How urgent a line is.
    package enum Level: String, Sendable {
        case debug, info, warning, error
    }

    /// What keeps roles that tell here from working.
    package let outages: Outages
    private let write: @Sendable (Level, String) -> Void

    /// A log that hands each line to `write`.
    /// - Parameter outages: where roles note what keeps them from working; one of its own unless given.
    package init(
        outages: Outages = Outages(), _ write: @escaping @Sendable (Level, String) -> Void
    ) {
        self.outages = outages
        self.write = write
    }

    /// A log that keeps quiet.
    package static var silent: RoleLog { RoleLog { _, _ in } }

    /// Writes one line.
    package func callAsFunction(_ level: Level, _ text: String) { write(level, text) }
}
