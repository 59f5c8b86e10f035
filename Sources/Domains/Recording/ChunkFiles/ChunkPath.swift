internal import Base
internal import Files

/// How chunks' files are found below a root: a folder for each session, names that begin with the number.
enum ChunkPath {
    /// The largest number that a name can have.
    static let maximumSequence = 99_999_999

    /// What leads to a session's folder.
    /// - Throws: `invalidIdentifier`.
    static func folder(_ session: String) throws(StorageFailure) -> [String] {
        guard Identifier.isValid(session) else { throw .invalidIdentifier(session) }
        return [session]
    }

    /// Eight digits, padded with zeros.
    static func digits(_ sequence: Int) throws(StorageFailure) -> String {
        guard (1...maximumSequence).contains(sequence) else { throw .invalidSequence(sequence) }
        let text = String(sequence)
        return String(repeating: "0", count: 8 - text.count) + text
    }

    /// The number that a name begins with; nil for any other name.
    static func sequence(in name: some StringProtocol) -> Int? {
        let digits = name.utf8.prefix(8)
        guard digits.count == 8, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        let value = digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
        return value >= 1 ? value : nil
    }
}
