package import Base
internal import EventSourcing
internal import ChunkFiles
package import Sealing

/// Why a text is no proof, or a proof does not prove what it says.
package struct ProofFault: Error, Sendable, Hashable, CustomStringConvertible {
    /// The member, or the rule, and what is wrong with it.
    package let description: String

    init(_ description: String) { self.description = description }
}

/// Proof that one sealed file belongs to a session as it was completed: what a stranger needs, beside the
/// file itself and a root that he trusts (RFC 9162). It takes no key and no server.
package struct ChunkProof: Sendable, Hashable {
    /// The session.
    package var sessionID: String
    /// The chunk.
    package var chunkID: String
    /// Where its file is, relative to the chunk store.
    package var storagePath: String
    /// SHA-256(0x00 ‖ file).
    package var leafHash: Digest
    /// The root that the session was completed with.
    package var root: Digest
    /// Place of the leaf, size of the tree, and the missing nodes.
    package var inclusion: InclusionProof

    /// Whether the path leads from the leaf to the root.
    package var isValid: Bool { inclusion.verifies(leafHash: leafHash, root: root) }

    /// The chunk's number.
    package var sequenceNumber: Int { inclusion.leafIndex + 1 }

    /// What of the proof contradicts itself, or does not lead to the root; nil when it holds.
    package func fault(root trusted: Digest) -> ProofFault? {
        guard inclusion.leafIndex < inclusion.treeSize else {
            return ProofFault(
                "leaf_index \(inclusion.leafIndex) lies outside of a tree of \(inclusion.treeSize) leaves")
        }
        let expected =
            (try? ChunkStore.relativePath(session: sessionID, sequence: sequenceNumber)) ?? "nothing"
        guard storagePath == expected else {
            return ProofFault(
                "storage_path is \(storagePath), and leaf \(inclusion.leafIndex) is at \(expected)")
        }
        guard root == trusted else { return ProofFault("the proof is for the root \(root), not \(trusted)") }
        guard let found = inclusion.root(leafHash: leafHash) else {
            return ProofFault(
                "path has \(inclusion.path.count) hashes, which is not what leads from leaf "
                    + "\(inclusion.leafIndex) of \(inclusion.treeSize) to a root")
        }
        guard found == trusted else {
            return ProofFault("the path leads to the root \(found), not \(trusted)")
        }
        return nil
    }

    /// What of a sealed file's header is another chunk's than the proof's; nil when it is the same.
    package func fault(of header: SealedHeader) -> ProofFault? {
        let facts: [(String, String, String)] = [
            ("session_id", header.chunk.sessionID, sessionID), ("chunk_id", header.chunk.chunkID, chunkID),
            ("sequence_number", "\(header.chunk.sequenceNumber)", "\(sequenceNumber)"),
        ]
        return facts.first { $0.1 != $0.2 }.map { name, found, expected in
            ProofFault("the file's \(name) is \(found), and the proof is about \(expected)")
        }
    }

    /// The proof as a document; hashes in hexadecimal, the path from the leaf up.
    package func encode(into writer: inout JSONWriter) {
        writer.object { json in
            json.member("algorithm", ProofDocument.algorithm)
            json.member("session_id", sessionID)
            json.member("chunk_id", chunkID)
            json.member("storage_path", storagePath)
            json.member("leaf_hash", leafHash.hex)
            json.member("leaf_index", inclusion.leafIndex)
            json.member("tree_size", inclusion.treeSize)
            json.member("path", inclusion.path.map(\.hex))
            json.member("root", root.hex)
        }
    }

    /// Reads what `encode` writes; anything else is refused, naming the member.
    package init(parsing bytes: [UInt8]) throws(ProofFault) {
        let document = try ProofDocument(
            bytes,
            members: [
                "algorithm", "session_id", "chunk_id", "storage_path", "leaf_hash", "leaf_index", "tree_size",
                "path", "root",
            ])
        self.init(
            sessionID: try document.identifier("session_id"), chunkID: try document.identifier("chunk_id"),
            storagePath: try document.string("storage_path"), leafHash: try document.digest("leaf_hash"),
            root: try document.digest("root"),
            inclusion: InclusionProof(
                leafIndex: try document.number("leaf_index"), treeSize: try document.number("tree_size"),
                path: try document.digests("path")))
    }

    init(
        sessionID: String, chunkID: String, storagePath: String, leafHash: Digest, root: Digest,
        inclusion: InclusionProof
    ) {
        self.sessionID = sessionID
        self.chunkID = chunkID
        self.storagePath = storagePath
        self.leafHash = leafHash
        self.root = root
        self.inclusion = inclusion
    }
}

/// Proof that a session's tree begins with the tree that it was earlier (RFC 9162 section 2.1.4).
package struct TreeConsistencyProof: Sendable, Hashable {
    /// The session.
    package var sessionID: String
    /// Root of the earlier tree.
    package var firstRoot: Digest
    /// Root of the later tree.
    package var secondRoot: Digest
    /// Sizes of both, and the nodes from which both roots are made.
    package var consistency: ConsistencyProof

    /// What keeps the proof from holding between two roots that are trusted; nil when it holds.
    package func fault(firstRoot first: Digest, secondRoot second: Digest) -> ProofFault? {
        guard (1...consistency.secondSize).contains(consistency.firstSize) else {
            return ProofFault(
                "first_size \(consistency.firstSize) is not 1 to second_size \(consistency.secondSize)")
        }
        guard firstRoot == first else { return ProofFault("first_root is \(firstRoot), not \(first)") }
        guard secondRoot == second else { return ProofFault("second_root is \(secondRoot), not \(second)") }
        guard consistency.verifies(firstRoot: first, secondRoot: second) else {
            return ProofFault("the path does not lead from one root to the other")
        }
        return nil
    }

    /// The proof as a document.
    package func encode(into writer: inout JSONWriter) {
        writer.object { json in
            json.member("algorithm", ProofDocument.algorithm)
            json.member("session_id", sessionID)
            json.member("first_size", consistency.firstSize)
            json.member("first_root", firstRoot.hex)
            json.member("second_size", consistency.secondSize)
            json.member("second_root", secondRoot.hex)
            json.member("path", consistency.path.map(\.hex))
        }
    }

    init(sessionID: String, firstRoot: Digest, secondRoot: Digest, consistency: ConsistencyProof) {
        self.sessionID = sessionID
        self.firstRoot = firstRoot
        self.secondRoot = secondRoot
        self.consistency = consistency
    }

    /// Reads what `encode` writes; anything else is refused, naming the member.
    package init(parsing bytes: [UInt8]) throws(ProofFault) {
        let document = try ProofDocument(
            bytes,
            members: [
                "algorithm", "session_id", "first_size", "first_root", "second_size", "second_root", "path",
            ])
        self.init(
            sessionID: try document.identifier("session_id"), firstRoot: try document.digest("first_root"),
            secondRoot: try document.digest("second_root"),
            consistency: ConsistencyProof(
                firstSize: try document.number("first_size"), secondSize: try document.number("second_size"),
                path: try document.digests("path")))
    }
}

/// Reads the members of a proof: exactly those that it has to have, each in the one form that it can have.
private struct ProofDocument {
    static let algorithm = "rfc9162-sha256"
    /// A path has one hash for each level of the tree, and a consistency proof one more.
    private static let maximumPath = 64

    private let json: JSONValue

    init(_ bytes: [UInt8], members: Set<String>) throws(ProofFault) {
        do throws(JSONError) { json = try JSONValue(parsing: bytes) } catch {
            throw ProofFault("it is no JSON document: \(error)")
        }
        guard let found = json.members else { throw ProofFault("it is no JSON object") }
        let names = Set(found.map(\.name))
        if let extra = names.subtracting(members).min() {
            throw ProofFault("\"\(extra.prefix(80))\" is no member of a proof")
        }
        if let absent = members.subtracting(names).min() { throw ProofFault("\(absent) is missing") }
        guard try string("algorithm") == Self.algorithm else {
            throw ProofFault("algorithm is not \(Self.algorithm)")
        }
    }

    func string(_ name: String) throws(ProofFault) -> String {
        guard let string = json[name]?.string else { throw ProofFault("\(name) is no string") }
        return string
    }

    func identifier(_ name: String) throws(ProofFault) -> String {
        let text = try string(name)
        guard Identifier.isValid(text) else { throw ProofFault("\(name) is no id") }
        return text
    }

    /// A whole number of at most 2^53 - 1, as every JSON reader has it.
    func number(_ name: String) throws(ProofFault) -> Int {
        guard let number = json[name]?.integer.flatMap({ Int(exactly: $0) }),
            (0...9_007_199_254_740_991).contains(number)
        else { throw ProofFault("\(name) is no whole number from 0 to 2^53 - 1") }
        return number
    }

    func digest(_ name: String) throws(ProofFault) -> Digest {
        guard let digest = Digest(hex: try string(name)) else { throw Self.noDigest(name) }
        return digest
    }

    func digests(_ name: String) throws(ProofFault) -> [Digest] {
        guard let array = json[name]?.array else { throw ProofFault("\(name) is no array") }
        guard array.count <= Self.maximumPath else {
            throw ProofFault("\(name) has \(array.count) hashes, more than any tree needs")
        }
        var digests: [Digest] = []
        for (place, element) in array.enumerated() {
            guard let digest = element.string.flatMap({ Digest(hex: $0) }) else {
                throw Self.noDigest("\(name)[\(place)]")
            }
            digests.append(digest)
        }
        return digests
    }

    private static func noDigest(_ name: String) -> ProofFault {
        ProofFault("\(name) is not 64 lower-case hexadecimal digits")
    }
}
