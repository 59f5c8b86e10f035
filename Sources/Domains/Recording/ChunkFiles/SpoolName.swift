internal import Files
internal import Base

/// What a file in the spool is called: `<number, eight digits>.<kind>-<lineage>[-<random>]`.
///
/// The lineage is drawn by whoever records the chunk, and what stages make of its bytes carries it on: so all
/// that belongs to one recorded chunk is known by its name, and nobody else's files can have it, whatever
/// number they were given. Names of the builds before this one have no lineage (`00000001.raw`), or one that
/// no other file has.
struct SpoolName: Hashable {
    /// The kind of recorded bytes.
    static let raw = "raw"
    /// The kind of what is said of a chunk that waits for its turn.
    static let held = "held"
    private static let lineageDigits = 16

    /// The chunk's number.
    var sequence: Int
    /// What the file holds: recorded bytes, or what a stage made of them.
    var kind: Substring
    /// 16 hexadecimal digits; nil in old names.
    var lineage: Substring?

    /// Reads a name; nil for any other.
    init?(_ name: some StringProtocol) {
        guard let sequence = ChunkPath.sequence(in: name) else { return nil }
        let rest = name.utf8.dropFirst(8)
        guard rest.first == UInt8(ascii: "."), rest.count > 1, rest.count <= 150,
            rest.dropFirst().allSatisfy(Identifier.isAllowed)
        else { return nil }
        let parts = Substring(name).dropFirst(9).split(separator: "-", omittingEmptySubsequences: false)
        self.sequence = sequence
        kind = parts[0]
        lineage = parts.count > 1 && Self.isLineage(parts[1]) ? parts[1] : nil
    }

    private static func isLineage(_ part: Substring) -> Bool {
        part.utf8.count == lineageDigits
            && part.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    /// A new lineage.
    static func newLineage() -> Substring {
        Substring(Identifier.random(prefix: "", bytes: lineageDigits / 2))
    }

    /// The name of recorded bytes.
    static func recorded(_ sequence: Int, _ lineage: Substring) throws(StorageFailure) -> String {
        "\(try ChunkPath.digits(sequence)).\(raw)-\(lineage)"
    }

    /// A new name for what was made of the file `source`, or is said of it.
    static func made(
        by kind: String, of source: SpoolName, as sequence: Int
    ) throws(StorageFailure) -> String {
        guard Identifier.isValid(kind), !kind.contains("-") else { throw .invalidIdentifier(kind) }
        let lineage = source.lineage.map { "\($0)-" } ?? ""
        let start = "\(try ChunkPath.digits(sequence)).\(kind)-\(lineage)"
        return Identifier.random(prefix: start, bytes: 8)
    }
}
