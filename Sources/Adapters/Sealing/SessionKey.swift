internal import Files
package import Base
internal import CSodium

/// A session's data key and the three subkeys made from it (libsodium `crypto_kdf`, context `reelchnk`).
///
/// Wiped when the last owner lets go; printing it shows ids only. May be shared between threads.
package final class SessionKey: Sendable, CustomStringConvertible, CustomReflectable {
    /// Length of the data key and of each subkey, in bytes.
    package static let byteCount = 32

    /// The session that the key belongs to.
    package let sessionID: String
    /// The key's own id, written in headers and events.
    package let keyID: String
    /// Subkey 3: public, tells this key from every other one and gives nothing else away.
    package let commitment: Digest

    let dataKey: SecretBytes
    let encryptionKey: SecretBytes
    private let digestKey: SecretBytes

    /// A new random key with an id of its own (`key-` and 32 hexadecimal digits) unless one is given.
    package static func generate(
        sessionID: String, keyID: String? = nil
    ) throws(KeyFailure) -> SessionKey {
        try SessionKey(
            sessionID: sessionID, keyID: keyID ?? Identifier.random(prefix: "key-", bytes: 16),
            dataKey: SecretBytes(randomCount: byteCount))
    }

    /// A known data key of 32 bytes, as an investigator has it. The caller wipes his own copy.
    package convenience init(
        sessionID: String, keyID: String, dataKey: UnsafeRawBufferPointer
    ) throws(KeyFailure) {
        guard dataKey.count == Self.byteCount else {
            throw .invalid(what: "data key", reason: "\(dataKey.count) bytes instead of \(Self.byteCount)")
        }
        try self.init(sessionID: sessionID, keyID: keyID, dataKey: SecretBytes(copying: dataKey))
    }

    init(sessionID: String, keyID: String, dataKey: SecretBytes) throws(KeyFailure) {
        for (what, id) in [("session_id", sessionID), ("key_id", keyID)] where !Identifier.isValid(id) {
            throw .invalid(what: what, reason: "\"\(id)\" is no valid id")
        }
        self.sessionID = sessionID
        self.keyID = keyID
        self.dataKey = dataKey
        encryptionKey = Self.subkey(1, of: dataKey)
        digestKey = Self.subkey(2, of: dataKey)
        commitment = Self.subkey(3, of: dataKey).withBytes { bytes in
            Digest { $0.copyMemory(from: bytes) }
        }
    }

    /// HMAC-SHA256 under subkey 2: makes the `content_digest` of original bytes. One for each thread.
    package func contentDigester() -> HMACSHA256 {
        HMACSHA256(key: digestKey)
    }

    /// Lends the data key, for exporting it. The pointer ends with the closure; wipe what you copy.
    package func withDataKey<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try dataKey.withBytes(body)
    }

    /// The ids; never the key.
    package var description: String { "SessionKey(\(keyID) of \(sessionID))" }
    /// Nothing to look into: keeps the key out of `dump` and debuggers' summaries.
    package var customMirror: Mirror { Mirror(self, children: []) }

    private static func subkey(_ number: UInt64, of master: SecretBytes) -> SecretBytes {
        SecretBytes(count: byteCount) { target in
            let status = master.withBytes { master in
                crypto_kdf_derive_from_key(
                    target.octets, target.count, number, "reelchnk", master.octets)
            }
            precondition(status == 0, "libsodium refused a key derivation of valid lengths")
        }
    }
}
