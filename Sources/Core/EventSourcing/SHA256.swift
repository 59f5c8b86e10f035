internal import CCrypto

/// SHA-256 (FIPS 180-4) by libcrypto. Only what placing and identifying events needs; content is
/// hashed by the vault.
public enum SHA256 {
    private static let digestBytes = 32

    /// The algorithm, looked up once: looking it up by name takes longer than hashing an id.
    private static let algorithm = Algorithm(EVP_MD_fetch(nil, "SHA256", nil))

    private struct Algorithm: @unchecked Sendable {
        // Sendable because libcrypto's algorithms never change and are counted atomically; this one is kept
        // as long as the process lives.
        let pointer: OpaquePointer?

        init(_ pointer: OpaquePointer?) { self.pointer = pointer }
    }

    /// The 32-byte digest of `bytes`.
    public static func digest(of bytes: some Sequence<UInt8>) -> [UInt8] {
        let digest = bytes.withContiguousStorageIfAvailable { bytes in
            withDigest(of: UnsafeRawBufferPointer(bytes)) { [UInt8]($0) }
        }
        if let digest { return digest }
        return Array(bytes).withUnsafeBytes { withDigest(of: $0) { [UInt8]($0) } }
    }

    /// Lends the 32-byte digest of a text's UTF-8.
    public static func withDigest<R>(of text: String, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        var text = text
        return text.withUTF8 { withDigest(of: UnsafeRawBufferPointer($0), body) }
    }

    /// Lends the 32-byte digest of bytes.
    public static func withDigest<R>(
        of bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> R
    ) -> R {
        withUnsafeTemporaryAllocation(byteCount: digestBytes, alignment: 8) { digest in
            var length: UInt32 = 0
            let target = digest.baseAddress?.assumingMemoryBound(to: UInt8.self)
            // One-shot digests of memory cannot fail once the algorithm exists; were it missing,
            // the process could place no event and must not guess.
            let done = EVP_Digest(bytes.baseAddress, bytes.count, target, &length, algorithm.pointer, nil)
            precondition(done == 1 && length == 32, "libcrypto offers no SHA-256")
            return body(UnsafeRawBufferPointer(digest))
        }
    }
}
