public import EventSourcing
internal import Recording
public import Vault

/// Something that is wrong with a stored session.
public struct Finding: Sendable, Hashable, CustomStringConvertible {
    /// What kind of damage.
    public enum Kind: String, Sendable, CaseIterable {
        /// A file that the log describes is not there.
        case missing
        /// A file is shorter than the log says.
        case truncated
        /// A file is longer than the log says.
        case extended
        /// A file's bytes were changed: header, nonce, payload or tag.
        case damaged
        /// A file of this session stands in another chunk's place.
        case swapped
        /// A file of another session stands here.
        case foreign
        /// A file that the log does not know.
        case extra
        /// The file is as it was sealed, but does not open to what was recorded.
        case unreadable
        /// The root in the log is not the root of the files.
        case root
        /// The log itself contradicts itself.
        case log
        /// The session is not completed: nothing binds its chunks yet.
        case unfinished
        /// The session was deleted: its files and its key are removed, or will be.
        case deleted
    }

    /// What kind of damage.
    public var kind: Kind
    /// The file, relative to the chunk store, or the session's id.
    public var subject: String
    /// What exactly.
    public var text: String

    /// `kind subject: text`.
    public var description: String { "\(kind.rawValue) \(subject): \(text)" }
}

/// What an audit of one session found.
public struct AuditReport: Sendable, Hashable {
    /// The session.
    public var sessionID: String
    /// Chunks that the log describes as stored.
    public var chunks = 0
    /// Bytes of their files.
    public var sealedBytes = 0
    /// Recorded bytes that came back out of them.
    public var originalBytes = 0
    /// The root in the log.
    public var merkleRoot: String?
    /// The root of the files as they are now.
    public var computedRoot: String?
    /// Whether the files were opened, or only hashed because there is no key.
    public var contentChecked = true
    /// Everything that is wrong; empty when all is well.
    public var findings: [Finding] = []

    /// Whether all is well.
    public var isSound: Bool { findings.isEmpty }
}

/// Reads a session again, every byte of it: log, files and Merkle tree. One thread.
public final class SessionAuditor {
    private let store: any EventStore
    private let chunks: ChunkStore
    private let keys: SessionKeys?
    private let opener = Opener()
    private let leafHasher = LeafHasher()
    private let image = ScratchBuffer()
    private let original = ScratchBuffer()

    /// An auditor.
    /// - Parameter keys: nil to check files and root without decrypting, as an outsider would.
    public init(store: any EventStore, chunks: ChunkStore, keys: SessionKeys?) {
        self.store = store
        self.chunks = chunks
        self.keys = keys
    }

    /// Audits a session; nil when the log has none of this id.
    /// - Parameter progress: called after every chunk with how many are done and how many there are.
    public func audit(
        _ session: String, progress: (Int, Int) -> Void = { _, _ in }
    ) throws -> AuditReport? {
        guard let history = try SessionHistory(of: session, in: store) else { return nil }
        var report = AuditReport(sessionID: session)
        report.findings = history.contradictions
        report.merkleRoot = history.state.merkleRoot
        if history.state.status == .deleted {
            try describeDeletion(session, history.state, &report)
            return report
        }
        let key = history.stored.isEmpty ? nil : try sessionKey(session, &report)
        var leaves: [Digest] = []
        for (index, stored) in history.stored.enumerated() {
            if let leaf = try audit(stored, key, &report) { leaves.append(leaf) }
            progress(index + 1, history.stored.count)
        }
        try findExtraFiles(session, history, &report)
        if let status = history.state.status, status != .completed {
            report.findings.append(
                Finding(
                    kind: .unfinished, subject: session,
                    text: "the session is \(status.rawValue); "
                        + "\(history.stored.count) of \(history.state.chunkCount) chunks are stored"))
        }
        if leaves.count == history.stored.count {
            report.computedRoot = MerkleTree(leafHashes: leaves).root.hex
        }
        if let expected = report.merkleRoot, expected != report.computedRoot {
            report.findings.append(
                Finding(
                    kind: .root, subject: session,
                    text: "the log's root is \(expected), the files' is \(report.computedRoot ?? "unknown")"))
        }
        return report
    }

    /// Nothing of a deleted session is to be found; what still is there is named.
    private func describeDeletion(
        _ session: String, _ state: SessionState, _ report: inout AuditReport
    ) throws {
        report.contentChecked = false
        report.findings.append(
            Finding(
                kind: .deleted, subject: session,
                text: "the session was deleted; the files of \(state.deletedThrough) of "
                    + "\(state.chunkCount) chunks are removed"))
        let listing = try chunks.list(session: session)
        for file in listing.files {
            report.findings.append(
                Finding(
                    kind: .extra,
                    subject: try ChunkStore.relativePath(session: session, sequence: file.sequenceNumber),
                    text: "a file of a deleted session"))
        }
    }

    private func sessionKey(_ session: String, _ report: inout AuditReport) throws -> SessionKey? {
        do {
            guard let keys else {
                report.contentChecked = false
                return nil
            }
            return try keys.key(ofSession: session)
        } catch let missing as KeyMissing {
            report.contentChecked = false
            report.findings.append(
                Finding(kind: .unreadable, subject: session, text: "\(missing)"))
            return nil
        }
    }

    /// Audits one file; answers its leaf hash when it is there.
    private func audit(
        _ stored: ChunkEvent.Sealed, _ key: SessionKey?, _ report: inout AuditReport
    ) throws -> Digest? {
        report.chunks += 1
        let path = stored.path ?? "?"
        func note(_ kind: Finding.Kind, _ text: String) {
            report.findings.append(Finding(kind: kind, subject: path, text: text))
        }
        do {
            try chunks.read(
                session: stored.chunk.sessionID, sequence: stored.chunk.sequenceNumber, into: image)
        } catch {
            guard error.isMissing else { throw error }
            note(.missing, "the file of chunk \(stored.chunk.chunkID) is gone")
            return nil
        }
        report.sealedBytes += image.count
        let leaf = image.withBytes(leafHasher.hash)
        if leaf.hex != stored.merkleHash {
            let (kind, text) = image.withBytes { FileDamage.name($0, stored, key: key, opener: opener) }
            note(kind, text)
            return leaf
        }
        guard let key, let digest = Digest(hex: stored.content.digest) else { return leaf }
        do {
            let identity = try ChunkIdentity(
                chunkID: stored.chunk.chunkID, sessionID: stored.chunk.sessionID,
                sequenceNumber: stored.chunk.sequenceNumber)
            try image.withBytes { bytes throws(SealFailure) in
                _ = try opener.open(
                    bytes, key: key, expecting: identity, contentDigest: digest,
                    maximumOriginalBytes: stored.content.sizeBytes, into: original)
            }
            report.originalBytes += original.count
        } catch { note(.unreadable, "\(error)") }
        return leaf
    }

    private func findExtraFiles(
        _ session: String, _ history: SessionHistory, _ report: inout AuditReport
    ) throws {
        let known = Set(history.stored.compactMap(\.path))
        let listing = try chunks.list(session: session)
        let paths =
            try listing.files.map {
                try ChunkStore.relativePath(session: session, sequence: $0.sequenceNumber)
            } + listing.others.map { "\(session)/\($0.name)" }
        for path in paths.sorted() where !known.contains(path) {
            report.findings.append(
                Finding(kind: .extra, subject: path, text: "the log knows no chunk of this file"))
        }
    }
}
