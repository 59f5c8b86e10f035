package import Files
package import Base

/// What was put into one sealed file.
package struct SealedImage: Hashable, Sendable {
    /// The header as written.
    package let header: SealedHeader
    /// Length of the codec's output (the payload before encryption), in bytes.
    package let payloadBytes: Int
    /// Length of the whole file, in bytes.
    package let fileBytes: Int
    /// SHA-256(0x00 ‖ file): the chunk's `merkle_hash`.
    package let leafHash: Digest

    /// Milliseconds that compression took; 0 when the payload came compressed.
    package internal(set) var compressionMilliseconds = 0.0

    /// The codec's output divided by the original; 1 for an empty chunk. Never more than 1.
    package var compressionRatio: Double {
        header.originalBytes == 0 ? 1 : Double(payloadBytes) / Double(header.originalBytes)
    }
}

/// Layout of a sealed chunk file.
package enum SealedLayout {
    /// The longest beginning of a file that a header can end in, in bytes.
    package static let maximumStartBytes = fixedBytes + SealedHeader.maximumBytes

    /// The longest file that so many original bytes can come to: a payload is never longer than they are.
    package static func maximumFileBytes(originalBytes: Int, cipher: Cipher) -> Int {
        maximumStartBytes + nonceBytes(cipher) + originalBytes + tagBytes(cipher)
    }

    static let magic = [UInt8]("REELCHK1".utf8)
    /// Magic and header length.
    static let fixedBytes = 12

    static func nonceBytes(_ cipher: Cipher) -> Int {
        cipher == .none ? 0 : XChaCha20Poly1305.nonceBytes
    }

    static func tagBytes(_ cipher: Cipher) -> Int {
        cipher == .none ? 0 : XChaCha20Poly1305.tagBytes
    }
}

/// Makes sealed chunk files in memory. One thread; keeps its contexts between chunks.
///
/// Payload, encryption and Merkle leaf are done in one pass of pieces that stay in the processor's cache.
package final class Sealer {
    /// Small enough for the second-level cache, large enough to make calls not matter.
    private static let pieceBytes = 128 * 1024

    private let cipherContext = XChaCha20Poly1305()
    private let leaf = SHA256()

    /// A sealer without state of any chunk.
    package init() {}

    /// Seals a payload that a codec has made already; replaces the contents of `image` with the file.
    /// - Parameters:
    ///   - payload: the codec's output, or the original for codec `none`; not inside `image`.
    ///   - key: the session's key; without a cipher it is committed to all the same.
    package func seal(
        _ payload: UnsafeRawBufferPointer, of chunk: ChunkIdentity, codec: Codec, originalBytes: Int,
        cipher: Cipher, key: SessionKey, into image: ScratchBuffer
    ) throws(SealFailure) -> SealedImage {
        guard codec != .none || payload.count == originalBytes else {
            throw .payload(.wrongSize(.none, declared: originalBytes, found: payload.count))
        }
        let header = try Self.header(
            chunk, codec: codec, cipher: cipher, originalBytes: originalBytes, key: key)
        let start = writePrefix(header, payloadRoom: payload.count, into: image)
        return finish(header, payload: payload, at: start, key: key, image: image)
    }

    /// Compresses and seals in one go: the compressor writes where the ciphertext will stand, so that the
    /// chunk is never copied. The same bytes, but for the nonce, as `Compressor.compress` and then `seal`.
    package func compressAndSeal(
        _ original: UnsafeRawBufferPointer, of chunk: ChunkIdentity, with compressor: Compressor,
        cipher: Cipher, key: SessionKey, into image: ScratchBuffer
    ) throws(SealFailure) -> SealedImage {
        let header = try Self.header(
            chunk, codec: compressor.codec, cipher: cipher, originalBytes: original.count, key: key)
        let room = compressor.room(for: original.count)
        let start = writePrefix(header, payloadRoom: room, into: image)
        let target = UnsafeMutableRawBufferPointer(start: image.base + start, count: room)
        let began = ContinuousClock.now
        let written: Int?
        do {
            written = try compressor.encode(original, into: target)
        } catch {
            throw .payload(error)
        }
        let compressing = (ContinuousClock.now - began) / Duration.milliseconds(1)
        var sealed: SealedImage
        if let written {
            let payload = UnsafeRawBufferPointer(start: image.base + start, count: written)
            sealed = finish(header, payload: payload, at: start, key: key, image: image)
        } else {
            sealed = try seal(
                original, of: chunk, codec: .none, originalBytes: original.count, cipher: cipher, key: key,
                into: image)
        }
        sealed.compressionMilliseconds = compressing
        return sealed
    }

    private static func header(
        _ chunk: ChunkIdentity, codec: Codec, cipher: Cipher, originalBytes: Int, key: SessionKey
    ) throws(SealFailure) -> SealedHeader {
        guard key.sessionID == chunk.sessionID else {
            throw .otherSession(expected: chunk.sessionID, found: key.sessionID)
        }
        return try SealedHeader(
            chunk: chunk, codec: codec, cipher: cipher, originalBytes: originalBytes, keyID: key.keyID,
            keyCommitment: key.commitment.hex)
    }

    /// Writes everything before the payload and makes room for the rest.
    /// - Returns: where the payload begins.
    private func writePrefix(_ header: SealedHeader, payloadRoom: Int, into image: ScratchBuffer) -> Int {
        let encoded = header.encoded()
        let nonceBytes = SealedLayout.nonceBytes(header.cipher)
        let start = SealedLayout.fixedBytes + encoded.count + nonceBytes
        image.removeAll()
        image.reserve(start + payloadRoom + SealedLayout.tagBytes(header.cipher))
        image.append(SealedLayout.magic)
        withUnsafeBytes(of: UInt32(encoded.count).littleEndian) { image.append($0) }
        image.append(encoded)
        image.appendUninitialized(nonceBytes) { target in
            Sodium.fillRandom(target)
            return nonceBytes
        }
        return start
    }

    /// Encrypts (or copies) the payload to its place and hashes the file on the way.
    private func finish(
        _ header: SealedHeader, payload: UnsafeRawBufferPointer, at start: Int, key: SessionKey,
        image: ScratchBuffer
    ) -> SealedImage {
        let prefix = UnsafeRawBufferPointer(start: image.base, count: start)
        let isEncrypted = header.cipher != .none
        if isEncrypted {
            let nonce = UnsafeRawBufferPointer(rebasing: prefix[(start - XChaCha20Poly1305.nonceBytes)...])
            cipherContext.begin(.sealing, key: key.encryptionKey, nonce: nonce, associatedData: prefix)
        }
        leaf.reset()
        leaf.update(byte: MerkleTree.leafPrefix)
        leaf.update(prefix)
        var offset = 0
        while offset < payload.count {
            let size = min(Self.pieceBytes, payload.count - offset)
            let source = UnsafeRawBufferPointer(rebasing: payload[offset..<offset + size])
            let target = image.base + start + offset
            if isEncrypted {
                cipherContext.update(source, into: target)
            } else if let from = source.baseAddress, from != UnsafeRawPointer(target) {
                target.copyMemory(from: from, byteCount: size)
            }
            leaf.update(UnsafeRawBufferPointer(start: target, count: size))
            offset += size
        }
        var end = start + payload.count
        if isEncrypted {
            cipherContext.writeTag(into: image.base + end)
            leaf.update(UnsafeRawBufferPointer(start: image.base + end, count: XChaCha20Poly1305.tagBytes))
            end += XChaCha20Poly1305.tagBytes
        }
        image.setCount(end)
        return SealedImage(
            header: header, payloadBytes: payload.count, fileBytes: end, leafHash: leaf.finish())
    }
}
