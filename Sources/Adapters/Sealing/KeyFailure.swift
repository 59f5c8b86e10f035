package import Files
/// Why a key could not be made, found, wrapped or unwrapped.
package enum KeyFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// A value breaks a rule: an id, a length.
    case invalid(what: String, reason: String)
    /// Someone other than the owner can read a key file, or write its folder.
    case exposed(path: String, mode: UInt32)
    /// A key file belongs to another user.
    case foreignOwner(path: String, owner: UInt32)
    /// A key file is not what this version writes.
    case damagedFile(path: String, reason: String)
    /// No key-encryption key with this id is in the folder.
    case unknownKeyEncryptionKey(id: String, folder: String)
    /// Ids, nonce or ciphertext of the wrapped key were changed, or another key with that id wrapped it.
    case unwrapFailed(keyID: String, sessionID: String, keyEncryptionKeyID: String)
    /// The folder has no key-encryption key at all, and data keys are wrapped by these.
    case lost(folder: String, ids: [String])
    /// The file system failed.
    case file(FileFailure)

    /// True when trying again later may succeed.
    package var isTransient: Bool {
        if case .file(let failure) = self { failure.isTransient } else { false }
    }

    /// Whether it is the kept key of a session that is not what was written, or was wrapped by a key that
    /// this machine does not have: nothing is away that might come back by itself.
    package var isOfRecord: Bool {
        switch self {
        case .invalid, .unknownKeyEncryptionKey, .unwrapFailed: true
        case .exposed, .foreignOwner, .damagedFile, .lost, .file: false
        }
    }

    /// One line for people.
    package var description: String {
        switch self {
        case .invalid(let what, let reason): "\(what) is invalid: \(reason)"
        case .exposed(let path, let mode):
            "\(path) has mode 0\(String(mode, radix: 8)) and is open to others: "
                + "remove the permissions of group and others (chmod go-rwx)"
        case .foreignOwner(let path, let owner):
            "\(path) belongs to user \(owner): key files must belong to the user that Reel runs as"
        case .damagedFile(let path, let reason): "key file \(path) is damaged: \(reason)"
        case .unknownKeyEncryptionKey(let id, let folder): "no key-encryption key \(id) in \(folder)"
        case .unwrapFailed(let keyID, let sessionID, let keyEncryptionKeyID):
            "data key \(keyID) of \(sessionID) does not unwrap with \(keyEncryptionKeyID): "
                + "it was changed, or wrapped for another session or by another key"
        case .lost(let folder, let ids):
            "the folder of keys \(folder) holds no key-encryption key, and data keys in the vault are wrapped "
                + "by \(ids.joined(separator: ", ")): mount or put back that folder; if it is lost for good, "
                + "'reel keys init --accept-loss' makes a new key, and what is recorded so far stays closed"
        case .file(let failure): failure.description
        }
    }
}
