internal import Base

extension Identifier {
    /// `count` random bytes as hexadecimal digits behind a prefix.
    static func random(prefix: String, bytes count: Int) -> String {
        prefix + Hexadecimal.text(FileCalls.watcher?.randomBytes(count) ?? Sodium.randomBytes(count))
    }
}
