internal import CCrypto

/// SHA-256 (FIPS 180-4) by libcrypto. Only what placing and identifying events needs; content is
/// hashed by the vault.
public enum SHA256 {
    /// The 32-byte digest of `bytes`.
    public static func digest(of bytes: some Sequence<UInt8>) -> [UInt8] {
        let contiguous = Array(bytes)
        return [UInt8](unsafeUninitializedCapacity: 32) { out, count in
            var length: UInt32 = 0
            // One-shot digests of memory cannot fail once the algorithm exists; were it missing,
            // the process could place no event and must not guess.
            let done = EVP_Digest(contiguous, contiguous.count, out.baseAddress, &length, EVP_sha256(), nil)
            precondition(done == 1 && length == 32, "libcrypto offers no SHA-256")
            count = 32
        }
    }
}
