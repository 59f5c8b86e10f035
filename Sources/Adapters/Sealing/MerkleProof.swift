package import Base

/// Proof that one leaf stands at one place of a tree (audit path, RFC 6962 section 2.1.1).
package struct InclusionProof: Hashable, Sendable {
    /// The leaf's place, from 0: the chunk's `sequence_number` less one.
    package let leafIndex: Int
    /// Number of leaves in the tree.
    package let treeSize: Int
    /// The missing nodes from the leaf up.
    package let path: [Digest]

    /// A proof from its parts, as read from a document; `verifies` judges it.
    package init(leafIndex: Int, treeSize: Int, path: [Digest]) {
        self.leafIndex = leafIndex
        self.treeSize = treeSize
        self.path = path
    }

    /// The root that this proof leads to from a leaf hash; nil when the path has a wrong length or the index
    /// lies outside the tree (RFC 9162 section 2.1.3.2).
    package func root(leafHash: Digest) -> Digest? {
        guard leafIndex >= 0, leafIndex < treeSize else { return nil }
        var node = leafIndex
        var last = treeSize - 1
        var hash = leafHash
        for sibling in path {
            guard last != 0 else { return nil }
            if node & 1 == 1 || node == last {
                hash = MerkleTree.node(sibling, hash)
                // A right edge without siblings takes part again at the next complete level.
                while node & 1 == 0, node != 0 {
                    node >>= 1
                    last >>= 1
                }
            } else {
                hash = MerkleTree.node(hash, sibling)
            }
            node >>= 1
            last >>= 1
        }
        return last == 0 ? hash : nil
    }

    /// True when a leaf with this hash is at this place of the tree with this root.
    package func verifies(leafHash: Digest, root: Digest) -> Bool {
        self.root(leafHash: leafHash) == root
    }
}

/// Proof that a tree begins with an earlier tree (RFC 6962 section 2.1.2).
package struct ConsistencyProof: Hashable, Sendable {
    /// Number of leaves in the earlier tree, 1 or more.
    package let firstSize: Int
    /// Number of leaves in the later tree.
    package let secondSize: Int
    /// The nodes from which both roots are made.
    package let path: [Digest]

    /// A proof from its parts, as read from a document; `verifies` judges it.
    package init(firstSize: Int, secondSize: Int, path: [Digest]) {
        self.firstSize = firstSize
        self.secondSize = secondSize
        self.path = path
    }

    /// True when the later tree holds the earlier one's leaves, unchanged and in order, as its first
    /// (RFC 9162 section 2.1.4.2).
    package func verifies(firstRoot: Digest, secondRoot: Digest) -> Bool {
        guard firstSize >= 1, firstSize <= secondSize else { return false }
        if firstSize == secondSize { return path.isEmpty && firstRoot == secondRoot }
        // A complete earlier tree is itself a node of the later one and left out of the path.
        let isComplete = firstSize & (firstSize - 1) == 0
        let nodes = isComplete ? [firstRoot] + path : path
        guard let start = nodes.first else { return false }
        var node = firstSize - 1
        var last = secondSize - 1
        while node & 1 == 1 {
            node >>= 1
            last >>= 1
        }
        var first = start
        var second = start
        for sibling in nodes.dropFirst() {
            guard last != 0 else { return false }
            if node & 1 == 1 || node == last {
                first = MerkleTree.node(sibling, first)
                second = MerkleTree.node(sibling, second)
                while node & 1 == 0, node != 0 {
                    node >>= 1
                    last >>= 1
                }
            } else {
                second = MerkleTree.node(second, sibling)
            }
            node >>= 1
            last >>= 1
        }
        return last == 0 && first == firstRoot && second == secondRoot
    }
}
