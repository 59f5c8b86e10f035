internal import CCrypto

/// The libcrypto algorithms, fetched once: an implicit fetch on every use costs about a microsecond.
enum Algorithms {
    // The three objects are immutable once fetched, and libcrypto allows their use from every thread.
    nonisolated(unsafe) static let sha256: OpaquePointer = fetched(EVP_MD_fetch(nil, "SHA256", nil))
    nonisolated(unsafe) static let hmac: OpaquePointer = fetched(EVP_MAC_fetch(nil, "HMAC", nil))
    nonisolated(unsafe) static let chacha20Poly1305: OpaquePointer =
        fetched(EVP_CIPHER_fetch(nil, "ChaCha20-Poly1305", nil))

    /// A libcrypto without these algorithms, or without memory for 200 bytes, leaves nothing to go on with.
    static func fetched(_ pointer: OpaquePointer?) -> OpaquePointer {
        guard let pointer else { preconditionFailure("libcrypto has no memory or lacks an algorithm") }
        return pointer
    }

    static func check(_ status: Int32) {
        precondition(status == 1, "libcrypto refused a call that cannot fail with these arguments")
    }
}

/// Streaming SHA-256 (FIPS 180-4) over libcrypto; one thread, reusable after each `finish`.
public final class SHA256 {
    private let context: OpaquePointer

    /// A hasher that has seen no bytes.
    public init() {
        context = Algorithms.fetched(EVP_MD_CTX_new())
        reset()
    }

    deinit {
        EVP_MD_CTX_free(context)
    }

    /// Forgets everything seen.
    public func reset() {
        Algorithms.check(EVP_DigestInit_ex2(context, Algorithms.sha256, nil))
    }

    /// Adds bytes.
    public func update(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        Algorithms.check(EVP_DigestUpdate(context, start, bytes.count))
    }

    /// Adds one byte.
    public func update(byte: UInt8) {
        withUnsafeBytes(of: byte) { update($0) }
    }

    /// The digest of all bytes since the start or the last `finish`; begins anew.
    public func finish() -> Digest {
        let digest = Digest { target in
            Algorithms.check(
                EVP_DigestFinal_ex(context, target.baseAddress?.assumingMemoryBound(to: UInt8.self), nil))
        }
        reset()
        return digest
    }

    /// The digest of `bytes`.
    public static func hash(_ bytes: UnsafeRawBufferPointer) -> Digest {
        Digest { target in
            // The address of an empty buffer may be nil; libcrypto reads no byte of it.
            Algorithms.check(
                EVP_Digest(
                    bytes.baseAddress, bytes.count,
                    target.baseAddress?.assumingMemoryBound(to: UInt8.self), nil, Algorithms.sha256, nil))
        }
    }

    /// The digest of `bytes`.
    public static func hash(_ bytes: [UInt8]) -> Digest {
        bytes.withUnsafeBytes { hash($0) }
    }
}
