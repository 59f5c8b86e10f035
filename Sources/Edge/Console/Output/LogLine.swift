internal import Base

/// How much a log line matters.
package enum LogLevel: String, Sendable, CaseIterable, Comparable {
    /// For whoever looks for a fault.
    case debug
    /// What happens.
    case info
    /// Something went wrong and was handled.
    case warning
    /// Something went wrong and somebody must act.
    case error

    /// Less important comes first.
    package static func < (a: LogLevel, b: LogLevel) -> Bool { a.rank < b.rank }

    private var rank: Int {
        switch self {
        case .debug: 0
        case .info: 1
        case .warning: 2
        case .error: 3
        }
    }
}

/// One line of the log: `2026-01-31T23:59:59.123Z info store: message key=value`.
package struct LogLine: Sendable {
    private let text: String

    /// A line from its parts. Line breaks and other control characters are escaped, so that one line
    /// stays one line; values with spaces, quotes or equal signs are quoted.
    package init(
        time: String, level: LogLevel, role: String, _ message: String, _ fields: [(String, String)] = []
    ) {
        var line = "\(time) \(level.rawValue) \(role): \(Self.escaped(withoutCredentials(message)))"
        for (key, value) in fields {
            let needsQuotes = value.isEmpty || value.contains { $0 == " " || $0 == "\"" || $0 == "=" }
            let body = Self.escaped(withoutCredentials(value))
            line += needsQuotes ? " \(key)=\"\(body.replacing("\"", with: "\\\""))\"" : " \(key)=\(body)"
        }
        text = line
    }

    /// The line without its end.
    package var description: String { text }

    private static func escaped(_ text: String) -> String {
        guard !text.isOneLine else { return text }
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case _ where scalar.isControl: out += "\\u{\(String(scalar.value, radix: 16))}"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }
}
