package import Base
internal import CCrypto

/// Streaming HMAC-SHA256 (RFC 2104, RFC 4231) over libcrypto; one thread, one key, reusable after `finish`.
package final class HMACSHA256 {
    private let context: OpaquePointer
    private let key: SecretBytes

    /// An HMAC under `key`, which may have any length and is wiped with this object.
    package convenience init(key: UnsafeRawBufferPointer) {
        self.init(key: SecretBytes(copying: key))
    }

    init(key: SecretBytes) {
        self.key = key
        context = Algorithms.fetched(EVP_MAC_CTX_new(Algorithms.hmac))
        reset()
    }

    deinit {
        EVP_MAC_CTX_free(context)
    }

    /// Forgets everything seen; the key stays.
    package func reset() {
        // A parameter holds pointers to its name and value, so both strings must outlive the call: a Swift
        // string passed for either would be gone when the parameter is read.
        let status = OSSL_MAC_PARAM_DIGEST.withCString { name in
            "SHA256".withCString { digest in
                // Both are only read; the value's type lacks `const`.
                let parameters = [
                    OSSL_PARAM_construct_utf8_string(name, UnsafeMutablePointer(mutating: digest), 0),
                    OSSL_PARAM_construct_end(),
                ]
                return key.withBytes { EVP_MAC_init(context, $0.octets, $0.count, parameters) }
            }
        }
        Algorithms.check(status)
    }

    /// Adds bytes.
    package func update(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        Algorithms.check(EVP_MAC_update(context, start.assumingMemoryBound(to: UInt8.self), bytes.count))
    }

    /// The authenticator of all bytes since the start or the last `finish`; begins anew.
    package func finish() -> Digest {
        let digest = Digest { target in
            var written = 0
            Algorithms.check(
                EVP_MAC_final(
                    context, target.baseAddress?.assumingMemoryBound(to: UInt8.self), &written, target.count))
        }
        reset()
        return digest
    }

    /// The authenticator of `bytes` alone.
    package func authenticate(_ bytes: UnsafeRawBufferPointer) -> Digest {
        reset()
        update(bytes)
        return finish()
    }
}
