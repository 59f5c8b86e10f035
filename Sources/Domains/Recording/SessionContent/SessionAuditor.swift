internal import Blobs
internal import Base
package import EventSourcing
internal import Recording
package import ChunkFiles
internal import Files
internal import Sealing

/// Reads a session again, every byte of it: log, files and Merkle tree, and compares each with the others.
/// `ops/docs/trust.md` says what that proves, and against whom. One thread.
package final class SessionAuditor {
    private let store: any EventStore
    private let chunks: ChunkStore
    private let keys: SessionKeys?
    private let reader = SealedFileReader()
    private let image = ScratchBuffer()
    private let original = ScratchBuffer()

    /// An auditor.
    /// - Parameter keys: nil to check files and root without decrypting, as an outsider would.
    package init(store: any EventStore, chunks: ChunkStore, keys: SessionKeys?) {
        self.store = store
        self.chunks = chunks
        self.keys = keys
    }

    /// Audits a session; nil when the log has none of this id.
    ///
    /// Findings are compared with what the log says when the look ends: a session that goes on meanwhile, or
    /// is deleted, is no damage.
    /// - Parameter progress: called after every chunk with how many are done and how many there are; what it
    ///   throws ends the look.
    package func audit(
        _ session: String, progress: (Int, Int) throws -> Void = { _, _ in }
    ) throws -> AuditReport? {
        var report = AuditReport(sessionID: session)
        var history = SessionHistory(of: session)
        do {
            try history.catchUp(with: store)
            guard history.version > 0 else { return nil }
            try store.verifyArchive(of: session)
        } catch let failure as LogFailure where failure.isOfRecord {
            // Not even the log can be read as it was written.
            report.note(.log, failure.key, failure.text)
            report.contentChecked = false
            return report
        }
        let wasDeleted = history.state.status == .deleted
        var faults = AuditReport(sessionID: session)
        if !wasDeleted { try auditFiles(history, &faults, progress) }
        // Listed first: of every file that was there then, the log knows by now why.
        let listing = try list(session, &faults)
        do { try history.catchUp(with: store) } catch let failure as LogFailure where failure.isOfRecord {
            report.note(.log, failure.key, failure.text)
        }
        describe(history, &report)
        if history.state.status == .deleted {
            if wasDeleted {
                try describeDeletion(history, listing, &report)
            } else {
                describeDeletionMeanwhile(history, &report)
            }
            return report
        }
        report.take(faults)
        if let listing { try findExtraFiles(history, listing, &report) }
        conclude(history, &report)
        return report
    }

    private func describe(_ history: SessionHistory, _ report: inout AuditReport) {
        report.status = history.state.status
        report.version = history.version
        report.isIncomplete = history.state.incomplete
        report.merkleRoot = history.state.merkleRoot
        for finding in history.findings { report.note(Finding(finding)) }
        report.count(max(0, history.findingCount - history.findings.count))
    }

    // MARK: Deleted sessions

    /// Nothing of a deleted session is to be found, once that was said; what still is there is named.
    private func describeDeletion(
        _ history: SessionHistory, _ listing: SessionListing?, _ report: inout AuditReport
    ) throws {
        report.contentChecked = false
        let state = history.state
        let isRemoved = state.deletedThrough >= state.chunkCount
        let left = (listing?.files.count ?? 0) + (listing?.others.count ?? 0)
        report.outcome = report.findingCount == 0 && (!isRemoved || left == 0) ? .deleted : .damaged
        report.note(
            .deleted, state.sessionID,
            "the session was deleted; the files of \(state.deletedThrough) of \(state.chunkCount) chunks are "
                + "removed")
        for file in listing?.files ?? [] {
            let path = try ChunkStore.relativePath(session: state.sessionID, sequence: file.sequenceNumber)
            report.note(.extra, path, "a file of a deleted session")
        }
        for other in listing?.others ?? [] {
            report.note(
                .extra, "\(state.sessionID)/\(other.name)", "\(other.kind.rawValue) of a deleted session")
        }
    }

    private func describeDeletionMeanwhile(_ history: SessionHistory, _ report: inout AuditReport) {
        let isLawful = report.findingCount == 0
        report.contentChecked = false
        report.outcome = isLawful ? .deletedMeanwhile : .damaged
        report.note(
            .deleted, history.sessionID,
            "the session was deleted while it was verified; what was looked at says nothing")
    }

    // MARK: Files

    private func auditFiles(
        _ history: SessionHistory, _ report: inout AuditReport, _ progress: (Int, Int) throws -> Void
    ) throws {
        let stored = history.stored
        let key = stored.isEmpty ? nil : try sessionKey(history.sessionID, &report)
        var leaves: [Digest] = []
        for (index, event) in stored.enumerated() {
            if let leaf = try audit(event, key, &report) { leaves.append(leaf) }
            try progress(index + 1, stored.count)
        }
        if leaves.count == history.trails.count {
            report.computedRoot = MerkleTree(leafHashes: leaves).root.hex
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
            lackKey(session, "\(missing)", &report)
        } catch let failure as KeyFailure where !failure.isTransient {
            lackKey(session, "\(failure)", &report)
        }
        return nil
    }

    private func lackKey(_ session: String, _ text: String, _ report: inout AuditReport) {
        report.contentChecked = false
        report.isKeyMissing = true
        report.note(.unreadable, session, text)
    }

    /// Audits one file; answers its leaf hash when it is the file in the log.
    private func audit(
        _ event: ChunkEvent.Sealed, _ key: SessionKey?, _ report: inout AuditReport
    ) throws -> Digest? {
        report.chunks += 1
        do throws(SealedFileFault) {
            let chunk = try SealedChunk(event)
            do throws(SealedFileFault) {
                if let key {
                    try reader.open(chunk, from: chunks, key: key, image: image, into: original)
                    report.originalBytes +|= original.count
                } else {
                    try reader.read(chunk, from: chunks, into: image)
                }
            } catch {
                guard error.isBehindHash else { throw error }
                report.note(Finding(error))
            }
            report.sealedBytes +|= chunk.sealedBytes
            return chunk.merkleHash
        } catch {
            if let storage = error.storage, storage.isShortage { throw storage }
            report.note(Finding(error))
            return nil
        }
    }

    /// Everything in the session's folder that no event describes.
    private func findExtraFiles(
        _ history: SessionHistory, _ listing: SessionListing, _ report: inout AuditReport
    ) throws {
        let session = history.sessionID
        let trails = history.trails
        let isOver = history.state.status == .completed
        for file in listing.files {
            let trail = trails[file.sequenceNumber]
            // A worker writes the file first, and its event then.
            if trail?.stored != nil || trail != nil && !isOver { continue }
            let path = try ChunkStore.relativePath(session: session, sequence: file.sequenceNumber)
            report.note(.extra, path, "the log knows no chunk of this file")
        }
        let known = Set(history.stored.compactMap(\.path))
        for other in listing.others where !known.contains("\(session)/\(other.name)") {
            report.note(
                .extra, "\(session)/\(other.name)", "\(other.kind.rawValue) that is no chunk of the session")
        }
    }

    private func list(_ session: String, _ report: inout AuditReport) throws -> SessionListing? {
        do throws(StorageFailure) { return try chunks.list(session: session) } catch {
            if error.isShortage { throw error }
            report.note(.special, session, "\(error)")
            return nil
        }
    }

    // MARK: Outcome

    private func conclude(_ history: SessionHistory, _ report: inout AuditReport) {
        if let expected = report.merkleRoot, expected != report.computedRoot,
            expected == history.rootOfLeaves
        {
            report.note(
                .root, history.sessionID,
                "the log's root is \(expected), the files' is \(report.computedRoot ?? "unknown")")
        }
        report.outcome = outcome(history, report)
        noteUnfinished(history, &report)
    }

    /// The worst that was found; where nothing was, how far it was looked.
    private func outcome(_ history: SessionHistory, _ report: AuditReport) -> VerificationOutcome {
        let holes = history.findings.count { $0.rule == .unreadable }
        if report.findingCount > holes + (report.isKeyMissing ? 1 : 0) { return .damaged }
        if holes > 0 { return .unreadable }
        if report.isKeyMissing { return .keyMissing }
        switch history.state.status {
        case .completed: return report.contentChecked ? .sound : .unopened
        case .failed: return report.contentChecked ? .partial : .unopened
        default: return .unfinished
        }
    }

    private func noteUnfinished(_ history: SessionHistory, _ report: inout AuditReport) {
        guard let status = history.state.status, status != .completed else { return }
        let stored = history.trails.values.count { $0.stored != nil }
        report.note(
            .unfinished, history.sessionID,
            "the session is \(status.rawValue); \(stored) of \(history.trails.count) chunks are stored")
    }
}
