internal import CCrypto

/// The libcrypto algorithms, fetched once: an implicit fetch on every use costs about a microsecond.
enum Algorithms {
    // Both objects are immutable once fetched, and libcrypto allows their use from every thread.
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
