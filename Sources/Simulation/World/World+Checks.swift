internal import EventSourcing
internal import Foundation
internal import Pipeline
internal import Recording
internal import Vault

/// What has to hold when faults have stopped and everything has come to rest.
extension World {
    /// What is left to do; nil when everything has come to rest.
    var unsettled: String? {
        for recording in recordings where !recording.hasEnded && recording.process?.isDead != true {
            return "\(recording.sessionID) is being recorded"
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
            for partition in 0..<log.partitioning.count {
                let end = try store.end(of: partition)
                let start = LogPosition.start(of: partition)
                if database.checkpoints[partition] ?? start != end { return "the read models are behind" }
                if completed[partition] ?? start != end { return "completion is behind" }
            }
            for recording in recordings {
                guard let history = try SessionHistory(of: recording.sessionID, in: store) else { continue }
                switch history.state.status {
                case .created, .failed: break
                case .completed where hasSpoolFolder(recording.sessionID):
                    return "\(recording.sessionID) has files in the spool"
                case .completed: break
                case .processing where !history.state.failures.isEmpty: break
                default:
                    return "\(recording.sessionID) is \(history.state.status?.rawValue ?? "without a status")"
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
            try checkReadModels(store)
            let vault = try vault(for: nil)
            let keys = try vault.openKeys()
            let auditor = SessionAuditor(store: store, chunks: vault.chunks, keys: keys)
            let exporter = SessionExporter(store: store, chunks: vault.chunks, keys: keys)
            for recording in recordings {
                try check(recording, store, vault) { id in
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

    private func violated(_ text: String) { witness.violations.append(text) }

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

    /// The read models are the fold of the log.
    private func checkReadModels(_ store: any EventStore) throws {
        let records = Set(log.allEvents().filter { AuditRecord.isHistory($0.partitionKey) }.map(\.id))
        if Set(database.records.keys) != records {
            violated("the records of the audit trail are not the log's")
        }
        for recording in recordings {
            var fold: SessionFold?
            var chunks: [String: ChunkView] = [:]
            try store.forEach(of: recording.sessionID) { event in
                let fact = try RecordingEvent(event)
                let stamp = EventStamp(event)
                if fold == nil { fold = SessionFold(fact, stamp) } else { fold?.evolve(fact, stamp) }
                guard case .chunk(let chunk) = fact else { return }
                let id = chunk.chunk.chunkID
                if let first = ChunkView(chunk, stamp) {
                    chunks[id] = first
                } else {
                    chunks[id]?.evolve(chunk, stamp)
                }
            }
            let id = recording.sessionID
            if database.sessions[id] != fold?.session { violated("session \(id) is not the fold of the log") }
            if database.pipelines[id] != fold?.pipeline.view {
                violated("pipeline \(id) is not the fold of the log")
            }
            let stored = database.chunks.filter { $0.value.sessionID == id }
            if stored != chunks {
                let differing = Set(stored.keys).union(chunks.keys).filter { stored[$0] != chunks[$0] }
                    .sorted()
                violated("chunks of \(id) are not the fold of the log: \(differing)")
            }
        }
    }

    /// What the recorder was told, is; and a session whose chunks are stored is completed.
    private func check(
        _ recording: PlannedRecording, _ store: any EventStore, _ vault: VaultAccess,
        _ readBack: (String) throws -> [UInt8]
    ) throws {
        let id = recording.sessionID
        guard let history = try SessionHistory(of: id, in: store) else {
            if recording.acknowledged > 0 { violated("\(id) is not in the log") }
            return
        }
        let state = history.state
        if state.chunkCount < recording.acknowledged || state.sizeBytes < recording.acknowledgedBytes {
            violated(
                "\(id): \(recording.acknowledged) chunks were acknowledged, the log has \(state.chunkCount)")
        }
        for number in stride(from: 1, through: state.chunkCount, by: 1)
        where state.merkleHashes[number] == nil && state.failures[number] == nil {
            violated("\(id): chunk \(number) is neither stored nor parked")
        }
        if let summary = recording.summary, summary.reason == .endOfSource,
            summary.bytes != recording.bytes.count || state.sizeBytes != recording.bytes.count
        {
            violated("\(id): \(summary.bytes) bytes were reported, the log has \(state.sizeBytes)")
        }
        switch state.status {
        case .completed:
            try checkCompleted(recording, state, vault, readBack)
        case .created, .failed:
            if state.chunkCount > 0 { violated("\(id) has chunks and is \(state.status?.rawValue ?? "")") }
        case .processing where !state.failures.isEmpty:
            if parkedCount == 0 { violated("\(id): chunks have failed, none is parked") }
        default: violated("\(id) remains \(state.status?.rawValue ?? "without a status")")
        }
    }

    private func checkCompleted(
        _ recording: PlannedRecording, _ state: SessionState, _ vault: VaultAccess,
        _ readBack: (String) throws -> [UInt8]
    ) throws {
        let id = recording.sessionID
        if state.orderedMerkleHashes == nil || !state.failures.isEmpty {
            violated("\(id) is completed without all of its chunks")
        }
        let leaves = (state.orderedMerkleHashes ?? []).compactMap { Digest(hex: $0) }
        if MerkleTree(leafHashes: leaves).root.hex != state.merkleRoot {
            violated("\(id): the root is wrong")
        }
        if try readBack(id) != Array(recording.bytes.prefix(state.sizeBytes)) {
            violated("\(id) does not come back as it was recorded")
        }
        let left = try vault.spool.usage().files
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
    /// How many deliveries the stages have set aside.
    var parkedCount: Int { StageName.allCases.reduce(0) { $0 + log.parked(group: $1.rawValue).count } }
}
