package import Recording
package import ChunkFiles

// The fields of events become what sealed files are checked against. Nothing is left out where a field is
// malformed: that is an error of its own.

extension RecordedChunk {
    /// What an event says of a recorded chunk.
    /// - Throws: `malformed`, naming the field.
    package init(_ chunk: ChunkReference, _ content: ChunkContent) throws(SealedFileFault) {
        try self.init(
            sessionID: chunk.sessionID, chunkID: chunk.chunkID, sequenceNumber: chunk.sequenceNumber,
            sizeBytes: content.sizeBytes, contentDigest: content.digest, keyID: content.keyID,
            cipher: content.cipher)
    }
}

extension SealedChunk {
    /// What an event says of a chunk that is sealed, validated or stored.
    /// - Throws: `malformed`, naming the field.
    package init(_ event: ChunkEvent.Sealed) throws(SealedFileFault) {
        try self.init(
            RecordedChunk(event.chunk, event.content), codec: event.codec,
            compressedBytes: event.compressedBytes, sealedBytes: event.sealedBytes,
            merkleHash: event.merkleHash)
    }
}
