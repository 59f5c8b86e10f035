internal import Base

/// How a sealed file's payload is encrypted, by the name written in its header.
package enum Cipher: String, CaseIterable, Hashable, Sendable {
    /// The plain payload; nothing is authenticated but by the Merkle tree.
    case none
    /// XChaCha20-Poly1305-IETF with a random nonce of 24 bytes.
    case xchacha20poly1305
}

/// Which chunk of which session.
package struct ChunkIdentity: Hashable, Sendable {
    /// Unique id of the chunk.
    package let chunkID: String
    /// The session it belongs to.
    package let sessionID: String
    /// Its place in the session, from 1.
    package let sequenceNumber: Int

    /// Both ids must satisfy `Identifier.isValid`, and the number must be 1 or more and below 2^53.
    package init(chunkID: String, sessionID: String, sequenceNumber: Int) throws(SealFailure) {
        for id in [chunkID, sessionID] where !Identifier.isValid(id) {
            throw .invalidHeader(reason: "\"\(id)\" is no valid id")
        }
        guard (1...SealedHeader.maximumInteger).contains(sequenceNumber) else {
            throw .invalidHeader(reason: "sequence_number \(sequenceNumber) is not 1 or more")
        }
        self.chunkID = chunkID
        self.sessionID = sessionID
        self.sequenceNumber = sequenceNumber
    }
}

/// The header of a sealed chunk file: readable by everyone, authenticated with the payload.
package struct SealedHeader: Hashable, Sendable {
    /// Largest header that is written or read, in bytes.
    package static let maximumBytes = 4096
    /// Largest integer that RFC 8785 writes exactly: 2^53 - 1.
    package static let maximumInteger = 9_007_199_254_740_991

    /// Which chunk this is.
    package let chunk: ChunkIdentity
    /// How the payload is compressed.
    package let codec: Codec
    /// How the payload is encrypted.
    package let cipher: Cipher
    /// Length of the chunk before compression, in bytes.
    package let originalBytes: Int
    /// Id of the session's data key. Empty only without a cipher.
    package let keyID: String
    /// 64 hexadecimal digits that only the holder of the data key can make. Empty exactly when `keyID` is.
    package let keyCommitment: String

    /// A header whose fields keep the rules of the format; `SealFailure.invalidHeader` says which is broken.
    package init(
        chunk: ChunkIdentity, codec: Codec, cipher: Cipher, originalBytes: Int, keyID: String,
        keyCommitment: String
    ) throws(SealFailure) {
        guard (0...Self.maximumInteger).contains(originalBytes) else {
            throw .invalidHeader(reason: "original_bytes \(originalBytes) is out of range")
        }
        let isKeyless = cipher == .none && keyID.isEmpty && keyCommitment.isEmpty
        guard isKeyless || Identifier.isValid(keyID) else {
            throw .invalidHeader(reason: "key_id \"\(keyID)\" is no valid id")
        }
        guard isKeyless || Digest(hex: keyCommitment) != nil else {
            throw .invalidHeader(reason: "key_commitment is not 64 lower-case hexadecimal digits")
        }
        self.chunk = chunk
        self.codec = codec
        self.cipher = cipher
        self.originalBytes = originalBytes
        self.keyID = keyID
        self.keyCommitment = keyCommitment
    }

    /// The header in canonical form (RFC 8785): names in order, no blanks. No value ever needs an escape.
    package func encoded() -> [UInt8] {
        var text = "{\"chunk_id\":\"\(chunk.chunkID)\",\"cipher\":\"\(cipher.rawValue)\""
        text += ",\"codec\":\"\(codec.rawValue)\",\"key_commitment\":\"\(keyCommitment)\""
        text += ",\"key_id\":\"\(keyID)\",\"original_bytes\":\(originalBytes)"
        text += ",\"sequence_number\":\(chunk.sequenceNumber),\"session_id\":\"\(chunk.sessionID)\"}"
        return [UInt8](text.utf8)
    }

    /// Reads a header that is byte for byte what `encoded()` writes. Anything else is refused with the place:
    /// unknown, missing or repeated fields, another order, blanks, escapes, leading zeros, bytes at the end.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(SealFailure) {
        guard bytes.count <= Self.maximumBytes else {
            throw .invalidHeader(reason: "\(bytes.count) bytes are more than \(Self.maximumBytes)")
        }
        var reader = CanonicalReader(bytes: bytes)
        try reader.expect("{\"chunk_id\":\"")
        let chunkID = try reader.word()
        try reader.expect("\",\"cipher\":\"")
        let cipher = try reader.name(of: Cipher.self)
        try reader.expect("\",\"codec\":\"")
        let codec = try reader.name(of: Codec.self)
        try reader.expect("\",\"key_commitment\":\"")
        let keyCommitment = try reader.word()
        try reader.expect("\",\"key_id\":\"")
        let keyID = try reader.word()
        try reader.expect("\",\"original_bytes\":")
        let originalBytes = try reader.integer()
        try reader.expect(",\"sequence_number\":")
        let sequenceNumber = try reader.integer()
        try reader.expect(",\"session_id\":\"")
        let sessionID = try reader.word()
        try reader.expect("\"}")
        try reader.expectEnd()
        try self.init(
            chunk: ChunkIdentity(chunkID: chunkID, sessionID: sessionID, sequenceNumber: sequenceNumber),
            codec: codec, cipher: cipher, originalBytes: originalBytes, keyID: keyID,
            keyCommitment: keyCommitment)
    }
}

/// Reads the one text that a canonical header can be, from left to right.
private struct CanonicalReader {
    let bytes: UnsafeRawBufferPointer
    var position = 0

    mutating func expect(_ literal: StaticString) throws(SealFailure) {
        let end = position + literal.utf8CodeUnitCount
        let matches = literal.withUTF8Buffer { wanted in
            end <= bytes.count && bytes[position..<end].elementsEqual(wanted)
        }
        guard matches else {
            throw .invalidHeader(reason: "expected \(literal) at byte \(position)")
        }
        position = end
    }

    func expectEnd() throws(SealFailure) {
        guard position == bytes.count else {
            throw .invalidHeader(reason: "bytes after the object, at byte \(position)")
        }
    }

    /// Characters that ids and names consist of, up to the next other one; may be none.
    mutating func word() throws(SealFailure) -> String {
        let start = position
        while position < bytes.count, Identifier.isAllowed(bytes[position]) { position += 1 }
        guard position - start <= Identifier.maximumLength else {
            throw .invalidHeader(reason: "value too long at byte \(start)")
        }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    mutating func name<Name: RawRepresentable>(
        of type: Name.Type
    ) throws(SealFailure) -> Name where Name.RawValue == String {
        let start = position
        let text = try word()
        guard let name = Name(rawValue: text) else {
            throw .invalidHeader(reason: "unknown name \"\(text)\" at byte \(start)")
        }
        return name
    }

    /// A decimal integer from 0 to 2^53 - 1 without leading zeros.
    mutating func integer() throws(SealFailure) -> Int {
        let start = position
        var value = 0
        while position < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position]) {
            value = value * 10 + Int(bytes[position] - UInt8(ascii: "0"))
            position += 1
            guard value <= SealedHeader.maximumInteger else {
                throw .invalidHeader(reason: "integer too large at byte \(start)")
            }
        }
        let digits = position - start
        guard digits > 0, digits == 1 || bytes[start] != UInt8(ascii: "0") else {
            throw .invalidHeader(reason: "no canonical integer at byte \(start)")
        }
        return value
    }
}
