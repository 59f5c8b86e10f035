internal import Base

extension HistoryAudit {
    /// Judges a step of the session's life.
    /// - Returns: whether it can be taken into account.
    mutating func check(_ event: SessionEvent) -> Bool {
        switch event {
        case .created(let payload):
            guard state.status == nil else {
                note(.transition, "the session is created again")
                return false
            }
            wasPlain = !payload.storage.encryptionEnabled
        case .updated(let change):
            if state.status == .deleted { note(.transition, "the deleted session is changed") }
            if change.storage?.encryptionEnabled == false { wasPlain = true }
        case .keyExported(_, let keyID):
            if state.status == .deleted { note(.transition, "the deleted session's key is exported") }
            requireKey(keyID, "the key that was exported")
        case .started(_, let status):
            // Only from starting does a session begin to record; from paused it is resumed.
            let isLawful = status == .starting ? state.status == .created : state.status == .starting
            if !isLawful { noteStep(to: status) }
        case .paused: step(to: .paused)
        case .resumed: if state.status != .paused { noteStep(to: .recording) }
        case .stopped(let payload):
            step(to: .stopped)
            requireCounts("SessionStopped", payload.chunkCount, sizeBytes: payload.sizeBytes)
        case .processing(_, let count):
            step(to: .processing)
            requireCounts("SessionProcessing", count)
        case .merkleRootComputed(_, let root, let count): return check(root: root, leafCount: count)
        case .completed(let payload): check(payload)
        case .failed:
            step(to: .failed)
            overSince = version
        case .deleted:
            step(to: .deleted)
            requireFree("the session is deleted")
        case .legalHoldSet(let hold): check(set: hold)
        case .legalHoldLifted(let hold): check(lifted: hold)
        case .verified(let payload): check(payload)
        }
        return true
    }

    private mutating func step(to next: SessionStatus) {
        if state.status?.canBecome(next) != true { noteStep(to: next) }
    }

    private mutating func noteStep(to next: SessionStatus) {
        noteLack(
            .transition, nil,
            "the session becomes \(next.rawValue), and it was \(state.status?.rawValue ?? "not there")")
    }

    private mutating func requireCounts(_ type: String, _ count: Int, sizeBytes: Int? = nil) {
        if count != chunks.count {
            noteLack(.counts, nil, "\(type) counts \(count) chunks, and \(chunks.count) are recorded")
        }
        guard let sizeBytes, sizeBytes != self.sizeBytes else { return }
        let recorded = self.sizeBytes.map(String.init) ?? "too many"
        noteLack(.counts, nil, "\(type) says \(sizeBytes) bytes, and \(recorded) are recorded")
    }

    private mutating func check(set hold: SessionEvent.HoldChange) {
        checkHold(hold)
        if state.legalHolds.contains(hold.caseName) {
            note(.repetition, "case \(hold.caseName.prefix(100)) holds the session already")
        } else if state.legalHolds.count >= LegalHold.maximumCases, hold.caseName != HoldTag.caseName {
            note(.counts, "more cases hold the session than may")
        }
    }

    private mutating func check(lifted hold: SessionEvent.HoldChange) {
        checkHold(hold)
        if !state.legalHolds.contains(hold.caseName) {
            noteLack(
                .order, nil, "a hold of case \(hold.caseName.prefix(100)) is lifted, which does not hold it")
        }
    }

    private mutating func checkHold(_ hold: SessionEvent.HoldChange) {
        if state.status == .deleted { note(.transition, "a hold of the deleted session changes") }
        let violations =
            CaseText.violations(ofCase: hold.caseName) + CaseText.violations(ofReason: hold.reason)
        for violation in violations { note(.form, "\(violation)") }
    }

    /// Nothing of a session that a case holds is removed.
    mutating func requireFree(_ what: String) {
        guard !state.legalHolds.isEmpty else { return }
        let cases = state.legalHolds.prefix(3).map { String($0.prefix(100)) }.joined(separator: ", ")
        noteLack(.transition, nil, "\(what), and it is held by \(cases)")
    }

    private mutating func check(root: String, leafCount: Int) -> Bool {
        if state.merkleRoot != nil {
            note(.root, "MerkleRootComputed stands twice")
            return false
        }
        if state.status != .processing {
            noteLack(
                .transition, nil,
                "the Merkle root of a session that is \(state.status?.rawValue ?? "not there") is computed")
        }
        if Hexadecimal.bytes(root)?.count != 32 {
            note(.form, "root \"\(root.prefix(80))\" is not 64 lower-case hexadecimal digits")
        }
        let stored = chunks.values.count { $0.stored != nil }
        if leafCount != chunks.count || leafCount != stored {
            noteLack(
                .counts, nil,
                "MerkleRootComputed counts \(leafCount) leaves; \(chunks.count) chunks are recorded and "
                    + "\(stored) stored")
        }
        return true
    }

    private mutating func check(_ payload: SessionEvent.Completed) {
        step(to: .completed)
        overSince = version
        requireCounts("SessionCompleted", payload.chunkCount, sizeBytes: payload.sizeBytes)
        if payload.sealedBytes != sealedBytes {
            noteLack(
                .counts, nil,
                "SessionCompleted says \(payload.sealedBytes) sealed bytes, and "
                    + "\(sealedBytes.map(String.init) ?? "too many") are stored")
        }
        if payload.incomplete != state.incomplete {
            noteLack(
                .counts, nil,
                "SessionCompleted says \(payload.incomplete ? "incomplete" : "complete"), and SessionStopped "
                    + "the opposite")
        }
        if state.merkleRoot == nil {
            noteLack(.root, nil, "the session is completed, and there is no MerkleRootComputed")
        }
        if let root = state.merkleRoot, root != payload.merkleRoot {
            note(.root, "SessionCompleted has root \(payload.merkleRoot), and MerkleRootComputed \(root)")
        }
        for number in chunks.keys.sorted() where chunks[number]?.stored == nil {
            noteLack(
                .order, chunks[number]?.chunk.chunkID,
                "the session is completed, and chunk \(number) is not stored")
        }
    }

    /// What a verification has come to, by what it can have come to at this place. Whether it was right
    /// nobody can tell from the history.
    private mutating func check(_ payload: SessionEvent.Verified) {
        let status = state.status
        let isOver = status == .completed || status == .failed
        if status == .deleted || !isOver && payload.outcome != .damaged
            || payload.outcome == .sound && status != .completed
        {
            let place = status?.rawValue ?? "not there"
            noteLack(
                .transition, nil,
                "a session that is \(place) was verified as \(payload.outcome.rawValue)")
        }
        if let broken = payload.violations.first { note(.form, "the verification's \(broken)") }
        if payload.outcome == .sound,
            payload.chunkCount != state.chunkCount || payload.merkleRoot != state.merkleRoot
        {
            note(.counts, "a verification found sound what is not the session's chunks and root")
        }
        let saysOver = [.sound, .unopened, .partial].contains(payload.outcome)
        if saysOver, let overSince, payload.version < overSince {
            noteLack(
                .counts, nil,
                "a verification has compared up to event \(payload.version), and the session was over with "
                    + "event \(overSince)")
        }
        if payload.version >= version {
            note(
                .counts, "a verification has compared up to event \(payload.version), which stands behind it")
        }
    }

    /// A session has one data key.
    mutating func requireKey(_ keyID: String, _ what: String, subject: String? = nil) {
        guard let known = self.keyID else {
            if !Identifier.isValid(keyID) { note(.form, subject, "key_id \"\(keyID.prefix(120))\" is no id") }
            self.keyID = keyID
            return
        }
        if keyID != known { note(.content, subject, "\(what) is \(keyID), and the session's is \(known)") }
    }
}
