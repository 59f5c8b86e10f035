public import EventSourcing
internal import Recording
public import Vault

/// Proof that one sealed file belongs to a session as it was completed: what a stranger needs, beside the
/// file itself, to find the session's Merkle root (RFC 9162). It takes no key and no server.
public struct ChunkProof: Sendable, Hashable {
    /// The session.
    public var sessionID: String
    /// The chunk.
    public var chunkID: String
    /// Where its file is, relative to the chunk store.
    public var storagePath: String
    /// SHA-256(0x00 ‖ file).
    public var leafHash: Digest
    /// The root that the session was completed with.
    public var root: Digest
    /// Place of the leaf, size of the tree, and the missing nodes.
    public var inclusion: InclusionProof

    /// Whether the path leads from the leaf to the root.
    public var isValid: Bool { inclusion.verifies(leafHash: leafHash, root: root) }
}

/// Why there is no proof.
public enum ProofFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// The log has no such session.
    case noSession(String)
    /// The session has no such chunk.
    case noChunk(String)
    /// The tree is closed when the session is completed, and it is not.
    case unfinished(String)
    /// The log's leaves do not make the log's root.
    case contradiction(String)

    /// What happened, in a sentence.
    public var description: String {
        switch self {
        case .noSession(let session): "there is no session \(session)"
        case .noChunk(let chunk): "the session has no chunk \(chunk)"
        case .unfinished(let session): "session \(session) is not completed: its tree is not closed yet"
        case .contradiction(let session): "the log of session \(session) contradicts its own Merkle root"
        }
    }
}

/// Makes proofs from the log alone.
public struct SessionProver {
    private let store: any EventStore

    /// A prover that reads `store`.
    public init(store: any EventStore) { self.store = store }

    /// The proof for a chunk, named by its id or its sequence number.
    public func proof(of chunk: String, in session: String) throws -> ChunkProof {
        guard let history = try SessionHistory(of: session, in: store) else {
            throw ProofFailure.noSession(session)
        }
        guard let rootText = history.state.merkleRoot, let root = Digest(hex: rootText) else {
            throw ProofFailure.unfinished(session)
        }
        let named = history.stored.firstIndex {
            $0.chunk.chunkID == chunk || String($0.chunk.sequenceNumber) == chunk
        }
        guard let index = named else { throw ProofFailure.noChunk(chunk) }
        let stored = history.stored[index]
        let tree = MerkleTree(leafHashes: history.stored.compactMap { Digest(hex: $0.merkleHash) })
        guard let leaf = Digest(hex: stored.merkleHash), let inclusion = tree.inclusionProof(leafIndex: index)
        else { throw ProofFailure.contradiction(session) }
        let proof = ChunkProof(
            sessionID: session, chunkID: stored.chunk.chunkID, storagePath: stored.path ?? "", leafHash: leaf,
            root: root, inclusion: inclusion)
        guard proof.isValid else { throw ProofFailure.contradiction(session) }
        return proof
    }
}

extension ChunkProof {
    /// The proof as a document; hashes in hexadecimal, the path from the leaf up.
    public func encode(into writer: inout JSONWriter) {
        writer.object { json in
            json.member("algorithm", "rfc9162-sha256")
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

    /// Reads what `encode` writes; nil when a member is missing or of another form.
    public init?(_ json: JSONValue) {
        guard json["algorithm"]?.string == "rfc9162-sha256", let session = json["session_id"]?.string,
            let chunk = json["chunk_id"]?.string, let path = json["storage_path"]?.string,
            let leaf = json["leaf_hash"]?.string.flatMap({ Digest(hex: $0) }),
            let root = json["root"]?.string.flatMap({ Digest(hex: $0) }),
            let index = json["leaf_index"]?.integer, let size = json["tree_size"]?.integer,
            let nodes = json["path"]?.array, nodes.count <= 64
        else { return nil }
        let digests = nodes.compactMap { $0.string.flatMap { Digest(hex: $0) } }
        guard digests.count == nodes.count else { return nil }
        self.init(
            sessionID: session, chunkID: chunk, storagePath: path, leafHash: leaf, root: root,
            inclusion: InclusionProof(leafIndex: Int(index), treeSize: Int(size), path: digests))
    }
}
