import Engine
import Base
import Console
import Pipeline

/// The log of a running system: lines on standard error.
struct Log: Sendable {
    let level: LogLevel
    let service: String
    /// What keeps roles of this process from working.
    let outages = Outages()

    func callAsFunction(
        _ level: LogLevel, _ role: String, _ message: String, _ fields: [(String, String)] = []
    ) {
        write(level, "\(service)/\(role)", message, fields)
    }

    /// The log of the roles, whose lines begin with the role's name.
    var roles: RoleLog {
        RoleLog(outages: outages) { level, text in
            write(LogLevel(rawValue: level.rawValue) ?? .info, service, text, [])
        }
    }

    private func write(_ level: LogLevel, _ role: String, _ message: String, _ fields: [(String, String)]) {
        guard level >= self.level else { return }
        let line = LogLine(time: SystemClock().now().rfc3339, level: level, role: role, message, fields)
        Output.error(line.description)
    }
}
