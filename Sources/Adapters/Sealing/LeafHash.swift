package import Files
package import Base
internal import Glibc

/// The Merkle leaf hash of sealed files: SHA-256(0x00 ‖ file), a chunk's `merkle_hash`.
package final class LeafHasher {
    private static let pieceBytes = 256 * 1024

    private let hasher = SHA256()
    private let piece = ScratchBuffer(capacity: LeafHasher.pieceBytes)

    /// A hasher for one thread.
    package init() {}

    /// The leaf hash of a file in memory.
    package func hash(_ image: UnsafeRawBufferPointer) -> Digest {
        hasher.reset()
        hasher.update(byte: MerkleTree.leafPrefix)
        hasher.update(image)
        return hasher.finish()
    }

    /// The leaf hash of a file that a person has named, read in pieces of 256 KiB; links are followed, and
    /// what comes through a pipe is taken. Call on a thread of its own.
    /// - Returns: the hash, the number of bytes read, and the file's header; nil where it is no sealed file.
    package func hash(
        fileAt path: String
    ) throws(StorageFailure) -> (hash: Digest, bytes: Int, header: SealedHeader?) {
        let file = try Files.openGiven(path)
        hasher.reset()
        hasher.update(byte: MerkleTree.leafPrefix)
        let start = ScratchBuffer(capacity: SealedLayout.fixedBytes + SealedHeader.maximumBytes)
        var total = 0
        while true {
            let size = try file.readOn(into: piece.base, count: Self.pieceBytes)
            if size == 0 { break }
            let bytes = UnsafeRawBufferPointer(start: piece.base, count: size)
            hasher.update(bytes)
            let wanted = SealedLayout.fixedBytes + SealedHeader.maximumBytes - start.count
            if wanted > 0 { start.append(UnsafeRawBufferPointer(rebasing: bytes.prefix(wanted))) }
            total += size
        }
        let header = start.withBytes { try? SealedParts(inspecting: $0, fileBytes: total).header }
        return (hasher.finish(), total, header)
    }
}
