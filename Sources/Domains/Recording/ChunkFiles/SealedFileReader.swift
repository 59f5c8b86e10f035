package import Sealing
package import Files
/// The one way to open sealed files: reads a chunk's file from the store and checks it against what the log
/// says of the chunk. One thread; keeps its memory between chunks.
///
/// Every check is made for every file, whatever the file or the log says: a regular file of the store's own,
/// of the length in the log, with the hash in the log; a header that names this chunk, with the codec,
/// cipher, sizes and key of the log; the session's key, by its commitment; an authentic payload that
/// decompresses to as many bytes as were recorded; their digest. What fails is named, and no byte of it is
/// handed out.
package final class SealedFileReader {
    private let opener = Opener()
    private let hasher = LeafHasher()

    /// A reader without state of any chunk.
    package init() {}

    /// Replaces the contents of `image` with a chunk's whole file, checked as far as that goes without a key.
    package func read(
        _ chunk: SealedChunk, from store: ChunkStore, into image: ScratchBuffer
    ) throws(SealedFileFault) {
        do throws(StorageFailure) {
            try store.read(
                session: chunk.identity.sessionID, sequence: chunk.identity.sequenceNumber, into: image,
                expectedBytes: chunk.sealedBytes, maximumBytes: chunk.recorded.maximumSealedBytes)
        } catch {
            image.removeAll()
            throw diagnosis(error, chunk, store)
        }
        try verify(image, as: chunk)
    }

    /// Replaces the contents of `original` with what was recorded of a chunk, checked in every way.
    /// - Parameter image: holds the file meanwhile and afterwards.
    package func open(
        _ chunk: SealedChunk, from store: ChunkStore, key: SessionKey, image: ScratchBuffer,
        into original: ScratchBuffer
    ) throws(SealedFileFault) {
        original.removeAll()
        try read(chunk, from: store, into: image)
        try restore(image, chunk.recorded, key: key, into: original)
    }

    /// Opens a file that is in memory, as it came through the spool, checked in every way.
    package func open(
        _ image: ScratchBuffer, as chunk: SealedChunk, key: SessionKey, into original: ScratchBuffer
    ) throws(SealedFileFault) {
        original.removeAll()
        try verify(image, as: chunk)
        try restore(image, chunk.recorded, key: key, into: original)
    }

    /// Opens a file that was sealed just now and is still in memory: its hash was taken on the way.
    package func open(
        _ image: ScratchBuffer, sealedAs sealed: SealedImage, of chunk: RecordedChunk, key: SessionKey,
        into original: ScratchBuffer
    ) throws(SealedFileFault) {
        original.removeAll()
        let parts = try image.withBytes { bytes throws(SealedFileFault) in try Self.parts(of: bytes, chunk) }
        try Self.check(
            parts, image.count,
            SealedChunk(
                chunk, codec: sealed.header.codec, compressedBytes: sealed.payloadBytes,
                sealedBytes: sealed.fileBytes, merkleHash: sealed.leafHash))
        try restore(image, chunk, key: key, into: original)
    }

    /// Checks a file in memory as far as that goes without a key; `image` is empty when it does not hold.
    package func verify(_ image: ScratchBuffer, as chunk: SealedChunk) throws(SealedFileFault) {
        do throws(SealedFileFault) {
            try image.withBytes { bytes throws(SealedFileFault) in
                guard bytes.count == chunk.sealedBytes else {
                    throw SealedFileFault(
                        bytes.count < chunk.sealedBytes ? .truncated : .extended,
                        subject: chunk.recorded.subject,
                        "\(bytes.count) bytes instead of \(chunk.sealedBytes)")
                }
                guard hasher.hash(bytes) == chunk.merkleHash else { throw Self.damage(bytes, chunk) }
                let parts = try Self.parts(of: bytes, chunk.recorded)
                try Self.check(parts, bytes.count, chunk)
            }
        } catch {
            image.removeAll()
            throw error
        }
    }

    /// Takes over the file that a chunk has in the store although the log does not describe it as sealed: a
    /// worker has written it and died, or was too late. All checks are made but those by what only the event
    /// of sealing says.
    /// - Returns: what is to be said of the file.
    package func adopt(
        _ chunk: RecordedChunk, from store: ChunkStore, key: SessionKey, image: ScratchBuffer,
        into original: ScratchBuffer
    ) throws(SealedFileFault) -> SealedChunk {
        original.removeAll()
        do throws(StorageFailure) {
            try store.read(
                session: chunk.identity.sessionID, sequence: chunk.identity.sequenceNumber, into: image,
                expectedBytes: nil, maximumBytes: chunk.maximumSealedBytes)
        } catch { throw SealedFileFault(error, chunk) }
        let (parts, hash) = try image.withBytes { bytes throws(SealedFileFault) in
            (try Self.parts(of: bytes, chunk), hasher.hash(bytes))
        }
        let found = SealedChunk(
            chunk, codec: parts.header.codec, compressedBytes: parts.payloadBytes(inFileOf: image.count),
            sealedBytes: image.count, merkleHash: hash)
        try Self.check(parts, image.count, found)
        try restore(image, chunk, key: key, into: original)
        return found
    }

    // MARK: Checks

    private static func parts(
        of bytes: UnsafeRawBufferPointer, _ chunk: RecordedChunk
    ) throws(SealedFileFault) -> SealedParts {
        do throws(SealFailure) { return try SealedParts(inspecting: bytes) } catch {
            throw SealedFileFault(error, chunk)
        }
    }

    /// The header against the log.
    private static func check(
        _ parts: SealedParts, _ fileBytes: Int, _ chunk: SealedChunk
    ) throws(SealedFileFault) {
        guard let (field, found, expected) = difference(parts, fileBytes, chunk) else { return }
        throw SealedFileFault(
            .header, subject: chunk.recorded.subject,
            "the file's \(field) is \(found), and the log says \(expected)")
    }

    private static func difference(
        _ parts: SealedParts, _ fileBytes: Int, _ chunk: SealedChunk
    ) -> (field: String, found: String, expected: String)? {
        let (header, recorded) = (parts.header, chunk.recorded)
        let facts = [
            ("session_id", header.chunk.sessionID, recorded.identity.sessionID),
            ("chunk_id", header.chunk.chunkID, recorded.identity.chunkID),
            ("sequence_number", "\(header.chunk.sequenceNumber)", "\(recorded.identity.sequenceNumber)"),
            ("codec", header.codec.rawValue, chunk.codec.rawValue),
            ("cipher", header.cipher.rawValue, recorded.cipher.rawValue),
            ("original_bytes", "\(header.originalBytes)", "\(recorded.originalBytes)"),
            ("key_id", header.keyID, recorded.keyID),
            ("payload's length", "\(parts.payloadBytes(inFileOf: fileBytes))", "\(chunk.compressedBytes)"),
        ]
        return facts.first { $0.1 != $0.2 }
    }

    /// Decrypts, decompresses, and compares the digest.
    private func restore(
        _ image: ScratchBuffer, _ chunk: RecordedChunk, key: SessionKey, into original: ScratchBuffer
    ) throws(SealedFileFault) {
        do throws(SealFailure) {
            _ = try image.withBytes { bytes throws(SealFailure) in
                try opener.open(
                    bytes, key: key, expecting: chunk.identity, contentDigest: chunk.contentDigest,
                    maximumOriginalBytes: chunk.originalBytes, into: original)
            }
        } catch { throw SealedFileFault(error, chunk) }
    }

    // MARK: Diagnosis

    /// Finds out whose file it is where its length is another one, from its beginning alone.
    private func diagnosis(
        _ failure: StorageFailure, _ chunk: SealedChunk, _ store: ChunkStore
    ) -> SealedFileFault {
        let fault = SealedFileFault(failure, chunk.recorded)
        guard fault.check == .truncated || fault.check == .extended,
            let header = store.header(
                session: chunk.identity.sessionID, sequence: chunk.identity.sequenceNumber),
            let other = Self.otherChunk(header, chunk)
        else { return fault }
        return other
    }

    /// What is wrong with a file of the right length whose hash is not the one in the log.
    private static func damage(_ bytes: UnsafeRawBufferPointer, _ chunk: SealedChunk) -> SealedFileFault {
        func damaged(_ text: String) -> SealedFileFault {
            SealedFileFault(.damaged, subject: chunk.recorded.subject, text)
        }
        let parts: SealedParts
        do throws(SealFailure) { parts = try SealedParts(inspecting: bytes) } catch {
            return damaged("\(error)")
        }
        if let other = otherChunk(parts.header, chunk) { return other }
        if let (field, found, expected) = difference(parts, bytes.count, chunk) {
            return damaged("header: \(field) is \(found), and the log says \(expected)")
        }
        return damaged("commitment, nonce, payload or tag: the bytes are not those that were sealed")
    }

    private static func otherChunk(_ header: SealedHeader, _ chunk: SealedChunk) -> SealedFileFault? {
        let (found, expected) = (header.chunk, chunk.identity)
        let subject = chunk.recorded.subject
        if found.sessionID != expected.sessionID {
            // One header field that was changed makes no other session's file.
            guard header.keyID != chunk.recorded.keyID else { return nil }
            return SealedFileFault(
                .foreign, subject: subject, "the file is chunk \(found.chunkID) of session \(found.sessionID)"
            )
        }
        guard found.sequenceNumber != expected.sequenceNumber, found.chunkID != expected.chunkID else {
            return nil
        }
        return SealedFileFault(.swapped, subject: subject, "the file is chunk \(found.chunkID)")
    }
}

extension ChunkStore {
    /// The header of a chunk's file, from its beginning; nil where there is none that can be read.
    fileprivate func header(session: String, sequence: Int) -> SealedHeader? {
        let start = ScratchBuffer(capacity: SealedLayout.maximumStartBytes)
        guard let size = try? readStart(session: session, sequence: sequence, into: start) else { return nil }
        return try? start.withBytes { try SealedParts(inspecting: $0, fileBytes: size).header }
    }
}
