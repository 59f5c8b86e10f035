package import Base

/// A time in tables: UTC, whole seconds.
package enum ShortTime {
    /// In Coordinated Universal Time, to the second: `2026-01-31 09:00:00`.
    package static func text(_ time: Timestamp) -> String {
        String(time.rfc3339.prefix(19)).replacing("T", with: " ")
    }

    /// The same; empty where there is none.
    package static func text(_ time: Timestamp?) -> String { time.map(text) ?? "" }
}
