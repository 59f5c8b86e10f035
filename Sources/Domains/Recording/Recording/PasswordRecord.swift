package import Base

/// A session's RDP password as it is kept: sealed, useless without the key-encryption key.
package struct PasswordRecord: Sendable, Hashable {
    /// The session it belongs to.
    package var sessionID: String
    /// Id of the key-encryption key whose subkey seals it.
    package var keyEncryptionKeyID: String
    /// Nonce of the sealing, 24 bytes.
    package var nonce: [UInt8]
    /// The sealed password and its tag.
    package var ciphertext: [UInt8]
    /// When it was set.
    package var updatedAt: Timestamp
    package init(
        sessionID: String, keyEncryptionKeyID: String, nonce: [UInt8], ciphertext: [UInt8],
        updatedAt: Timestamp
    ) {
        self.sessionID = sessionID
        self.keyEncryptionKeyID = keyEncryptionKeyID
        self.nonce = nonce
        self.ciphertext = ciphertext
        self.updatedAt = updatedAt
    }
}

/// Where sealed RDP passwords are kept, apart from the log and from everything that can be rebuilt. Calls
/// block; any thread may call.
package protocol PasswordRecords: Sendable {
    /// Keeps a record durably, in the place of one that is there.
    /// - Returns: false, and nothing is kept, when the session's password was removed for good.
    func put(_ record: PasswordRecord) throws -> Bool
    /// The record of a session; nil when there is none.
    func record(ofSession sessionID: String) throws -> PasswordRecord?
    /// Removes a session's record durably.
    /// - Parameter forGood: leaves a mark, so that a request that was on its way when the session was deleted
    ///   can't bring a password back.
    func remove(session sessionID: String, forGood: Bool) throws
}
