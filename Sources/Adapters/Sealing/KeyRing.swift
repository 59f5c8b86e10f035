internal import Files
internal import Base

/// The key-encryption keys of a folder: wraps data keys with the active one, unwraps with any.
///
/// The folder holds one file `<id>.kek` for each key (64 hexadecimal digits and a line feed, mode 0600, never
/// changed) and one file `active` with the id of the active key, which alone is replaced when keys are
/// rotated; so a crash at any point leaves exactly one active key. May be shared by threads and processes.
package final class KeyRing: Sendable {
    /// The folder.
    package let folder: String
    private let files: KeyFiles
    private let secrets = Lock<[String: SecretBytes]>([:])

    private init(folder: String) throws(KeyFailure) {
        self.folder = folder
        files = try KeyFiles(folder: folder)
    }

    /// Opens the folder, and makes it and a first key if there is none. Any number of processes may do so at
    /// once; they agree on one key.
    /// - Throws: `exposed` when others can read a key file or write the folder, `foreignOwner`,
    ///   `damagedFile`, `file`.
    package static func open(folder: String) throws(KeyFailure) -> KeyRing {
        let ring = try KeyRing(folder: folder)
        if try ring.files.activeID() == nil {
            try ring.files.createFirst(id: newID(), secret: SecretBytes(randomCount: SessionKey.byteCount))
        }
        // Finds damage and wrong permissions now instead of at the first session.
        _ = try ring.keys()
        _ = try ring.activeKey()
        return ring
    }

    /// Whether the folder names an active key; makes the folder where there is none.
    package static func hasKey(folder: String) throws(KeyFailure) -> Bool {
        try KeyRing(folder: folder).files.activeID() != nil
    }

    /// Opens the folder as it is, for whoever only looks: no key is made, and none need be there.
    package static func look(into folder: String) throws(KeyFailure) -> KeyRing {
        try KeyRing(folder: folder)
    }

    /// Opens the folder of a vault that may hold data keys already: then a folder without any key was
    /// emptied, or is another one, and no new key is made in it.
    /// - Parameter wrappers: ids of the keys that data keys are wrapped by; asked where the folder has none.
    /// - Throws: as `open(folder:)`, and `lost`; what `wrappers` throws.
    package static func open(folder: String, unlessNeeded wrappers: () throws -> [String]) throws -> KeyRing {
        if try !hasKey(folder: folder) {
            let ids = try wrappers()
            if !ids.isEmpty { throw KeyFailure.lost(folder: folder, ids: ids) }
        }
        return try open(folder: folder)
    }

    /// All keys, the active one first, then by id. Reads the folder.
    package func keys() throws(KeyFailure) -> [KeyEncryptionKey] {
        let active = try files.activeID()
        var found: [KeyEncryptionKey] = []
        for id in try files.ids() {
            do throws(KeyFailure) {
                found.append(
                    KeyEncryptionKey(
                        id: id, state: id == active ? .active : .retired, secret: try secret(id)))
            } catch .unknownKeyEncryptionKey where id != active {
                // Another process has just made a first key too, has seen that it came second, and took
                // its own away again.
                continue
            }
        }
        return found.filter { $0.state == .active } + found.filter { $0.state == .retired }
    }

    /// Ids of the keys whose files are in the folder now, whatever is in memory.
    package func ids() throws(KeyFailure) -> Set<String> { Set(try files.ids()) }

    /// Makes a new active key and retires the one before. Keys wrapped earlier go on unwrapping;
    /// `rewrap` moves them over.
    @discardableResult
    package func rotate() throws(KeyFailure) -> KeyEncryptionKey {
        let id = Self.newID()
        try files.write(id: id, secret: SecretBytes(randomCount: SessionKey.byteCount))
        try files.activate(id)
        return try activeKey()
    }

    /// Encrypts a session's data key with the key that is active now.
    package func wrap(_ key: SessionKey) throws(KeyFailure) -> WrappedKey {
        try activeKey().wrap(key)
    }

    /// Decrypts a session's data key.
    /// - Throws: `unknownKeyEncryptionKey`; `unwrapFailed` when anything was changed.
    package func unwrap(_ wrapped: WrappedKey) throws(KeyFailure) -> SessionKey {
        let id = wrapped.keyEncryptionKeyID
        return try KeyEncryptionKey(id: id, state: .retired, secret: try secret(id)).unwrap(wrapped)
    }

    /// The same data key under the key that is active now; nil when it is wrapped by that one already.
    package func rewrap(_ wrapped: WrappedKey) throws(KeyFailure) -> WrappedKey? {
        let active = try activeKey()
        guard wrapped.keyEncryptionKeyID != active.id else { return nil }
        return active.wrap(try unwrap(wrapped))
    }

    /// The active key. Read from the folder every time: another process may have rotated.
    package func activeKey() throws(KeyFailure) -> KeyEncryptionKey {
        guard let id = try files.activeID() else {
            throw .damagedFile(path: files.activePath, reason: "it is missing")
        }
        return KeyEncryptionKey(id: id, state: .active, secret: try secret(id))
    }

    /// A key's bytes, from memory or its file; files never change.
    func secret(_ id: String) throws(KeyFailure) -> SecretBytes {
        if let known = secrets.withLock({ $0[id] }) { return known }
        let read = try files.read(id: id)
        secrets.withLock { $0[id] = read }
        return read
    }

    private static func newID() -> String {
        Identifier.random(prefix: "kek-", bytes: 8)
    }
}
