internal import Recording
internal import Vault

/// Finds out what is wrong with a file whose hash is not the one in the log.
enum FileDamage {
    static func name(
        _ bytes: UnsafeRawBufferPointer, _ stored: ChunkEvent.Sealed, key: SessionKey?, opener: Opener
    ) -> (Finding.Kind, String) {
        let parts: SealedParts
        do { parts = try SealedParts(inspecting: bytes) } catch {
            if bytes.count < stored.sealedBytes { return truncated(bytes, stored) }
            return (.damaged, "\(error)")
        }
        let found = parts.header.chunk
        if found.sessionID != stored.chunk.sessionID {
            if parts.header.keyID != stored.content.keyID {
                return (.foreign, "the file is chunk \(found.chunkID) of session \(found.sessionID)")
            }
            return (.damaged, "header: session_id is \(found.sessionID)")
        }
        if found.sequenceNumber != stored.chunk.sequenceNumber, found.chunkID != stored.chunk.chunkID {
            return (.swapped, "the file is chunk \(found.chunkID)")
        }
        if bytes.count < stored.sealedBytes { return truncated(bytes, stored) }
        if bytes.count > stored.sealedBytes {
            return (.extended, "\(bytes.count) bytes instead of \(stored.sealedBytes)")
        }
        if let field = differingField(parts.header, stored, key) {
            return (.damaged, "header: \(field) is not what was sealed")
        }
        return (.damaged, "nonce, payload or tag: the bytes are not those that were sealed")
    }

    private static func truncated(
        _ bytes: UnsafeRawBufferPointer, _ stored: ChunkEvent.Sealed
    ) -> (Finding.Kind, String) {
        (.truncated, "\(bytes.count) bytes instead of \(stored.sealedBytes)")
    }

    private static func differingField(
        _ header: SealedHeader, _ stored: ChunkEvent.Sealed, _ key: SessionKey?
    ) -> String? {
        if header.chunk.chunkID != stored.chunk.chunkID { return "chunk_id" }
        if header.chunk.sequenceNumber != stored.chunk.sequenceNumber { return "sequence_number" }
        if header.codec.rawValue != stored.codec { return "codec" }
        if header.cipher.rawValue != stored.content.cipher { return "cipher" }
        if header.originalBytes != stored.content.sizeBytes { return "original_bytes" }
        if header.keyID != stored.content.keyID, !header.keyID.isEmpty { return "key_id" }
        if let key, !header.keyCommitment.isEmpty, header.keyCommitment != key.commitment.hex {
            return "key_commitment"
        }
        return nil
    }
}
