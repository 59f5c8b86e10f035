internal import CCrypto

/// SHA-256 (FIPS 180-4) by libcrypto, of bytes that come in pieces; one thread, reusable after each `finish`.
/// What is in memory as a whole is hashed by `hash`, `digest` and `withDigest`.
package final class SHA256 {
    /// The algorithm, looked up once: looking it up by name takes longer than hashing an id.
    ///
    /// libcrypto's algorithms never change, are counted atomically, and may be used from every thread; this
    /// one is kept as long as the process lives.
    private nonisolated(unsafe) static let algorithm: OpaquePointer = made(EVP_MD_fetch(nil, "SHA256", nil))

    private let context: OpaquePointer

    /// A hasher that has seen no bytes.
    package init() {
        context = Self.made(EVP_MD_CTX_new())
        reset()
    }

    deinit {
        EVP_MD_CTX_free(context)
    }

    /// Forgets everything seen.
    package func reset() {
        Self.check(EVP_DigestInit_ex2(context, Self.algorithm, nil))
    }

    /// Adds bytes.
    package func update(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        Self.check(EVP_DigestUpdate(context, start, bytes.count))
    }

    /// Adds one byte.
    package func update(byte: UInt8) {
        withUnsafeBytes(of: byte) { update($0) }
    }

    /// The digest of all bytes since the start or the last `finish`; begins anew.
    package func finish() -> Digest {
        let digest = Digest { target in
            Self.check(
                EVP_DigestFinal_ex(context, target.baseAddress?.assumingMemoryBound(to: UInt8.self), nil))
        }
        reset()
        return digest
    }

    // MARK: - Of what is in memory

    /// The digest of `bytes`.
    package static func hash(_ bytes: UnsafeRawBufferPointer) -> Digest {
        Digest { write(bytes, to: $0) }
    }

    /// The digest of `bytes`.
    package static func hash(_ bytes: [UInt8]) -> Digest {
        bytes.withUnsafeBytes { hash($0) }
    }

    /// The 32 bytes of the digest of `bytes`.
    package static func digest(of bytes: some Sequence<UInt8>) -> [UInt8] {
        let digest = bytes.withContiguousStorageIfAvailable { bytes in
            withDigest(of: UnsafeRawBufferPointer(bytes)) { [UInt8]($0) }
        }
        if let digest { return digest }
        return Array(bytes).withUnsafeBytes { withDigest(of: $0) { [UInt8]($0) } }
    }

    /// Lends the 32-byte digest of a text's UTF-8.
    package static func withDigest<R>(of text: String, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        var text = text
        return text.withUTF8 { withDigest(of: UnsafeRawBufferPointer($0), body) }
    }

    /// Lends the 32-byte digest of bytes.
    package static func withDigest<R>(
        of bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> R
    ) -> R {
        withUnsafeTemporaryAllocation(byteCount: Digest.byteCount, alignment: 8) { target in
            write(bytes, to: target)
            return body(UnsafeRawBufferPointer(target))
        }
    }

    private static func write(_ bytes: UnsafeRawBufferPointer, to target: UnsafeMutableRawBufferPointer) {
        // The address of an empty buffer may be nil; libcrypto reads no byte of it.
        check(
            EVP_Digest(
                bytes.baseAddress, bytes.count, target.baseAddress?.assumingMemoryBound(to: UInt8.self), nil,
                algorithm, nil))
    }

    /// A libcrypto without SHA-256, or without memory for 200 bytes, leaves nothing to go on with: no event
    /// could be placed, no digest be told.
    private static func made(_ pointer: OpaquePointer?) -> OpaquePointer {
        guard let pointer else { preconditionFailure("libcrypto has no memory or lacks SHA-256") }
        return pointer
    }

    private static func check(_ status: Int32) {
        precondition(status == 1, "libcrypto refused a call that cannot fail with these arguments")
    }
}
