package import Base
internal import CCrypto

/// A Merkle tree over a session's sealed files in order (section 2.1 of RFC 6962 and RFC 9162, SHA-256).
///
/// Keeps the hash of every complete subtree, 64 bytes a leaf, so that adding a leaf, the root of any earlier
/// size and every proof take a number of steps that grows with the logarithm of the size.
package struct MerkleTree: Sendable {
    /// Stands before a leaf's data, so that no leaf can pass for a node.
    static let leafPrefix: UInt8 = 0x00
    /// Stands before the two hashes of a node.
    static let nodePrefix: UInt8 = 0x01

    /// The root of the tree without leaves: SHA-256 of nothing.
    package static let emptyRoot = SHA256.hash([])

    /// `levels[k][i]` is the root of the leaves `i·2^k ..< (i+1)·2^k`.
    private var levels: [[Digest]] = [[]]

    /// A tree without leaves.
    package init() {}

    /// A tree of leaf hashes (`merkle_hash` of each chunk, in `sequence_number` order).
    package init(leafHashes: some Sequence<Digest>) {
        for hash in leafHashes { append(leafHash: hash) }
    }

    /// Number of leaves.
    package var leafCount: Int { levels[0].count }

    /// The leaf hashes in order.
    package var leafHashes: [Digest] { levels[0] }

    /// The root of all leaves.
    package var root: Digest { leafCount == 0 ? Self.emptyRoot : root(of: 0..<leafCount) }

    /// The root that the tree had with its first `size` leaves; nil beyond `leafCount`.
    package func root(size: Int) -> Digest? {
        guard (0...leafCount).contains(size) else { return nil }
        return size == 0 ? Self.emptyRoot : root(of: 0..<size)
    }

    /// Adds a leaf at the end.
    package mutating func append(leafHash: Digest) {
        var hash = leafHash
        var level = 0
        while true {
            if level == levels.count { levels.append([]) }
            levels[level].append(hash)
            let count = levels[level].count
            guard count.isMultiple(of: 2) else { return }
            hash = Self.node(levels[level][count - 2], levels[level][count - 1])
            level += 1
        }
    }

    /// The proof that leaf `index` (from 0) is in the tree of the first `treeSize` leaves (all by default):
    /// PATH of RFC 6962. Nil when there is no such leaf.
    package func inclusionProof(leafIndex index: Int, treeSize: Int? = nil) -> InclusionProof? {
        let size = treeSize ?? leafCount
        guard size <= leafCount, (0..<max(size, 0)).contains(index) else { return nil }
        var path: [Digest] = []
        var range = 0..<size
        while range.count > 1 {
            let middle = range.lowerBound + Self.split(range.count)
            if index < middle {
                path.append(root(of: middle..<range.upperBound))
                range = range.lowerBound..<middle
            } else {
                path.append(root(of: range.lowerBound..<middle))
                range = middle..<range.upperBound
            }
        }
        return InclusionProof(leafIndex: index, treeSize: size, path: path.reversed())
    }

    /// The proof that the tree of the first `treeSize` leaves (all by default) begins with the tree of the
    /// first `size`: PROOF of RFC 6962, defined from size 1. Nil for other sizes.
    package func consistencyProof(from size: Int, to treeSize: Int? = nil) -> ConsistencyProof? {
        let total = treeSize ?? leafCount
        guard total <= leafCount, size >= 1, size <= total else { return nil }
        var path: [Digest] = []
        var range = 0..<total
        // True while the old tree is a whole subtree from the start: its root is known to the verifier.
        var isKnown = true
        while range.upperBound != size {
            let middle = range.lowerBound + Self.split(range.count)
            if size <= middle {
                path.append(root(of: middle..<range.upperBound))
                range = range.lowerBound..<middle
            } else {
                path.append(root(of: range.lowerBound..<middle))
                range = middle..<range.upperBound
                isKnown = false
            }
        }
        if !isKnown { path.append(root(of: range)) }
        return ConsistencyProof(firstSize: size, secondSize: total, path: path.reversed())
    }

    /// SHA-256(0x01 ‖ left ‖ right).
    static func node(_ left: Digest, _ right: Digest) -> Digest {
        withUnsafeTemporaryAllocation(byteCount: 1 + 2 * Digest.byteCount, alignment: 1) { input in
            input[0] = nodePrefix
            left.withUnsafeBytes {
                UnsafeMutableRawBufferPointer(rebasing: input[1...]).copyMemory(from: $0)
            }
            right.withUnsafeBytes {
                UnsafeMutableRawBufferPointer(rebasing: input[(1 + Digest.byteCount)...]).copyMemory(from: $0)
            }
            return SHA256.hash(UnsafeRawBufferPointer(input))
        }
    }

    /// The largest power of two below `count`, which is 2 or more.
    private static func split(_ count: Int) -> Int {
        1 << (Int.bitWidth - 1 - (count - 1).leadingZeroBitCount)
    }

    /// The root of leaves that begin at a multiple of the largest power of two not above their number, as
    /// every range does that the RFC's splits make.
    private func root(of range: Range<Int>) -> Digest {
        let count = range.count
        if count & (count - 1) == 0 {
            let level = count.trailingZeroBitCount
            return levels[level][range.lowerBound >> level]
        }
        let middle = range.lowerBound + Self.split(count)
        return Self.node(root(of: range.lowerBound..<middle), root(of: middle..<range.upperBound))
    }
}
