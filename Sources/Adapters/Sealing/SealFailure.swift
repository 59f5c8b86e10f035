package import Base

/// Why a chunk could not be sealed, or what is wrong with a sealed file. None goes away by trying again with
/// the same bytes and key.
package enum SealFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// The file does not begin with `REELCHK1`.
    case notASealedFile
    /// The file ends inside the part that is named.
    case truncated(part: String, expectedBytes: Int, foundBytes: Int)
    /// The header breaks the format; the reason says where.
    case invalidHeader(reason: String)
    /// The file is another chunk's than the one asked for.
    case otherChunk(expected: ChunkIdentity, found: ChunkIdentity)
    /// The key given is another one than the header commits to.
    case wrongKey(expected: String, found: String)
    /// The key given belongs to another session.
    case otherSession(expected: String, found: String)
    /// Nonce, payload or tag were changed (or header fields, in a way that is still a valid header).
    case authenticationFailed
    /// The payload does not decompress to `original_bytes`.
    case payload(CodecFailure)
    /// The original's HMAC is not the one recorded.
    case digestMismatch(expected: Digest, found: Digest)
    /// The chunk is larger than the caller allows.
    case tooLarge(bytes: Int, limit: Int)

    /// One line for people.
    package var description: String {
        switch self {
        case .notASealedFile: "not a sealed chunk file: it does not begin with REELCHK1"
        case .truncated(let part, let expected, let found):
            "sealed file is cut short in its \(part): \(expected) bytes needed, \(found) found"
        case .invalidHeader(let reason): "sealed header is invalid: \(reason)"
        case .otherChunk(let expected, let found):
            "sealed file belongs to another chunk: expected \(expected.sessionID) number "
                + "\(expected.sequenceNumber) (\(expected.chunkID)), found \(found.sessionID) number "
                + "\(found.sequenceNumber) (\(found.chunkID))"
        case .wrongKey(let expected, let found):
            "wrong key: the file was sealed with \(expected), given is \(found)"
        case .otherSession(let expected, let found):
            "the key belongs to session \(found), the chunk to session \(expected)"
        case .authenticationFailed:
            "authentication failed: header, nonce, payload or tag were changed after sealing"
        case .payload(let failure): "payload is damaged: \(failure)"
        case .digestMismatch(let expected, let found):
            "content digest differs: recorded was \(expected.hex), found is \(found.hex)"
        case .tooLarge(let bytes, let limit): "chunk of \(bytes) bytes is over the limit of \(limit)"
        }
    }
}
