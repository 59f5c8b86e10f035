import Base
import Simulation
import Testing

@testable import Files
@testable import Sealing

@Suite("Merkle trees and proofs")
struct MerkleTests {
    /// The reference tree of the Certificate Transparency project.
    static let inputs = [
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    ]
    static let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ]

    private func leaf(_ bytes: [UInt8]) -> Digest { bytes.withUnsafeBytes { LeafHasher().hash($0) } }

    /// MTH of RFC 6962 section 2.1, word for word.
    private func plainRoot(_ leaves: ArraySlice<Digest>) -> Digest {
        guard let first = leaves.first else { return SHA256.hash([]) }
        if leaves.count == 1 { return first }
        var split = 1
        while split * 2 < leaves.count { split *= 2 }
        let middle = leaves.startIndex + split
        return SHA256.hash(
            [1] + plainRoot(leaves[..<middle]).bytes + plainRoot(leaves[middle...]).bytes)
    }

    @Test("roots of the reference tree at every size")
    func reference() {
        var tree = MerkleTree()
        var frontier = MerkleFrontier()
        #expect(tree.root.hex == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(frontier.root == tree.root)
        for (input, root) in zip(Self.inputs, Self.roots) {
            tree.append(leafHash: leaf(hex(input)))
            frontier.append(leafHash: leaf(hex(input)))
            #expect(tree.root.hex == root)
            #expect(frontier.root.hex == root)
        }
        #expect(
            tree.inclusionProof(leafIndex: 0)?.path.map(\.hex) == [
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ])
        #expect(
            tree.consistencyProof(from: 1)?.path.map(\.hex) == [
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ])
    }

    @Test("roots, inclusion and consistency for all sizes up to 64")
    func exhaustive() throws {
        let leaves = (0..<64).map { leaf([UInt8($0)]) }
        let tree = MerkleTree(leafHashes: leaves)
        var frontier = MerkleFrontier()
        for size in 1...64 {
            frontier.append(leafHash: leaves[size - 1])
            let root = plainRoot(leaves[..<size])
            #expect(tree.root(size: size) == root)
            #expect(frontier.root == root)
            #expect(MerkleFrontier(leafCount: size, nodes: frontier.nodes) == frontier)
            for index in 0..<size {
                let proof = try #require(tree.inclusionProof(leafIndex: index, treeSize: size))
                #expect(proof.verifies(leafHash: leaves[index], root: root))
                #expect(!proof.verifies(leafHash: leaves[(index + 1) % 64], root: root))
            }
            for first in 1...size {
                let proof = try #require(tree.consistencyProof(from: first, to: size))
                let old = plainRoot(leaves[..<first])
                #expect(proof.verifies(firstRoot: old, secondRoot: root))
                #expect(!proof.verifies(firstRoot: leaf([]), secondRoot: root))
                #expect(!proof.verifies(firstRoot: old, secondRoot: leaf([])))
            }
        }
    }

    @Test("a proof that was changed in any way is refused")
    func tampering() throws {
        let leaves = (0..<21).map { leaf([UInt8($0)]) }
        let tree = MerkleTree(leafHashes: leaves)
        for index in leaves.indices {
            let proof = try #require(tree.inclusionProof(leafIndex: index))
            for path in variants(proof.path) {
                let changed = InclusionProof(leafIndex: index, treeSize: 21, path: path)
                #expect(!changed.verifies(leafHash: leaves[index], root: tree.root))
            }
            for other in [-1, index + 1, index + 21] {
                let changed = InclusionProof(leafIndex: other, treeSize: 21, path: proof.path)
                #expect(!changed.verifies(leafHash: leaves[index], root: tree.root))
            }
        }
        for first in 1..<21 {
            let proof = try #require(tree.consistencyProof(from: first))
            let old = try #require(tree.root(size: first))
            for path in variants(proof.path) {
                let changed = ConsistencyProof(firstSize: first, secondSize: 21, path: path)
                #expect(!changed.verifies(firstRoot: old, secondRoot: tree.root))
            }
        }
        #expect(
            !ConsistencyProof(firstSize: 0, secondSize: 21, path: []).verifies(
                firstRoot: MerkleTree.emptyRoot, secondRoot: tree.root))
        #expect(
            !ConsistencyProof(firstSize: 22, secondSize: 21, path: []).verifies(
                firstRoot: tree.root, secondRoot: tree.root))
    }

    private func variants(_ path: [Digest]) -> [[Digest]] {
        var found = [path + [leaf([])], [leaf([])] + path]
        for index in path.indices {
            found.append(path.enumerated().filter { $0.offset != index }.map(\.element))
            found.append(path.enumerated().map { $0.offset == index ? leaf([]) : $0.element })
        }
        return found
    }

    @Test("questions outside the tree have no answer")
    func outside() {
        let tree = MerkleTree(leafHashes: (0..<5).map { leaf([UInt8($0)]) })
        #expect(tree.inclusionProof(leafIndex: 5) == nil)
        #expect(tree.inclusionProof(leafIndex: -1) == nil)
        #expect(tree.inclusionProof(leafIndex: 3, treeSize: 3) == nil)
        #expect(tree.inclusionProof(leafIndex: 0, treeSize: 6) == nil)
        #expect(tree.inclusionProof(leafIndex: 0, treeSize: -1) == nil)
        #expect(tree.consistencyProof(from: 0) == nil)
        #expect(tree.consistencyProof(from: 6) == nil)
        #expect(tree.root(size: 6) == nil)
        #expect(tree.root(size: 0) == MerkleTree.emptyRoot)
        #expect(MerkleFrontier(leafCount: 3, nodes: [leaf([])]) == nil)
    }

    @Test("no leaf passes for a node, and no leaf is counted twice")
    func secondPreimage() {
        let two = (0..<2).map { leaf([UInt8($0)]) }
        let joined = MerkleTree(leafHashes: [leaf(two[0].bytes + two[1].bytes)])
        #expect(joined.root != MerkleTree(leafHashes: two).root)
        let three = two + [leaf([2])]
        #expect(MerkleTree(leafHashes: three).root != MerkleTree(leafHashes: three + [leaf([2])]).root)
    }

    @Test("a file on disk has the hash it has in memory")
    func files() throws {
        let folder = try TemporaryFolder()
        var generator = SeededGenerator(seed: 21)
        for size in [0, 1, 262_143, 262_144, 262_145, 1_000_000] {
            let bytes = generator.bytes(size)
            try folder.write(bytes, to: "file")
            let found = try LeafHasher().hash(fileAt: folder.path + "/file")
            #expect(found.hash == leaf(bytes))
            #expect(found.bytes == size)
            #expect(found.header == nil)
        }
        #expect(throws: StorageFailure.missing(path: folder.path + "/none")) {
            try LeafHasher().hash(fileAt: folder.path + "/none")
        }
    }
}
