internal import Glibc

/// The Merkle leaf hash of sealed files: SHA-256(0x00 ‖ file), a chunk's `merkle_hash`.
public final class LeafHasher {
    private static let pieceBytes = 256 * 1024

    private let hasher = SHA256()
    private let piece = ScratchBuffer(capacity: LeafHasher.pieceBytes)

    /// A hasher for one thread.
    public init() {}

    /// The leaf hash of a file in memory.
    public func hash(_ image: UnsafeRawBufferPointer) -> Digest {
        hasher.reset()
        hasher.update(byte: MerkleTree.leafPrefix)
        hasher.update(image)
        return hasher.finish()
    }

    /// The leaf hash of a file on disk, read in pieces of 256 KiB. Call on a thread of its own.
    /// - Returns: the hash and the number of bytes read.
    public func hash(fileAt path: String) throws(StorageFailure) -> (hash: Digest, bytes: Int) {
        let file = try Files.openForReading(path)
        hasher.reset()
        hasher.update(byte: MerkleTree.leafPrefix)
        var total = 0
        while true {
            let size = try file.read(into: piece.base, count: Self.pieceBytes, at: total)
            if size == 0 { break }
            hasher.update(UnsafeRawBufferPointer(start: piece.base, count: size))
            total += size
        }
        return (hasher.finish(), total)
    }
}
