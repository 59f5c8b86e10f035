internal import ChunkFiles
internal import Base
internal import EventSourcing
internal import Foundation
internal import Pipeline
internal import Recording
internal import SessionContent
internal import Sealing

/// What has to hold when faults have stopped and everything has come to rest.
extension World {
    /// What is left to do; nil when everything has come to rest.
    var unsettled: String? {
        for session in sessions {
            if let unfinished = session.unfinished { return "\(session.sessionID): \(unfinished)" }
        }
        for stage in entrances {
            let (pending, behind) = (
                log.pendingCount(group: stage.rawValue), log.behindCount(group: stage.rawValue)
            )
            if pending + behind > 0 { return "\(stage.rawValue) has \(pending) pending, \(behind) to come" }
        }
        do {
            let store = try log.open()
            let completed = try log.checkpoints().load("completion")
            let written = try log.checkpoints().load(LedgerHandler.subscription)
            for partition in 0..<log.partitioning.count {
                let end = try store.end(of: partition)
                let start = LogPosition.start(of: partition)
                if database.checkpoints[partition] ?? start != end { return "the read models are behind" }
                if completed[partition] ?? start != end { return "completion is behind" }
                if written[partition] ?? start != end { return "the ledger is behind" }
            }
            if let item = human.open().first { return "\(item.name) has \(item.position) set aside" }
            for id in sessions.map(\.sessionID) {
                guard let history = try SessionHistory(of: id, in: store) else { continue }
                switch history.state.status {
                case .created, .failed: break
                case .completed where hasSpoolFolder(id): return "\(id) has files in the spool"
                case .completed: break
                case _ where isHeldBack(id): break
                default: return "\(id) is \(history.state.status?.rawValue ?? "without a status")"
                }
            }
            return nil
        } catch { return "\(error)" }
    }

    private func hasSpoolFolder(_ session: String) -> Bool {
        FileManager.default.fileExists(atPath: "\(root)/spool/\(session)")
    }

    /// Looks at everything there is; what is broken is noted by the witness.
    func check() {
        do {
            let store = try log.open()
            checkLog()
            checkLedger()
            try checkReadModels(store)
            let vault = try vault(for: nil)
            let keys = try vault.openKeys()
            let auditor = SessionAuditor(store: store, chunks: vault.chunks, keys: keys)
            let exporter = SessionExporter(store: store, chunks: vault.chunks, keys: keys)
            let keepsNotes = faults.files == 0 && faults.powerCuts == 0
            for stream in streams { stream.keepsNotes = keepsNotes }
            for session in sessions {
                try check(session, store, vault) { id in
                    if let report = try auditor.audit(id) {
                        for finding in report.findings { violated("audit of \(id): \(finding)") }
                    }
                    var exported: [UInt8] = []
                    try exporter.export(id) { bytes, _ in exported.append(contentsOf: bytes) }
                    return exported
                }
            }
            witness.checkFiles()
        } catch { violated("the checks failed: \(error)") }
    }

    func violated(_ text: String) { witness.violations.append(text) }

    /// No gap, no second event of an id, and one event of each kind for each chunk.
    private func checkLog() {
        var sequences: [String: UInt64] = [:]
        var ids: Set<String> = []
        var kinds: Set<String> = []
        for event in log.allEvents() {
            let expected = (sequences[event.partitionKey] ?? 0) + 1
            if event.sequence != expected {
                violated("\(event.partitionKey): sequence \(event.sequence) where \(expected) belongs")
            }
            sequences[event.partitionKey] = event.sequence
            if !ids.insert(event.id).inserted { violated("\(event.id) stands twice in the log") }
            guard ChunkEvent.typeNames.contains(event.type), event.type != "ChunkFailed" else { continue }
            if !kinds.insert("\(event.subject)/\(event.type)").inserted {
                violated("\(event.subject) has \(event.type) twice")
            }
        }
    }

    /// What its sender was told, is; and a session whose chunks are stored is completed.
    private func check(
        _ session: any PlannedSession, _ store: any EventStore, _ vault: VaultAccess,
        _ readBack: (String) throws -> [UInt8]
    ) throws {
        let id = session.sessionID
        guard let history = try SessionHistory(of: id, in: store) else {
            if session.acknowledged > 0 { violated("\(id) is not in the log") }
            return
        }
        let state = history.state
        for text in session.violations(state) { violated("\(id): \(text)") }
        try checkChunks(of: id, state, store)
        switch state.status {
        case .completed: try checkCompleted(session, state, vault, readBack)
        case .failed where human.discarded.contains(id): break
        case .created, .failed:
            if state.chunkCount > 0 { violated("\(id) has chunks and is \(state.status?.rawValue ?? "")") }
        case _ where isHeldBack(id): break
        default: violated("\(id) remains \(state.status?.rawValue ?? "without a status")")
        }
    }

    private func checkCompleted(
        _ session: any PlannedSession, _ state: SessionState, _ vault: VaultAccess,
        _ readBack: (String) throws -> [UInt8]
    ) throws {
        let id = session.sessionID
        if state.orderedMerkleHashes == nil || !state.failures.isEmpty {
            violated("\(id) is completed without all of its chunks")
        }
        let leaves = (state.orderedMerkleHashes ?? []).compactMap { Digest(hex: $0) }
        if MerkleTree(leafHashes: leaves).root.hex != state.merkleRoot {
            violated("\(id): the root is wrong")
        }
        let events = log.allEvents().filter { $0.partitionKey == id }.sorted { $0.sequence < $1.sequence }
        for text in session.violations(ofBytes: try readBack(id), state, events) {
            violated("\(id): \(text)")
        }
        let left = try vault.spool.usage().files
        // Where completion does not see that the session is over, its leftovers wait for the sweep.
        if left > 0, try vault.spool.sessions().contains(id) {
            violated("\(id) is completed and has files in the spool: \(spoolNames(vault, id))")
        }
    }

    private func spoolNames(_ vault: VaultAccess, _ id: String) -> String {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(vault.spool.root)/\(id)")) ?? []
        return names.joined(separator: ", ")
    }
}

extension World {
    /// What went wrong, all in all.
    var faults: FaultCounts {
        var counts = disturbances.counts
        counts.poison = poison.count
        return counts
    }
}
