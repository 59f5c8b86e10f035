internal import Base
package import EventSourcing
package import Recording
internal import Sealing

/// Why there is no proof.
package enum ProofFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// The log has no such session.
    case noSession(String)
    /// The session has no such chunk.
    case noChunk(String)
    /// The tree is closed when the session is completed, and it is not.
    case unfinished(String)
    /// The session was deleted; its history still has the tree, and the files are gone.
    case deleted(String)
    /// The log's leaves do not make the log's root.
    case contradiction(String, text: String)
    /// The session's tree never had so many leaves.
    case noTree(String, size: Int, leaves: Int)

    /// What happened, in a sentence.
    package var description: String {
        switch self {
        case .noSession(let session): "there is no session \(session)"
        case .noChunk(let chunk): "the session has no chunk \(chunk)"
        case .unfinished(let session): "session \(session) is not completed: its tree is not closed yet"
        case .deleted(let session): "session \(session) was deleted"
        case .contradiction(let session, let text):
            "the log of session \(session) contradicts itself: \(text)"
        case .noTree(let session, let size, let leaves):
            "the tree of session \(session) has \(leaves) leaves and no earlier state with \(size)"
        }
    }
}

/// Makes proofs from the log alone.
package struct SessionProver {
    private let store: any EventStore

    /// A prover that reads `store`.
    package init(store: any EventStore) { self.store = store }

    /// The proof for a chunk, named by its id or its sequence number.
    package func proof(of chunk: String, in session: String) throws -> ChunkProof {
        let tree = try SessionTree(try history(session))
        let proof = try tree.proof { $0.chunkID == chunk || String($0.sequenceNumber) == chunk }
        guard let proof else { throw ProofFailure.noChunk(chunk) }
        return proof
    }

    /// The proof that the session's tree begins with the tree that it was with fewer leaves.
    /// - Parameter second: number of leaves of the later tree; nil for all.
    package func consistency(
        of session: String, from first: Int, to second: Int?
    ) throws -> TreeConsistencyProof {
        try SessionTree(try history(session)).consistency(from: first, to: second)
    }

    private func history(_ session: String) throws -> SessionHistory {
        guard let history = try SessionHistory(of: session, in: store) else {
            throw ProofFailure.noSession(session)
        }
        return history
    }
}

/// The closed tree of a session whose history is lawful. Never changes.
package struct SessionTree: Sendable {
    private let sessionID: String
    private let stored: [ChunkEvent.Sealed]
    private let tree: MerkleTree
    private let root: Digest

    /// - Throws: `unfinished`, `contradiction`.
    package init(_ history: SessionHistory) throws(ProofFailure) {
        sessionID = history.sessionID
        stored = history.stored
        let state = history.state
        guard let text = state.merkleRoot else {
            throw state.status == .deleted ? .deleted(sessionID) : .unfinished(sessionID)
        }
        if let finding = history.findings.first(where: { $0.rule != .unreadable || !history.isWhole }) {
            throw .contradiction(sessionID, text: "\(finding)")
        }
        tree = MerkleTree(leafHashes: stored.compactMap { Digest(hex: $0.merkleHash) })
        guard let root = Digest(hex: text), tree.root == root, tree.leafCount == history.trails.count else {
            throw .contradiction(sessionID, text: "its leaves do not make its Merkle root")
        }
        self.root = root
    }

    /// The proof for one chunk; nil when there is none for which `matches` holds.
    package func proof(
        where matches: (_ chunk: ChunkReference) -> Bool
    ) throws(ProofFailure) -> ChunkProof? {
        guard let index = stored.firstIndex(where: { matches($0.chunk) }) else { return nil }
        let event = stored[index]
        guard let inclusion = tree.inclusionProof(leafIndex: index), event.chunk.sequenceNumber == index + 1,
            inclusion.verifies(leafHash: tree.leafHashes[index], root: root)
        else { throw .contradiction(sessionID, text: "its leaves do not make its Merkle root") }
        return ChunkProof(
            sessionID: sessionID, chunkID: event.chunk.chunkID, storagePath: event.path ?? "",
            leafHash: tree.leafHashes[index], root: root, inclusion: inclusion)
    }

    func consistency(from first: Int, to second: Int?) throws(ProofFailure) -> TreeConsistencyProof {
        let size = second ?? tree.leafCount
        guard let proof = tree.consistencyProof(from: first, to: size),
            let firstRoot = tree.root(size: first), let secondRoot = tree.root(size: size)
        else {
            let isSecond = !(1...max(1, tree.leafCount)).contains(size)
            throw .noTree(sessionID, size: isSecond ? size : first, leaves: tree.leafCount)
        }
        return TreeConsistencyProof(
            sessionID: sessionID, firstRoot: firstRoot, secondRoot: secondRoot, consistency: proof)
    }
}
