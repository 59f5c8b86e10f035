internal import CCrypto

/// Streaming HMAC-SHA256 (RFC 2104, RFC 4231) over libcrypto; one thread, one key, reusable after `finish`.
public final class HMACSHA256 {
    private let context: OpaquePointer
    private let key: SecretBytes

    /// An HMAC under `key`, which may have any length and is wiped with this object.
    public convenience init(key: UnsafeRawBufferPointer) {
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
    public func reset() {
        // libcrypto copies the name; the array only has to live through the call. The parameter wants a
        // mutable pointer although it is only read.
        var name = [CChar]("SHA256".utf8CString)
        let status = name.withUnsafeMutableBufferPointer { name in
            let parameters = [
                OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name.baseAddress, 0),
                OSSL_PARAM_construct_end(),
            ]
            return key.withBytes { key in
                EVP_MAC_init(
                    context, key.baseAddress?.assumingMemoryBound(to: UInt8.self), key.count, parameters)
            }
        }
        Algorithms.check(status)
    }

    /// Adds bytes.
    public func update(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        Algorithms.check(EVP_MAC_update(context, start.assumingMemoryBound(to: UInt8.self), bytes.count))
    }

    /// The authenticator of all bytes since the start or the last `finish`; begins anew.
    public func finish() -> Digest {
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
    public func authenticate(_ bytes: UnsafeRawBufferPointer) -> Digest {
        reset()
        update(bytes)
        return finish()
    }
}
