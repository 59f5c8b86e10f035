package import Recording
package import SessionContent
package import ChunkFiles
package import Sealing

/// What a role needs to touch content: the folders, the key-encryption keys and the wrapped keys.
package struct VaultAccess: Sendable {
    /// Recorded chunks that are not stored yet.
    package var spool: Spool
    /// Sealed files.
    package var chunks: ChunkStore
    /// Key-encryption keys.
    package var ring: KeyRing
    /// Wrapped data keys.
    package var archive: any KeyArchive
    package init(spool: Spool, chunks: ChunkStore, ring: KeyRing, archive: any KeyArchive) {
        self.spool = spool
        self.chunks = chunks
        self.ring = ring
        self.archive = archive
    }

    /// The sessions' keys, for the calling thread.
    package func openKeys() throws -> SessionKeys { SessionKeys(ring: ring, records: try archive.open()) }
}
