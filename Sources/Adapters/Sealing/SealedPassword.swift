internal import CSodium
internal import Base

/// The RDP password of a session as it is kept in a database: encrypted, useless without its
/// key-encryption key.
///
/// XChaCha20-Poly1305-IETF under a subkey of the key-encryption key (libsodium `crypto_kdf`, context
/// `reelrdpw`, number 1), so that no password is ever encrypted with what wraps data keys. The associated
/// data is the text `reel-rdp-password-1` LF `session_id` LF `kek_id`. The plaintext is the password's
/// length in bytes (16 bits, little endian), the password, and zeros up to a multiple of 256 bytes, so that
/// the ciphertext's length does not tell the password's.
package struct SealedPassword: Hashable, Sendable {
    /// Longest password, in bytes of UTF-8: 255 characters of four bytes.
    package static let maximumBytes = 1020
    static let block = 256

    /// The session that it belongs to.
    package let sessionID: String
    /// The key-encryption key whose subkey opens it.
    package let keyEncryptionKeyID: String
    /// Random, new for every sealing.
    package let nonce: [UInt8]
    /// Encrypted password and tag.
    package let ciphertext: [UInt8]

    /// A sealed password from its parts, as read from a database; opening judges it.
    package init(sessionID: String, keyEncryptionKeyID: String, nonce: [UInt8], ciphertext: [UInt8]) {
        self.sessionID = sessionID
        self.keyEncryptionKeyID = keyEncryptionKeyID
        self.nonce = nonce
        self.ciphertext = ciphertext
    }

    fileprivate var associatedData: [UInt8] {
        [UInt8]("reel-rdp-password-1\n\(sessionID)\n\(keyEncryptionKeyID)".utf8)
    }
}

/// A password that was opened: wiped when its last owner lets go, never printed.
package final class OpenedPassword: Sendable, CustomStringConvertible, CustomReflectable {
    private let bytes: SecretBytes

    fileprivate init(_ bytes: SecretBytes) { self.bytes = bytes }

    /// Lends the password's UTF-8 bytes. The pointer ends with the closure; wipe what you copy.
    package func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try bytes.withBytes(body)
    }

    /// Never the password.
    package var description: String { "(a password)" }
    /// Nothing to look into.
    package var customMirror: Mirror { Mirror(self, children: []) }
}

extension KeyRing {
    /// Encrypts a session's RDP password under the key-encryption key that is active now.
    /// - Throws: `invalid` for an id that is none, and for a password of 0 or more than 1020 bytes.
    package func seal(
        password: UnsafeRawBufferPointer, ofSession session: String
    ) throws(KeyFailure) -> SealedPassword {
        guard Identifier.isValid(session) else {
            throw .invalid(what: "session_id", reason: "it is no valid id")
        }
        guard (1...SealedPassword.maximumBytes).contains(password.count) else {
            throw .invalid(what: "password", reason: "\(password.count) bytes")
        }
        return try activeKey().seal(password, session)
    }

    /// Decrypts a session's RDP password.
    /// - Throws: `unknownKeyEncryptionKey`; `unwrapFailed` when anything was changed.
    package func open(_ sealed: SealedPassword) throws(KeyFailure) -> OpenedPassword {
        let id = sealed.keyEncryptionKeyID
        return try KeyEncryptionKey(id: id, state: .retired, secret: try secret(id)).open(sealed)
    }
}

extension KeyEncryptionKey {
    private var passwordKey: SecretBytes {
        SecretBytes(count: SessionKey.byteCount) { target in
            let status = secret.withBytes { secret in
                crypto_kdf_derive_from_key(target.octets, target.count, 1, "reelrdpw", secret.octets)
            }
            precondition(status == 0, "libsodium refused a key derivation of valid lengths")
        }
    }

    fileprivate func seal(_ password: UnsafeRawBufferPointer, _ session: String) -> SealedPassword {
        let blocks = (password.count + 2 + SealedPassword.block - 1) / SealedPassword.block
        let length = blocks * SealedPassword.block
        let plain = SecretBytes(count: length) { target in
            target.initializeMemory(as: UInt8.self, repeating: 0)
            target.storeBytes(of: UInt16(password.count).littleEndian, as: UInt16.self)
            UnsafeMutableRawBufferPointer(rebasing: target[2...]).copyMemory(from: password)
        }
        let nonce = Sodium.randomBytes(XChaCha20Poly1305.nonceBytes)
        let bound = SealedPassword(
            sessionID: session, keyEncryptionKeyID: id, nonce: nonce, ciphertext: []
        ).associatedData
        var ciphertext = [UInt8](repeating: 0, count: length + XChaCha20Poly1305.tagBytes)
        let context = XChaCha20Poly1305()
        ciphertext.withUnsafeMutableBytes { target in
            nonce.withUnsafeBytes { nonce in
                bound.withUnsafeBytes { bound in
                    context.begin(.sealing, key: passwordKey, nonce: nonce, associatedData: bound)
                }
            }
            guard let start = target.baseAddress else { return }
            plain.withBytes { context.update($0, into: start) }
            context.writeTag(into: start + length)
        }
        return SealedPassword(
            sessionID: session, keyEncryptionKeyID: id, nonce: nonce, ciphertext: ciphertext)
    }

    fileprivate func open(_ sealed: SealedPassword) throws(KeyFailure) -> OpenedPassword {
        guard sealed.nonce.count == XChaCha20Poly1305.nonceBytes else {
            throw .invalid(what: "nonce", reason: "\(sealed.nonce.count) bytes")
        }
        let length = sealed.ciphertext.count - XChaCha20Poly1305.tagBytes
        guard length > 0, length <= 2 * SealedPassword.maximumBytes, length % SealedPassword.block == 0 else {
            throw .invalid(what: "ciphertext", reason: "\(sealed.ciphertext.count) bytes")
        }
        let bound = sealed.associatedData
        let context = XChaCha20Poly1305()
        var isAuthentic = false
        let plain = SecretBytes(count: length) { target in
            sealed.nonce.withUnsafeBytes { nonce in
                bound.withUnsafeBytes { bound in
                    context.begin(.opening, key: passwordKey, nonce: nonce, associatedData: bound)
                }
            }
            sealed.ciphertext.withUnsafeBytes { bytes in
                guard let start = target.baseAddress else { return }
                context.update(UnsafeRawBufferPointer(rebasing: bytes[..<length]), into: start)
                isAuthentic = context.verifies(tag: UnsafeRawBufferPointer(rebasing: bytes[length...]))
            }
        }
        guard isAuthentic else {
            throw .unwrapFailed(
                keyID: "rdp-password", sessionID: sealed.sessionID,
                keyEncryptionKeyID: sealed.keyEncryptionKeyID)
        }
        return OpenedPassword(
            try plain.withBytes { bytes throws(KeyFailure) in
                let count = Int(UInt16(littleEndian: bytes.load(as: UInt16.self)))
                guard count <= length - 2 else { throw .invalid(what: "password", reason: "\(count) bytes") }
                return SecretBytes(copying: UnsafeRawBufferPointer(rebasing: bytes[2..<2 + count]))
            })
    }
}
