public import Recording
public import SessionContent
public import Vault

/// What a role needs to touch content: the folders, the key-encryption keys and the wrapped keys.
public struct VaultAccess: Sendable {
    /// Recorded chunks that are not stored yet.
    public var spool: Spool
    /// Sealed files.
    public var chunks: ChunkStore
    /// Key-encryption keys.
    public var ring: KeyRing
    /// Wrapped data keys.
    public var archive: any KeyArchive

    /// Access from its parts.
    public init(spool: Spool, chunks: ChunkStore, ring: KeyRing, archive: any KeyArchive) {
        self.spool = spool
        self.chunks = chunks
        self.ring = ring
        self.archive = archive
    }

    /// The sessions' keys, for the calling thread.
    public func openKeys() throws -> SessionKeys { SessionKeys(ring: ring, records: try archive.open()) }
}
