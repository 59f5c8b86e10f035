import Console
import EventSourcing
import Pipeline

/// The log of a running system: lines on standard error.
struct Log: Sendable {
    let level: LogLevel
    let service: String

    func callAsFunction(
        _ level: LogLevel, _ role: String, _ message: String, _ fields: [(String, String)] = []
    ) {
        guard level >= self.level else { return }
        let line = LogLine(
            time: SystemClock().now().rfc3339, level: level, role: "\(service)/\(role)", message, fields)
        Output.error(line.description)
    }

    /// The log of one role.
    func role(_ name: String) -> RoleLog {
        RoleLog { level, text in
            self(LogLevel(rawValue: level.rawValue) ?? .info, name, text)
        }
    }
}
