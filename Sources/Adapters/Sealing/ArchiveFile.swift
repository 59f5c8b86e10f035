package import Files
package import Base

/// Why an archive file could not be written or read.
package enum ArchiveFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// The operating system refused, or there is no such file.
    case storage(StorageFailure)
    /// The file is not what was written.
    case damaged(path: String, text: String)
    /// The library could not compress.
    case codec(path: String, CodecFailure)

    /// One line for people.
    package var description: String {
        switch self {
        case .storage(let failure): failure.description
        case .damaged(let path, let text): "\(path) is damaged: \(text)"
        case .codec(let path, let failure): "\(path): \(failure)"
        }
    }
}

/// The three parts of an archive file.
package struct ArchiveFile: Hashable, Sendable {
    /// What the file says of itself.
    package var header: [UInt8]
    /// What is in it.
    package var index: [UInt8]
    /// The contents; compressed in the file.
    package var payload: [UInt8]
    package init(header: [UInt8], index: [UInt8], payload: [UInt8]) {
        self.header = header
        self.index = index
        self.payload = payload
    }
}

/// The parts of an archive file that stand before its contents.
package struct ArchiveFront: Hashable, Sendable {
    /// What the file says of itself.
    package let header: [UInt8]
    /// What is in it.
    package let index: [UInt8]
    /// The digest of the file up to the index's end.
    package let digest: Digest
}

/// The bytes of an archive file.
///
/// ```
/// 0        8 bytes  "REELSEG1"
/// 8        u32 LE   H, length of the header
/// 12       u32 LE   I, length of the index
/// 16       u64 LE   P, length of the payload
/// 24       H bytes  header
/// 24+H     I bytes  index
/// then     32 bytes SHA-256 of everything before
/// then     payload: one Zstandard frame, or the P bytes as they are where a frame would not be smaller
/// then     32 bytes SHA-256 of everything before
/// ```
enum ArchiveImage {
    static let magic = [UInt8]("REELSEG1".utf8)
    static let fixedBytes = 24
    /// Largest payload and largest front; more is damage.
    static let limitBytes = 1 << 29

    /// Lengths that stand in the first 24 bytes; nil when they cannot be right.
    static func lengths(_ bytes: [UInt8]) -> (front: Int, header: Int, index: Int, payload: Int)? {
        guard bytes.count >= fixedBytes, bytes.starts(with: magic) else { return nil }
        func number(_ at: Int, _ width: Int) -> Int? {
            let value = bytes[at..<at + width].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            return value <= UInt64(limitBytes) ? Int(value) : nil
        }
        guard let header = number(8, 4), let index = number(12, 4), let payload = number(16, 8) else {
            return nil
        }
        return (fixedBytes + header + index + Digest.byteCount, header, index, payload)
    }

    static func encode(_ file: ArchiveFile, level: Int) throws(CodecFailure) -> [UInt8] {
        var bytes = magic
        func put(_ value: Int, _ width: Int) {
            for shift in 0..<width { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * shift))) }
        }
        put(file.header.count, 4)
        put(file.index.count, 4)
        put(file.payload.count, 8)
        bytes += file.header
        bytes += file.index
        bytes += SHA256.hash(bytes).bytes
        let frame = ScratchBuffer()
        let compressor = try Compressor(codec: .zstd, level: level)
        let outcome = file.payload.withUnsafeBytes { payload in
            Result { () throws(CodecFailure) in try compressor.compress(payload, into: frame) }
        }
        let codec = try outcome.get()
        bytes += codec == .none ? file.payload : frame.copyBytes()
        bytes += SHA256.hash(bytes).bytes
        return bytes
    }

    /// The header and the index from the beginning of a file.
    static func front(_ bytes: [UInt8]) -> ArchiveFront? {
        guard let lengths = lengths(bytes), bytes.count >= lengths.front else { return nil }
        let end = lengths.front - Digest.byteCount
        let digest = digest(bytes[..<end])
        guard digest.bytes.elementsEqual(bytes[end..<lengths.front]) else { return nil }
        let split = fixedBytes + lengths.header
        return ArchiveFront(
            header: Array(bytes[fixedBytes..<split]), index: Array(bytes[split..<end]), digest: digest)
    }

    private static func digest(_ bytes: ArraySlice<UInt8>) -> Digest {
        bytes.withUnsafeBytes { SHA256.hash($0) }
    }

    /// The front of a whole file, and the digest of all of it before its last 32 bytes. Decompresses nothing.
    static func verify(
        _ bytes: [UInt8], path: String
    ) throws(ArchiveFailure) -> (front: ArchiveFront, digest: Digest) {
        func damaged(_ text: String) -> ArchiveFailure { .damaged(path: path, text: text) }
        guard let lengths = lengths(bytes), bytes.count >= lengths.front + Digest.byteCount else {
            throw damaged("it does not begin like an archive file, or is cut short")
        }
        let end = bytes.count - Digest.byteCount
        let digest = digest(bytes[..<end])
        guard digest.bytes.elementsEqual(bytes[end...]) else {
            throw damaged("its SHA-256 is \(digest), not what it ends with")
        }
        guard let front = front(bytes) else { throw damaged("its header or index has another SHA-256") }
        return (front, digest)
    }

    /// Everything, and the digest of the whole file.
    static func decode(
        _ bytes: [UInt8], path: String
    ) throws(ArchiveFailure) -> (file: ArchiveFile, digest: Digest, frontDigest: Digest) {
        func damaged(_ text: String) -> ArchiveFailure { .damaged(path: path, text: text) }
        let (front, digest) = try verify(bytes, path: path)
        guard let lengths = lengths(bytes) else { throw damaged("it does not begin like an archive file") }
        let end = bytes.count - Digest.byteCount
        let payload = ScratchBuffer()
        do throws(CodecFailure) {
            let outcome = bytes.withUnsafeBytes { all in
                let stored = UnsafeRawBufferPointer(rebasing: all[lengths.front..<end])
                return Result { () throws(CodecFailure) in
                    try Decompressor().decompress(
                        stored, codec: stored.count == lengths.payload ? .none : .zstd,
                        originalBytes: lengths.payload, into: payload)
                }
            }
            try outcome.get()
        } catch { throw damaged("\(error)") }
        return (
            ArchiveFile(header: front.header, index: front.index, payload: payload.copyBytes()), digest,
            front.digest
        )
    }
}
