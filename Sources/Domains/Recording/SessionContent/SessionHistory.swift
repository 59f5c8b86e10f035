internal import Base
package import EventSourcing
package import Recording
package import ChunkFiles
internal import Sealing

/// What the log says of one session, read from its beginning, and what in it cannot be.
package struct SessionHistory: Sendable {
    private var audit: HistoryAudit
    private var judgement = Judgement()

    /// What all events together make; made anew after every look.
    private struct Judgement: Sendable {
        var findings: [HistoryFinding] = []
        var findingCount = 0
        var stored: [ChunkEvent.Sealed] = []
        var rootOfLeaves: String?
    }

    /// A history of which nothing was read yet.
    package init(of session: String) { audit = HistoryAudit(of: session) }

    /// Reads a session's history; nil when there is none.
    package init?(of session: String, in store: any EventStore) throws {
        self.init(of: session)
        try catchUp(with: store)
        if audit.version == 0 { return nil }
    }

    /// Reads what was appended since the last look.
    /// - Returns: whether anything was.
    @discardableResult
    package mutating func catchUp(with store: any EventStore) throws -> Bool {
        let known = audit.version
        var audit = audit
        // A copy left behind would make every change copy all chunks.
        self.audit = HistoryAudit(of: audit.sessionID)
        defer {
            self.audit = audit
            if audit.version > known { judge() }
        }
        try store.forEachEntry(of: audit.sessionID, after: known) { audit.take($0) }
        return audit.version > known
    }

    private mutating func judge() {
        let concluded = audit.concluded()
        var judgement = Judgement(findings: concluded.findings, findingCount: concluded.findingCount)
        judgement.stored = audit.chunks.keys.sorted().compactMap { audit.chunks[$0]?.stored }
        let leaves = judgement.stored.compactMap { Digest(hex: $0.merkleHash) }
        let isNumbered = judgement.stored.enumerated().allSatisfy { $1.chunk.sequenceNumber == $0 + 1 }
        if isNumbered, leaves.count == audit.chunks.count {
            judgement.rootOfLeaves = MerkleTree(leafHashes: leaves).root.hex
        }
        if let root = state.merkleRoot, root != judgement.rootOfLeaves {
            let found = judgement.rootOfLeaves ?? "of no tree"
            judgement.findingCount += 1
            judgement.findings.append(
                HistoryFinding(
                    .root, sessionID, sequence: 0, "the log's leaves make the root \(found), not \(root)"))
        }
        self.judgement = judgement
    }

    /// The session.
    package var sessionID: String { audit.sessionID }
    /// The folded state.
    package var state: SessionState { audit.state }
    /// Sequence of the last event.
    package var version: UInt64 { audit.version }
    /// The first entry of it that cannot be read.
    package var hole: UnreadableHole? { audit.hole }
    /// What is told of each chunk, by number.
    package var trails: [Int: ChunkTrail] { audit.chunks }
    /// The stored chunks in sequence order, as their `ChunkStored` describes them.
    package var stored: [ChunkEvent.Sealed] { judgement.stored }
    /// What cannot have come about lawfully, with what shows only at the end; at most about
    /// `HistoryAudit.maximumFindings`.
    package var findings: [HistoryFinding] { judgement.findings }
    /// How many findings there are.
    package var findingCount: Int { judgement.findingCount }
    /// The Merkle root of the leaves in the log; nil where one is missing or no hash.
    package var rootOfLeaves: String? { judgement.rootOfLeaves }

    /// Whether the chunks that are known are all there are. Where something cannot be read, it may have been
    /// of another chunk: then the root alone tells, which was made of all of them.
    var isWhole: Bool { hole == nil || state.merkleRoot != nil && state.merkleRoot == rootOfLeaves }

    /// A chunk by its id.
    func trail(_ id: String) -> ChunkTrail? {
        let digits = id.utf8.reversed().prefix { (0x30...0x39).contains($0) }.count
        if let number = Int(id.suffix(digits)), let trail = trails[number], trail.chunk.chunkID == id {
            return trail
        }
        // One with an id of its own.
        return trails.values.first { $0.chunk.chunkID == id }
    }
}

/// What has to be known of a session to give back what was recorded: every chunk, in order.
package struct SessionContents: Sendable {
    /// The session.
    package let sessionID: String
    /// Every chunk, numbered from 1.
    package let chunks: [SealedChunk]
    /// Sum of the recorded bytes.
    package let sizeBytes: Int
    /// Whether the recording ended early.
    package let isIncomplete: Bool

    /// Looks whether the store has a chunk behind the last one that the log tells of: then the log has lost,
    /// or was robbed of, the end of the recording.
    /// - Throws: `contradiction`.
    package func requireEnd(in store: ChunkStore) throws(ContentFailure) {
        let next = chunks.count + 1
        // What can't be looked at is no chunk; `verify` names it.
        guard (try? store.size(session: sessionID, sequence: next)) != nil else { return }
        let text = "the store has a file of chunk \(next), and the log tells of \(chunks.count) chunks"
        throw .contradiction(
            session: sessionID, HistoryFinding(.counts, sessionID, sequence: 0, text))
    }
}

/// Why a session cannot be given back whole.
package enum ContentFailure: Error, Sendable, CustomStringConvertible {
    /// The log has no such session.
    case notFound(String)
    /// The session was deleted: its key and its files are removed.
    case deleted(String)
    /// The session was deleted while it was read.
    case deletedMeanwhile(String)
    /// Nothing is recorded to its end: more may come.
    case unended(session: String, SessionStatus)
    /// It was given up.
    case failed(session: String, stored: Int, of: Int)
    /// A chunk is not stored yet, or was given up.
    case unfinished(chunk: Int, of: Int)
    /// The session's history holds what cannot be read, so that nobody knows whether this is all of it.
    case unreadable(session: String, UnreadableHole)
    /// The session's history cannot have come about lawfully.
    case contradiction(session: String, HistoryFinding)
    /// A chunk's file is missing or damaged.
    case damaged(SealedFileFault)

    /// What happened, in a sentence.
    package var description: String {
        switch self {
        case .notFound(let session): "there is no session \(session)"
        case .deleted(let session): "session \(session) was deleted, its key and files with it"
        case .deletedMeanwhile(let session):
            "session \(session) was deleted while it was read, its key and files with it"
        case .unended(let session, let status):
            "session \(session) is \(status.rawValue): it is not recorded to its end"
        case .failed(let session, let stored, let count):
            "session \(session) has failed: \(stored) of \(count) chunks are stored"
        case .unfinished(let chunk, let count): "chunk \(chunk) of \(count) is not stored yet"
        case .unreadable(let session, let hole):
            "session \(session) may be more than what is known of it: \(hole)"
        case .contradiction(let session, let finding):
            "the log of session \(session) contradicts itself: \(finding)"
        case .damaged(let fault): "\(fault)"
        }
    }
}

extension SessionHistory {
    /// Everything that was recorded of a session that is recorded to its end and stored.
    package func contents() throws(ContentFailure) -> SessionContents {
        guard let status = state.status else { throw .notFound(sessionID) }
        if status == .deleted { throw .deleted(sessionID) }
        try requireLawful()
        switch status {
        case .stopped, .processing, .completed: break
        case .failed:
            let stored = trails.values.count { $0.stored != nil }
            throw .failed(session: sessionID, stored: stored, of: trails.count)
        case .created, .starting, .recording, .paused: throw .unended(session: sessionID, status)
        case .deleted: throw .deleted(sessionID)
        }
        var chunks: [SealedChunk] = []
        chunks.reserveCapacity(trails.count)
        var size = 0
        for number in stride(from: 1, through: trails.count, by: 1) {
            guard let stored = trails[number]?.stored else {
                throw .unfinished(chunk: number, of: trails.count)
            }
            do throws(SealedFileFault) { chunks.append(try SealedChunk(stored)) } catch {
                throw .damaged(error)
            }
            let (sum, overflow) = size.addingReportingOverflow(stored.content.sizeBytes)
            guard !overflow else {
                throw .contradiction(
                    session: sessionID,
                    HistoryFinding(
                        .counts, sessionID, sequence: 0, "its chunks have more bytes than there are"))
            }
            size = sum
        }
        return SessionContents(
            sessionID: sessionID, chunks: chunks, sizeBytes: size, isIncomplete: state.incomplete)
    }

    /// One stored chunk, by its id; nil when the session has none of it.
    /// - Throws: `unfinished` when it is not stored, or `contradiction`.
    package func chunk(_ id: String) throws(ContentFailure) -> SealedChunk? {
        if state.status == .deleted { throw .deleted(sessionID) }
        try requireLawful(whole: false)
        guard let trail = trail(id) else { return nil }
        guard let stored = trail.stored else {
            throw .unfinished(chunk: trail.chunk.sequenceNumber, of: trails.count)
        }
        do throws(SealedFileFault) { return try SealedChunk(stored) } catch { throw .damaged(error) }
    }

    /// Findings keep everybody from giving anything out. An entry that can't be read may be of any chunk:
    /// then the root has to prove that none is missing.
    private func requireLawful(whole: Bool = true) throws(ContentFailure) {
        if let finding = findings.first(where: { $0.rule != .unreadable }) {
            throw .contradiction(session: sessionID, finding)
        }
        if whole, let hole, !isWhole { throw .unreadable(session: sessionID, hole) }
    }
}
