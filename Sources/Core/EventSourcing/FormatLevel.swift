/// Which versions of events may be written to a log. A build reads everything up to its own newest level; a
/// log is at the level that all live processes read, so that processes of two builds run side by side.
///
/// Which version of a type belongs to which level, and which types are new at one, its domain says
/// (`Event.version(at:)`).
package struct FormatLevel: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// From 1.
    package let number: Int

    /// The level of logs and builds that know of no levels.
    package static let first = FormatLevel(uncheckedNumber: 1)
    /// What this build reads, and writes once every live process reads it.
    package static let newest = FormatLevel(uncheckedNumber: 2)

    private init(uncheckedNumber number: Int) { self.number = number }

    /// Nil below 1.
    package init?(_ number: Int) {
        guard number >= 1 else { return nil }
        self.init(uncheckedNumber: number)
    }

    /// Reads what `description` writes; a mark of a build that knows of no levels is `1`.
    package init?(_ text: String) {
        guard let number = Int(text) else { return nil }
        self.init(number)
    }

    /// The number alone.
    package var description: String { "\(number)" }

    /// An earlier level comes first.
    package static func < (a: FormatLevel, b: FormatLevel) -> Bool { a.number < b.number }
}

extension LogFailure {
    /// The failure of an append whose event is not known at the log's level.
    package static func beyondLevel(_ level: FormatLevel, type: String) -> LogFailure {
        LogFailure(
            .levelTooLow, operation: "append", key: type,
            text:
                "the log is at format level \(level), because a process of an earlier version is running or "
                + "ended a moment ago; 'reel status' names it. \(type) can be written when all have been upgraded"
        )
    }
}
