/// 32 bytes that identify other bytes: a SHA-256, an HMAC-SHA256, or a node of a Merkle tree.
package struct Digest: Hashable, Sendable, CustomStringConvertible {
    /// Length in bytes.
    package static let byteCount = 32

    // Four words instead of an array: a tree holds many of these, and none of them should allocate.
    private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    /// A digest from exactly 32 bytes; nil for any other count.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        self.init { target in target.copyBytes(from: bytes) }
    }

    /// A digest from 64 lower-case hexadecimal digits; nil for anything else.
    package init?(hex: some StringProtocol) {
        guard let bytes = Hexadecimal.bytes(hex) else { return nil }
        self.init(bytes: bytes)
    }

    /// A digest whose 32 bytes `fill` writes.
    package init<E: Error>(filling fill: (UnsafeMutableRawBufferPointer) throws(E) -> Void) throws(E) {
        try withUnsafeMutableBytes(of: &words, fill)
    }

    /// The 32 bytes.
    package var bytes: [UInt8] { withUnsafeBytes { [UInt8]($0) } }

    /// 64 lower-case hexadecimal digits.
    package var hex: String { withUnsafeBytes { Hexadecimal.text($0) } }

    /// The same as `hex`.
    package var description: String { hex }

    /// Lends the 32 bytes; the pointer ends with the closure.
    package func withUnsafeBytes<R, E: Error>(
        _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try Swift.withUnsafeBytes(of: words, body)
    }

    /// Compares word by word, in the same time whatever the bytes are.
    package static func == (left: Digest, right: Digest) -> Bool {
        (left.words.0 ^ right.words.0) | (left.words.1 ^ right.words.1)
            | (left.words.2 ^ right.words.2) | (left.words.3 ^ right.words.3) == 0
    }

    /// Feeds the first word, which is as evenly spread as all four.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
    }
}
