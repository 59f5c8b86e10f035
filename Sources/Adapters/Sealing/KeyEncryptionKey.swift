/// Whether a key-encryption key wraps new data keys, or only unwraps old ones.
package enum KeyEncryptionKeyState: String, Hashable, Sendable {
    /// Wraps and unwraps; exactly one key is active.
    case active
    /// Unwraps only.
    case retired
}

/// A key that encrypts data keys. Its 32 bytes never leave this module and are wiped with the last owner.
package struct KeyEncryptionKey: Sendable, CustomStringConvertible, CustomReflectable {
    /// The key's id, named in every wrapped key.
    package let id: String
    /// Whether it wraps new data keys.
    package let state: KeyEncryptionKeyState
    let secret: SecretBytes

    /// Id and state; never the key.
    package var description: String { "KeyEncryptionKey(\(id), \(state.rawValue))" }
    /// Nothing to look into.
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// A session's data key as it is kept in a database: encrypted, useless without its key-encryption key.
///
/// XChaCha20-Poly1305-IETF of the 32 bytes; the associated data is the text
/// `reel-wrapped-key-1` LF `session_id` LF `key_id` LF `kek_id` (ids hold no line feed), which binds the
/// key to its session.
package struct WrappedKey: Hashable, Sendable {
    /// Length of `nonce` in bytes.
    package static let nonceBytes = XChaCha20Poly1305.nonceBytes
    /// Length of `ciphertext` in bytes: the key and a tag of 16 bytes.
    package static let ciphertextBytes = SessionKey.byteCount + XChaCha20Poly1305.tagBytes

    /// The session that the data key belongs to.
    package let sessionID: String
    /// The data key's id.
    package let keyID: String
    /// The key-encryption key that unwraps it.
    package let keyEncryptionKeyID: String
    /// Random, new for every wrapping.
    package let nonce: [UInt8]
    /// Encrypted data key and tag.
    package let ciphertext: [UInt8]

    /// A wrapped key from its parts, as read from a database; unwrapping judges it.
    package init(
        sessionID: String, keyID: String, keyEncryptionKeyID: String, nonce: [UInt8], ciphertext: [UInt8]
    ) {
        self.sessionID = sessionID
        self.keyID = keyID
        self.keyEncryptionKeyID = keyEncryptionKeyID
        self.nonce = nonce
        self.ciphertext = ciphertext
    }

    static func associatedData(sessionID: String, keyID: String, keyEncryptionKeyID: String) -> [UInt8] {
        [UInt8]("reel-wrapped-key-1\n\(sessionID)\n\(keyID)\n\(keyEncryptionKeyID)".utf8)
    }
}

extension KeyEncryptionKey {
    /// Encrypts a session's data key.
    func wrap(_ key: SessionKey) -> WrappedKey {
        let nonce = Sodium.randomBytes(XChaCha20Poly1305.nonceBytes)
        let bound = WrappedKey.associatedData(
            sessionID: key.sessionID, keyID: key.keyID, keyEncryptionKeyID: id)
        var ciphertext = [UInt8](repeating: 0, count: WrappedKey.ciphertextBytes)
        let context = XChaCha20Poly1305()
        ciphertext.withUnsafeMutableBytes { target in
            nonce.withUnsafeBytes { nonce in
                bound.withUnsafeBytes { bound in
                    context.begin(.sealing, key: secret, nonce: nonce, associatedData: bound)
                }
            }
            guard let start = target.baseAddress else { return }
            key.dataKey.withBytes { context.update($0, into: start) }
            context.writeTag(into: start + SessionKey.byteCount)
        }
        return WrappedKey(
            sessionID: key.sessionID, keyID: key.keyID, keyEncryptionKeyID: id, nonce: nonce,
            ciphertext: ciphertext)
    }

    /// Decrypts a data key that this key has wrapped.
    func unwrap(_ wrapped: WrappedKey) throws(KeyFailure) -> SessionKey {
        guard wrapped.nonce.count == WrappedKey.nonceBytes else {
            throw .invalid(what: "nonce", reason: "\(wrapped.nonce.count) bytes")
        }
        guard wrapped.ciphertext.count == WrappedKey.ciphertextBytes else {
            throw .invalid(what: "ciphertext", reason: "\(wrapped.ciphertext.count) bytes")
        }
        let bound = WrappedKey.associatedData(
            sessionID: wrapped.sessionID, keyID: wrapped.keyID,
            keyEncryptionKeyID: wrapped.keyEncryptionKeyID)
        let context = XChaCha20Poly1305()
        var isAuthentic = false
        let dataKey = SecretBytes(count: SessionKey.byteCount) { target in
            wrapped.nonce.withUnsafeBytes { nonce in
                bound.withUnsafeBytes { bound in
                    context.begin(.opening, key: secret, nonce: nonce, associatedData: bound)
                }
            }
            wrapped.ciphertext.withUnsafeBytes { sealed in
                guard let start = target.baseAddress else { return }
                context.update(
                    UnsafeRawBufferPointer(rebasing: sealed[..<SessionKey.byteCount]), into: start)
                isAuthentic = context.verifies(
                    tag: UnsafeRawBufferPointer(rebasing: sealed[SessionKey.byteCount...]))
            }
        }
        guard isAuthentic else {
            throw .unwrapFailed(
                keyID: wrapped.keyID, sessionID: wrapped.sessionID,
                keyEncryptionKeyID: wrapped.keyEncryptionKeyID)
        }
        return try SessionKey(sessionID: wrapped.sessionID, keyID: wrapped.keyID, dataKey: dataKey)
    }
}
