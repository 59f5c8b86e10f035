internal import Base
internal import EventSourcing

/// Text from outside, cut and cleaned before it is kept.
enum AuditText {
    private static let detailLimit = 16
    private static let withheld = "(withheld)"

    /// Parts of names whose values are never kept, whoever hands them in.
    private static let secrets = [
        "password", "passwd", "secret", "token", "authorization", "cookie", "data_key", "private_key",
        "credential",
    ]

    /// At most `limit` characters, without control characters; nil when nothing is left.
    static func bounded(_ text: String?, _ limit: Int) -> String? {
        guard let text else { return nil }
        var kept = String.UnicodeScalarView()
        // Scalars are counted, as JSON Schema does: one character may hold any number of them.
        for scalar in text.unicodeScalars.prefix(limit) {
            kept.append(scalar.isControl ? "\u{FFFD}" : scalar)
        }
        return kept.isEmpty ? nil : String(kept)
    }

    /// The first scalars that take no more than so many bytes of UTF-8.
    static func cut(_ text: String, bytes limit: Int) -> String {
        if text.utf8.count <= limit { return text }
        var kept = String.UnicodeScalarView()
        var count = 0
        for scalar in text.unicodeScalars {
            count += UTF8.width(scalar)
            if count > limit { break }
            kept.append(scalar)
        }
        return String(kept)
    }

    /// The first details by name, each bounded.
    static func bounded(_ details: [String: String]) -> [String: String] {
        var kept: [String: String] = [:]
        for (name, value) in details.sorted(by: { $0.key < $1.key }) where kept.count < detailLimit {
            guard let name = bounded(name, 64), let value = bounded(value, 256) else { continue }
            kept[name] = isSecret(name) ? withheld : value
        }
        return kept
    }

    private static func isSecret(_ name: String) -> Bool {
        let name = name.lowercased()
        return secrets.contains { name.contains($0) }
    }
}
