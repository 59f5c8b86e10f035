/// A session of which something is recorded, and the key that its chunks say they are recorded under.
package struct KeyDemand: Sendable, Hashable {
    /// The session.
    package var sessionID: String
    /// Id of the key; nil where its chunks do not name one, because they are not encrypted.
    package var keyID: String?
    package init(sessionID: String, keyID: String?) {
        self.sessionID = sessionID
        self.keyID = keyID
    }
}

/// A key that cannot be had, although something is recorded under it.
package struct KeyFinding: Sendable, Hashable, CustomStringConvertible {
    /// What is wrong.
    package enum Kind: String, Sendable, CaseIterable {
        /// The session's document is gone from the vault.
        case missing
        /// The document has another key than the one that the log names.
        case replaced
        /// The document does not unwrap: it was changed, or belongs to another session.
        case unusable
        /// The key-encryption key that wraps it is gone from its folder.
        case unwrappable
    }

    /// The session.
    package var sessionID: String
    /// Id of its key, as far as log or vault name one.
    package var keyID: String?
    /// What is wrong.
    package var kind: Kind
    /// What was found instead: another key's id, the key-encryption key's; empty where nothing was.
    package var found: String
    package init(sessionID: String, keyID: String?, kind: Kind, found: String = "") {
        self.sessionID = sessionID
        self.keyID = keyID
        self.kind = kind
        self.found = found
    }

    /// What is wrong, with what, and what to do, in one line.
    package var description: String {
        let key = keyID.map { "data key \($0)" } ?? "data key"
        return switch kind {
        case .missing:
            "session \(sessionID): its \(key) is gone from collection keys of database reel_vault; put the "
                + "document back from a backup of that database"
        case .replaced:
            "session \(sessionID): collection keys of database reel_vault has the key \(found) for it, and "
                + "its chunks are recorded under \(keyID ?? "another"); put the document back from a backup "
                + "of that database"
        case .unusable:
            "session \(sessionID): its \(key) does not unwrap: the document in collection keys of database "
                + "reel_vault was changed, or is another session's; put it back from a backup"
        case .unwrappable:
            "session \(sessionID): its \(key) is wrapped by the key-encryption key \(found), which is not in "
                + "the folder of keys; put its file back from a backup"
        }
    }
}
