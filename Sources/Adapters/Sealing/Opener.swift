package import Files
package import Base

/// The parts of a sealed file, found without a key.
package struct SealedParts: Hashable, Sendable {
    /// The header, decoded strictly.
    package let header: SealedHeader
    /// Where the header ends and the nonce (or the plain payload) begins.
    let headerEnd: Int

    /// Where the payload begins, in bytes from the start of the file.
    var payloadStart: Int { headerEnd + SealedLayout.nonceBytes(header.cipher) }

    /// Length of the codec's output in a file of `fileBytes` bytes.
    package func payloadBytes(inFileOf fileBytes: Int) -> Int {
        fileBytes - payloadStart - SealedLayout.tagBytes(header.cipher)
    }

    /// Reads the parts that stand before the payload. `bytes` is the file, or its beginning when `fileBytes`
    /// says how long the whole file is.
    /// - Throws: `notASealedFile`, `truncated`, `invalidHeader`.
    package init(
        inspecting bytes: UnsafeRawBufferPointer, fileBytes: Int? = nil
    ) throws(SealFailure) {
        let magic = SealedLayout.magic
        guard bytes.prefix(magic.count).elementsEqual(magic.prefix(bytes.count)) else {
            throw .notASealedFile
        }
        guard bytes.count >= SealedLayout.fixedBytes else {
            throw .truncated(part: "start", expectedBytes: SealedLayout.fixedBytes, foundBytes: bytes.count)
        }
        let length = Int(
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: magic.count, as: UInt32.self)))
        guard (2...SealedHeader.maximumBytes).contains(length) else {
            throw .invalidHeader(reason: "length \(length) is not 2 to \(SealedHeader.maximumBytes)")
        }
        headerEnd = SealedLayout.fixedBytes + length
        guard bytes.count >= headerEnd else {
            throw .truncated(part: "header", expectedBytes: headerEnd, foundBytes: bytes.count)
        }
        header = try SealedHeader(
            decoding: UnsafeRawBufferPointer(rebasing: bytes[SealedLayout.fixedBytes..<headerEnd]))
        let least = headerEnd + SealedLayout.nonceBytes(header.cipher) + SealedLayout.tagBytes(header.cipher)
        let total = fileBytes ?? bytes.count
        guard total >= least else {
            throw .truncated(part: "nonce and tag", expectedBytes: least, foundBytes: total)
        }
    }
}

/// Decrypts and decompresses sealed files in memory, for the one reader of them, which checks them against
/// the log. One thread; keeps its memory between chunks.
package final class Opener {
    private let cipherContext = XChaCha20Poly1305()
    private let decompressor = Decompressor()
    private let decrypted = ScratchBuffer()

    /// An opener without state of any chunk.
    package init() {}

    /// Replaces the contents of `output` with the original bytes of a sealed file.
    /// - Parameters:
    ///   - image: the whole file; not inside `output`.
    ///   - key: the session's key.
    ///   - chunk: the file must be this chunk's.
    ///   - contentDigest: the original must have this HMAC under the key.
    /// - Throws: what is damaged; `output` is empty then.
    @discardableResult
    package func open(
        _ image: UnsafeRawBufferPointer, key: SessionKey, expecting chunk: ChunkIdentity,
        contentDigest: Digest, maximumOriginalBytes: Int, into output: ScratchBuffer
    ) throws(SealFailure) -> SealedHeader {
        output.removeAll()
        let parts = try SealedParts(inspecting: image)
        let header = parts.header
        guard chunk == header.chunk else {
            throw .otherChunk(expected: chunk, found: header.chunk)
        }
        guard header.originalBytes <= maximumOriginalBytes else {
            throw .tooLarge(bytes: header.originalBytes, limit: maximumOriginalBytes)
        }
        try Self.check(key, against: header)
        try restore(image, parts: parts, key: key, into: output)
        let found = output.withBytes { key.contentDigester().authenticate($0) }
        guard found == contentDigest else {
            output.removeAll()
            throw .digestMismatch(expected: contentDigest, found: found)
        }
        return header
    }

    private static func check(_ key: SessionKey, against header: SealedHeader) throws(SealFailure) {
        guard key.sessionID == header.chunk.sessionID else {
            throw .otherSession(expected: header.chunk.sessionID, found: key.sessionID)
        }
        guard key.keyID == header.keyID, key.commitment.hex == header.keyCommitment else {
            throw .wrongKey(expected: header.keyID, found: key.keyID)
        }
    }

    private func restore(
        _ image: UnsafeRawBufferPointer, parts: SealedParts, key: SessionKey, into output: ScratchBuffer
    ) throws(SealFailure) {
        let header = parts.header
        var payload = UnsafeRawBufferPointer(rebasing: image[parts.payloadStart...])
        if header.cipher != .none {
            let bytes = payload.count - XChaCha20Poly1305.tagBytes
            if header.codec == .none {
                // The decrypted payload is the original: no second copy.
                guard bytes == header.originalBytes else {
                    throw .payload(.wrongSize(.none, declared: header.originalBytes, found: bytes))
                }
                return try decrypt(image, parts: parts, key: key, into: output)
            }
            try decrypt(image, parts: parts, key: key, into: decrypted)
            payload = UnsafeRawBufferPointer(start: decrypted.base, count: decrypted.count)
        }
        do {
            try decompressor.decompress(
                payload, codec: header.codec, originalBytes: header.originalBytes, into: output)
        } catch {
            throw .payload(error)
        }
    }

    /// Replaces the contents of `target` with the payload, or leaves it empty when it is not authentic.
    private func decrypt(
        _ image: UnsafeRawBufferPointer, parts: SealedParts, key: SessionKey, into target: ScratchBuffer
    ) throws(SealFailure) {
        let end = image.count - XChaCha20Poly1305.tagBytes
        let sealed = UnsafeRawBufferPointer(rebasing: image[parts.payloadStart..<end])
        target.removeAll()
        target.reserve(sealed.count)
        cipherContext.begin(
            .opening, key: key.encryptionKey,
            nonce: UnsafeRawBufferPointer(rebasing: image[parts.headerEnd..<parts.payloadStart]),
            associatedData: UnsafeRawBufferPointer(rebasing: image[..<parts.payloadStart]))
        cipherContext.update(sealed, into: target.base)
        guard cipherContext.verifies(tag: UnsafeRawBufferPointer(rebasing: image[end...])) else {
            throw .authenticationFailed
        }
        target.setCount(sealed.count)
    }
}
