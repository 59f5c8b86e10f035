package import Base

/// A session's data key as it is kept: wrapped, useless without the key-encryption key.
package struct KeyRecord: Sendable, Hashable {
    /// The session it belongs to.
    package var sessionID: String
    /// Id of the data key; it stands in events and in sealed files.
    package var keyID: String
    /// Id of the key-encryption key that wraps it.
    package var keyEncryptionKeyID: String
    /// Nonce of the wrapping, 24 bytes.
    package var nonce: [UInt8]
    /// The wrapped key and its tag, 48 bytes.
    package var ciphertext: [UInt8]
    /// When the key was made.
    package var createdAt: Timestamp
    package init(
        sessionID: String, keyID: String, keyEncryptionKeyID: String, nonce: [UInt8], ciphertext: [UInt8],
        createdAt: Timestamp
    ) {
        self.sessionID = sessionID
        self.keyID = keyID
        self.keyEncryptionKeyID = keyEncryptionKeyID
        self.nonce = nonce
        self.ciphertext = ciphertext
        self.createdAt = createdAt
    }
}

/// A session's kept key is not what was written: somebody or something has changed it. Waiting does not help.
package struct UnreadableKeyRecord: Error, Sendable, Hashable, CustomStringConvertible {
    /// The session.
    package var sessionID: String
    /// What is wrong with it.
    package var text: String

    /// What is wrong, and with what.
    package init(sessionID: String, text: String) {
        self.sessionID = sessionID
        self.text = text
    }

    /// One line.
    package var description: String { "the kept key of session \(sessionID) cannot be read: \(text)" }
}

/// A session has no data key: it was destroyed, or is gone from where keys are kept.
package struct KeyMissing: Error, Sendable, Hashable, CustomStringConvertible {
    /// The session.
    package var sessionID: String
    /// Id of the key, where an event names it.
    package var keyID: String?

    /// A key that is not there.
    package init(sessionID: String, keyID: String? = nil) {
        self.sessionID = sessionID
        self.keyID = keyID
    }

    /// Which key is missing, where it should be, and what to do.
    package var description: String {
        "session \(sessionID) has no data key\(keyID.map { " (\($0))" } ?? ""): collection keys of database "
            + "reel_vault has no document of it; put that document back from a backup, for without it nothing "
            + "of the session can be recorded or read"
    }
}

/// Where wrapped keys are kept, apart from everything that can be rebuilt. Calls block; one thread.
package protocol KeyRecords: AnyObject {
    /// Keeps a record durably unless the session has one; answers the one that is kept.
    func keep(_ record: KeyRecord) throws -> KeyRecord
    /// The record of a session; nil when there is none.
    /// - Throws: `UnreadableKeyRecord`; what keeps the place from answering.
    func record(ofSession sessionID: String) throws -> KeyRecord?
    /// Removes a session's record for ever, durably: what the key sealed can't be opened by anybody again.
    /// One that is not there is no error.
    func destroy(ofSession sessionID: String) throws
}

/// A factory of per-thread views of the kept keys.
package protocol KeyArchive: Sendable {
    /// The records, for the calling thread.
    func open() throws -> any KeyRecords
}
