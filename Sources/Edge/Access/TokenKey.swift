internal import CCrypto

/// The signatures that are known (RFC 7518 part 3, RFC 8037). There is no `none`.
package enum SignatureAlgorithm: String, Sendable, Hashable, CaseIterable {
    /// HMAC with SHA-256: who can check can also sign.
    case hs256 = "HS256"
    /// RSA, PKCS #1 version 1.5, with SHA-256.
    case rs256 = "RS256"
    /// ECDSA over P-256 with SHA-256.
    case es256 = "ES256"
    /// Ed25519.
    case eddsa = "EdDSA"
}

/// A key that checks signatures of one algorithm, and no other: which one it is follows from the key,
/// never from a token.
package struct TokenKey: Sendable {
    enum Material: Sendable {
        case secret(Secret)
        case key(KeyHandle)
    }

    /// What tokens name it by (`kid`).
    package let id: String
    /// The only algorithm it is used with.
    package let algorithm: SignatureAlgorithm
    let material: Material

    /// A shared secret, at least 32 bytes (RFC 7518 part 3.2); nil when it is shorter.
    package init?(id: String, secret: [UInt8]) {
        guard secret.count >= 32 else { return nil }
        self.id = id
        algorithm = .hs256
        material = .secret(Secret(secret))
    }

    /// A public or a private key in PEM; nil when it is none, or of a kind that is not taken: RSA of at
    /// least 2048 bits, P-256 and Ed25519 are.
    package init?(id: String, pem: [UInt8]) {
        guard let handle = KeyHandle(pem: pem), let algorithm = handle.algorithm else { return nil }
        self.id = id
        self.algorithm = algorithm
        material = .key(handle)
    }

    /// A public key as a SubjectPublicKeyInfo (RFC 5280) in DER.
    init?(id: String, publicKeyInfo der: [UInt8]) {
        guard let handle = KeyHandle(publicKeyInfo: der), let algorithm = handle.algorithm else { return nil }
        self.id = id
        self.algorithm = algorithm
        material = .key(handle)
    }

    /// Whether `signature` is this key's over `message`.
    func verifies(_ signature: [UInt8], over message: [UInt8]) -> Bool {
        switch material {
        case .secret(let secret):
            let expected = secret.mac(of: message)
            guard expected.count == 32, signature.count == 32 else { return false }
            // Takes as long wherever the first difference is.
            return CRYPTO_memcmp(expected, signature, 32) == 0
        case .key(let handle):
            guard algorithm == .es256 else { return handle.verifies(signature, over: message, algorithm) }
            guard let der = DER.signature(signature) else { return false }
            return handle.verifies(der, over: message, algorithm)
        }
    }

    /// The signature over `message`; nil when this is a public key, or signing is not this key's use.
    func signature(over message: [UInt8]) -> [UInt8]? {
        switch material {
        case .secret(let secret): secret.mac(of: message)
        case .key(let handle): algorithm == .eddsa ? handle.signature(over: message) : nil
        }
    }
}

/// The bytes of a shared secret, wiped when nobody needs them any more.
final class Secret: @unchecked Sendable {
    // Sendable because nothing changes between init and deinit.
    private let bytes: UnsafeMutableBufferPointer<UInt8>

    init(_ bytes: [UInt8]) {
        self.bytes = .allocate(capacity: bytes.count)
        _ = self.bytes.initialize(from: bytes)
    }

    deinit {
        OPENSSL_cleanse(bytes.baseAddress, bytes.count)
        bytes.deallocate()
    }

    func mac(of message: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 32) { out, count in
            var length: UInt32 = 0
            let done = HMAC(
                EVP_sha256(), bytes.baseAddress, CInt(bytes.count), message, message.count, out.baseAddress,
                &length)
            count = done == nil ? 0 : Int(length)
        }
    }
}

/// A key of libcrypto's.
final class KeyHandle: @unchecked Sendable {
    // Sendable because libcrypto's keys may be used by many threads once they are made.
    private let key: OpaquePointer

    /// Reads a public key, or a private one without passphrase.
    init?(pem: [UInt8]) {
        defer { ERR_clear_error() }
        guard !pem.isEmpty, let input = BIO_new_mem_buf(pem, CInt(pem.count)) else { return nil }
        defer { BIO_free(input) }
        // The callback keeps libcrypto from asking the terminal for a passphrase.
        if let key = PEM_read_bio_PUBKEY(input, nil, { _, _, _, _ in 0 }, nil) {
            self.key = key
            return
        }
        guard let again = BIO_new_mem_buf(pem, CInt(pem.count)) else { return nil }
        defer { BIO_free(again) }
        guard let key = PEM_read_bio_PrivateKey(again, nil, { _, _, _, _ in 0 }, nil) else { return nil }
        self.key = key
    }

    init?(publicKeyInfo der: [UInt8]) {
        defer { ERR_clear_error() }
        let read: OpaquePointer? = der.withUnsafeBufferPointer { der in
            var start = der.baseAddress
            guard let key = d2i_PUBKEY(nil, &start, der.count) else { return nil }
            guard start == der.baseAddress.map({ $0 + der.count }) else {
                EVP_PKEY_free(key)
                return nil
            }
            return key
        }
        guard let read else { return nil }
        key = read
    }

    /// A new Ed25519 key pair; nil when the system gives no randomness.
    init?(generating: Void) {
        guard let made = newEd25519Key() else { return nil }
        key = made
    }

    deinit { EVP_PKEY_free(key) }

    /// What the key is for; nil for kinds that aren't taken.
    var algorithm: SignatureAlgorithm? {
        switch EVP_PKEY_get_base_id(key) {
        case EVP_PKEY_RSA: return (2048...16_384).contains(EVP_PKEY_get_bits(key)) ? .rs256 : nil
        case EVP_PKEY_EC:
            var name = [CChar](repeating: 0, count: 64)
            guard EVP_PKEY_get_group_name(key, &name, name.count, nil) == 1 else { return nil }
            let group = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            return ["prime256v1", "P-256"].contains(group) ? .es256 : nil
        case EVP_PKEY_ED25519: return .eddsa
        default: return nil
        }
    }

    func verifies(_ signature: [UInt8], over message: [UInt8], _ algorithm: SignatureAlgorithm) -> Bool {
        guard let context = EVP_MD_CTX_new() else { return false }
        defer {
            EVP_MD_CTX_free(context)
            ERR_clear_error()
        }
        // Ed25519 has its own digest; RSA's padding is PKCS #1 version 1.5 unless told otherwise.
        let digest = algorithm == .eddsa ? nil : EVP_sha256()
        return EVP_DigestVerifyInit(context, nil, digest, nil, key) == 1
            && EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
    }

    func signature(over message: [UInt8]) -> [UInt8]? {
        guard let context = EVP_MD_CTX_new() else { return nil }
        defer {
            EVP_MD_CTX_free(context)
            ERR_clear_error()
        }
        var length = 64
        var signature = [UInt8](repeating: 0, count: length)
        guard EVP_DigestSignInit(context, nil, nil, nil, key) == 1,
            EVP_DigestSign(context, &signature, &length, message, message.count) == 1, length == 64
        else { return nil }
        return signature
    }

    /// The private key in PEM (PKCS #8), unencrypted; nil when there is none.
    var privatePEM: [UInt8]? {
        defer { ERR_clear_error() }
        guard let output = BIO_new(BIO_s_mem()) else { return nil }
        defer { BIO_free(output) }
        guard PEM_write_bio_PrivateKey(output, key, nil, nil, 0, nil, nil) == 1 else { return nil }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = BIO_read(output, &bytes, CInt(bytes.count))
        return count > 0 ? Array(bytes.prefix(Int(count))) : nil
    }
}

private func newEd25519Key() -> OpaquePointer? {
    guard let context = EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, nil) else { return nil }
    defer { EVP_PKEY_CTX_free(context) }
    var key: OpaquePointer?
    guard EVP_PKEY_keygen_init(context) == 1, EVP_PKEY_keygen(context, &key) == 1 else { return nil }
    return key
}
