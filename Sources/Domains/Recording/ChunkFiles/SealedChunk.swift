package import Sealing
internal import Files
package import Base

/// What the log says of a recorded chunk, before it is sealed: what its sealed file must give back.
package struct RecordedChunk: Hashable, Sendable {
    /// Which chunk.
    package let identity: ChunkIdentity
    /// Length of the recorded bytes.
    package let originalBytes: Int
    /// HMAC-SHA256 of the recorded bytes under the session's key.
    package let contentDigest: Digest
    /// Id of the session's data key.
    package let keyID: String
    /// How the payload has to be encrypted.
    package let cipher: Cipher

    /// A description from the fields of an event.
    /// - Throws: `malformed`, naming the field. None of them is optional: a field that can't be checked by is
    ///   an error, never a check that is left out.
    package init(
        sessionID: String, chunkID: String, sequenceNumber: Int, sizeBytes: Int, contentDigest: String,
        keyID: String, cipher: String
    ) throws(SealedFileFault) {
        let subject = "\(sessionID) number \(sequenceNumber)"
        func malformed(_ field: String, _ text: String) -> SealedFileFault {
            SealedFileFault(.malformed, subject: subject, "\(field) \(text)")
        }
        do throws(SealFailure) {
            identity = try ChunkIdentity(
                chunkID: chunkID, sessionID: sessionID, sequenceNumber: sequenceNumber)
        } catch { throw malformed("chunk", "\(error)") }
        guard (0...SealedHeader.maximumInteger).contains(sizeBytes) else {
            throw malformed("size_bytes", "\(sizeBytes) is out of range")
        }
        originalBytes = sizeBytes
        guard let digest = Digest(hex: contentDigest) else {
            throw malformed(
                "content_digest", "\"\(contentDigest.prefix(80))\" is not 64 lower-case hexadecimal digits")
        }
        self.contentDigest = digest
        guard Identifier.isValid(keyID) else {
            throw malformed("key_id", "\"\(keyID.prefix(120))\" is no valid id")
        }
        self.keyID = keyID
        guard let known = Cipher(rawValue: cipher) else {
            throw malformed("cipher", "\"\(cipher.prefix(40))\" is unknown")
        }
        self.cipher = known
    }
}

/// What the log says of a stored chunk: everything that its sealed file is checked against.
package struct SealedChunk: Hashable, Sendable {
    /// What was recorded.
    package let recorded: RecordedChunk
    /// How the payload is compressed.
    package let codec: Codec
    /// Length of the codec's output.
    package let compressedBytes: Int
    /// Length of the file.
    package let sealedBytes: Int
    /// SHA-256(0x00 ‖ file).
    package let merkleHash: Digest

    /// Which chunk.
    package var identity: ChunkIdentity { recorded.identity }

    /// A description from the fields of an event.
    /// - Throws: `malformed`, naming the field.
    package init(
        _ recorded: RecordedChunk, codec: String, compressedBytes: Int, sealedBytes: Int, merkleHash: String
    ) throws(SealedFileFault) {
        self.recorded = recorded
        func malformed(_ field: String, _ text: String) -> SealedFileFault {
            SealedFileFault(.malformed, subject: recorded.subject, "\(field) \(text)")
        }
        guard let known = Codec(rawValue: codec) else {
            throw malformed("codec", "\"\(codec.prefix(40))\" is unknown")
        }
        self.codec = known
        for (field, value) in [("compressed_bytes", compressedBytes), ("sealed_bytes", sealedBytes)]
        where !(0...SealedHeader.maximumInteger).contains(value) {
            throw malformed(field, "\(value) is out of range")
        }
        self.compressedBytes = compressedBytes
        self.sealedBytes = sealedBytes
        guard let hash = Digest(hex: merkleHash) else {
            throw malformed(
                "merkle_hash", "\"\(merkleHash.prefix(80))\" is not 64 lower-case hexadecimal digits")
        }
        self.merkleHash = hash
    }

    /// What a file that was found says of a chunk that the log does not describe as sealed yet.
    init(_ recorded: RecordedChunk, codec: Codec, compressedBytes: Int, sealedBytes: Int, merkleHash: Digest)
    {
        self.recorded = recorded
        self.codec = codec
        self.compressedBytes = compressedBytes
        self.sealedBytes = sealedBytes
        self.merkleHash = merkleHash
    }
}

extension RecordedChunk {
    /// The file's place in the store, for people.
    var subject: String {
        let path = try? ChunkStore.relativePath(
            session: identity.sessionID, sequence: identity.sequenceNumber)
        return path ?? "\(identity.sessionID) number \(identity.sequenceNumber)"
    }

    /// The longest file that can hold this chunk: a payload is never longer than what was recorded.
    var maximumSealedBytes: Int {
        SealedLayout.maximumFileBytes(originalBytes: originalBytes, cipher: cipher)
    }
}
