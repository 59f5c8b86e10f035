package import Base

/// A Merkle tree that only grows: the roots of its complete subtrees, at most one for each power of two.
///
/// For computing a session's root while its chunks come in; 32 bytes for each bit of the leaf count.
package struct MerkleFrontier: Hashable, Sendable {
    /// Number of leaves.
    package private(set) var leafCount = 0
    /// Roots of complete subtrees, largest first: one for each bit set in `leafCount`.
    package private(set) var nodes: [Digest] = []

    /// A tree without leaves.
    package init() {}

    /// A tree as it was kept elsewhere; nil unless there is one node for each bit set in `leafCount`.
    package init?(leafCount: Int, nodes: [Digest]) {
        guard leafCount >= 0, leafCount.nonzeroBitCount == nodes.count else { return nil }
        self.leafCount = leafCount
        self.nodes = nodes
    }

    /// Adds a leaf at the end, in a number of steps that grows with the logarithm of the size.
    package mutating func append(leafHash: Digest) {
        var hash = leafHash
        // Each low bit set is a complete subtree of that size at the end, which the new one completes.
        for _ in 0..<(~leafCount).trailingZeroBitCount {
            guard let left = nodes.popLast() else { break }
            hash = MerkleTree.node(left, hash)
        }
        nodes.append(hash)
        leafCount += 1
    }

    /// The root of all leaves.
    package var root: Digest {
        guard var hash = nodes.last else { return MerkleTree.emptyRoot }
        for left in nodes.dropLast().reversed() {
            hash = MerkleTree.node(left, hash)
        }
        return hash
    }
}
