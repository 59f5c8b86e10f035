internal import Base

extension HistoryAudit {
    private static let ciphers = ["xchacha20poly1305", "none"]

    /// Judges what is told of a chunk.
    /// - Returns: whether it can be taken into account.
    mutating func check(_ event: ChunkEvent) -> Bool {
        let chunk = event.chunk
        guard NumberBounds.sequenceNumber.contains(chunk.sequenceNumber) else {
            note(.form, chunk.chunkID, "\(chunk.sequenceNumber) is no number of a chunk")
            return false
        }
        if case .recorded(let payload) = event { return check(payload) }
        if chunks[chunk.sequenceNumber] == nil {
            noteLack(
                .order, chunk.chunkID,
                "\(event.typeName) of chunk \(chunk.sequenceNumber), which is not recorded")
            // What was recorded may be what can't be read.
            if hole != nil { chunks[chunk.sequenceNumber] = ChunkTrail(withoutRecorded: event) }
        }
        guard let trail = chunks[chunk.sequenceNumber] else { return false }
        guard trail.chunk == chunk else {
            note(
                .identity, chunk.chunkID,
                "chunk \(chunk.sequenceNumber) is \(trail.chunk.chunkID), and here \(chunk.chunkID)")
            return false
        }
        switch event {
        case .recorded: return true
        case .failed(_, _, _, let causes):
            chunks[chunk.sequenceNumber]?.failure = causes.joined(separator: ": ")
            return true
        case .deleted: return checkDeletion(chunk, trail)
        case .compressed(let payload): return check(payload, trail)
        case .sealed(let payload): return check(payload, .sealed, event.typeName, trail)
        case .validated(let payload): return check(payload, .validated, event.typeName, trail)
        case .stored(let payload): return check(payload, .stored, event.typeName, trail)
        }
    }

    private mutating func check(_ payload: ChunkEvent.Recorded) -> Bool {
        let (chunk, content) = (payload.chunk, payload.content)
        let number = chunk.sequenceNumber
        guard chunks[number] == nil else {
            note(.repetition, chunk.chunkID, "chunk \(number) is recorded twice")
            return false
        }
        if number != chunks.count + 1 {
            noteLack(
                .order, chunk.chunkID, "chunk \(number) is recorded where \(chunks.count + 1) comes next")
        }
        if state.status != .recording {
            noteLack(
                .transition, chunk.chunkID,
                "a chunk is recorded while the session is \(state.status?.rawValue ?? "not there")")
        }
        for violation in chunk.violations + payload.violations { note(.form, chunk.chunkID, "\(violation)") }
        requireMeasure("duration_seconds", payload.durationSeconds, chunk.chunkID)
        requireMeasure("frame_count", Double(payload.frameCount), chunk.chunkID)
        requireMeasure("dropped_frames", Double(payload.droppedFrames), chunk.chunkID)
        if !Self.ciphers.contains(content.cipher) {
            note(.form, chunk.chunkID, "cipher \"\(content.cipher.prefix(40))\" is unknown")
        }
        if content.cipher == "none", !wasPlain {
            let text = "chunk \(number) is not encrypted, and its session is"
            if state.description == nil {
                noteLack(.cipher, chunk.chunkID, text)
            } else {
                note(.cipher, chunk.chunkID, text)
            }
        }
        requireKey(content.keyID, "the chunk's key", subject: chunk.chunkID)
        if sizeBytes != nil, boundedSum(sizeBytes, content.sizeBytes) == nil {
            note(.counts, chunk.chunkID, "the chunks have more bytes than there are")
        }
        sizeBytes = boundedSum(sizeBytes, content.sizeBytes)
        chunks[number] = ChunkTrail(payload)
        // Without it where the sums would leave all bounds.
        return sizeBytes != nil
    }

    private mutating func check(_ payload: ChunkEvent.Compressed, _ trail: ChunkTrail) -> Bool {
        let (id, number) = (trail.chunk.chunkID, trail.chunk.sequenceNumber)
        guard requireOnce(.compressed, "ChunkCompressed", trail) else { return false }
        requireContent(payload.content, trail)
        requireCodec(payload.codec, compressedBytes: payload.compressedBytes, trail)
        requireMeasure("processing_ms", payload.processingMilliseconds, id)
        if trail.latest != nil { note(.repetition, id, "ChunkCompressed of chunk \(number) comes too late") }
        chunks[number]?.compressed = ChunkTrail.Compressed(
            codec: payload.codec, bytes: payload.compressedBytes, isHandedOver: payload.spoolPath != nil)
        chunks[number]?.told.insert(.compressed)
        return true
    }

    private mutating func requireOnce(_ event: ChunkTrail.Told, _ name: String, _ trail: ChunkTrail) -> Bool {
        guard trail.told.contains(event) else { return true }
        note(.repetition, trail.chunk.chunkID, "\(name) stands twice for chunk \(trail.chunk.sequenceNumber)")
        return false
    }

    /// What is told of a chunk's sealed file, by one stage after the other.
    private mutating func check(
        _ payload: ChunkEvent.Sealed, _ told: ChunkTrail.Told, _ name: String, _ trail: ChunkTrail
    ) -> Bool {
        let (id, number) = (trail.chunk.chunkID, trail.chunk.sequenceNumber)
        guard requireOnce(told, name, trail) else { return false }
        if !trail.told.contains(told.previous) {
            noteLack(.order, id, "\(name) of chunk \(number) comes without the event of the stage before it")
        }
        if trail.told.rawValue & 0xF > told.rawValue {
            note(.repetition, id, "\(name) of chunk \(number) comes too late")
            return false
        }
        requireContent(payload.content, trail)
        requireCodec(payload.codec, compressedBytes: payload.compressedBytes, trail)
        requireSealing(payload, id)
        requireSame(payload, told, trail)
        if told == .stored {
            requirePath(payload, id)
            if sealedBytes != nil, boundedSum(sealedBytes, payload.sealedBytes) == nil {
                note(.counts, id, "the chunks have more sealed bytes than there are")
            }
            sealedBytes = boundedSum(sealedBytes, payload.sealedBytes)
            chunks[number]?.failure = nil
        }
        var kept = payload
        // One copy of each text is enough.
        kept.chunk = trail.chunk
        if kept.content == trail.content { kept.content = trail.content }
        chunks[number]?.latest = kept
        chunks[number]?.told.insert(told)
        chunks[number]?.compressed = nil
        return sealedBytes != nil && (0...Self.maximumNumber).contains(payload.sealedBytes)
    }

    /// What was counted or measured is a number of this world, even where nothing else depends on it.
    private mutating func requireMeasure(_ name: String, _ value: Double, _ id: String) {
        guard !(0...Double(Self.maximumNumber)).contains(value) else { return }
        note(.form, id, "\(name) \(value) is out of range")
    }

    private mutating func requireSealing(_ payload: ChunkEvent.Sealed, _ id: String) {
        requireMeasure("processing_ms", payload.processingMilliseconds, id)
        if Hexadecimal.bytes(payload.merkleHash)?.count != 32 {
            note(
                .form, id,
                "merkle_hash \"\(payload.merkleHash.prefix(80))\" is not 64 lower-case hexadecimal digits")
        }
        let isPossible =
            (1...Self.maximumNumber).contains(payload.sealedBytes)
            && payload.sealedBytes > payload.compressedBytes
        if !isPossible {
            note(
                .content, id,
                "sealed_bytes \(payload.sealedBytes) cannot hold \(payload.compressedBytes) bytes")
        }
    }

    /// What one worker passed on in memory is the same in all of its events. What came through the spool may
    /// have been sealed anew by a worker that found the chunk's file there already and adopted it; that
    /// worker has stored it, so that what it hands on is no adopted file.
    private mutating func requireSame(
        _ payload: ChunkEvent.Sealed, _ told: ChunkTrail.Told, _ trail: ChunkTrail
    ) {
        let id = trail.chunk.chunkID
        let mayBeAdopted = told == .stored || payload.path == nil
        if told == .sealed {
            guard let compressed = trail.compressed, !compressed.isHandedOver || !mayBeAdopted else { return }
            if compressed.codec != payload.codec {
                note(
                    .content, id,
                    "codec is \(payload.codec.prefix(40)), not \(compressed.codec) as in ChunkCompressed")
            }
            if compressed.bytes != payload.compressedBytes {
                note(
                    .content, id,
                    "compressed_bytes is \(payload.compressedBytes), not \(compressed.bytes) as in "
                        + "ChunkCompressed")
            }
            return
        }
        guard let earlier = trail.latest, earlier.path == nil || !mayBeAdopted,
            let difference = payload.difference(from: earlier)
        else { return }
        note(.content, id, "\(difference) as in \(told == .stored ? "ChunkValidated" : "ChunkSealed")")
    }

    private mutating func requireContent(_ content: ChunkContent, _ trail: ChunkTrail) {
        guard let difference = content.difference(from: trail.content) else { return }
        note(.content, trail.chunk.chunkID, "\(difference) as recorded")
    }

    /// The codec that was asked for, or none where that did not make the chunk smaller.
    private mutating func requireCodec(_ codec: String, compressedBytes: Int, _ trail: ChunkTrail) {
        let id = trail.chunk.chunkID
        if codec != trail.codec, codec != "none" {
            note(.content, id, "codec is \(codec.prefix(40)), and \(trail.codec) was asked for")
        }
        let size = trail.content.sizeBytes
        let isPossible =
            codec == "none" ? compressedBytes == size : (0..<max(1, size)).contains(compressedBytes)
        if !isPossible {
            note(
                .content, id,
                "compressed_bytes is \(compressedBytes) for \(size) bytes with codec \(codec.prefix(40))")
        }
    }

    private mutating func requirePath(_ stored: ChunkEvent.Sealed, _ id: String) {
        let digits = String(stored.chunk.sequenceNumber)
        let expected = "\(sessionID)/\(String(repeating: "0", count: max(0, 8 - digits.count)))\(digits).reel"
        if stored.path != expected {
            note(.content, id, "storage_path is \(stored.path?.prefix(250) ?? "missing"), not \(expected)")
        }
    }

    private mutating func checkDeletion(_ chunk: ChunkReference, _ trail: ChunkTrail) -> Bool {
        if state.status != .deleted {
            noteLack(
                .transition, chunk.chunkID,
                "ChunkDeleted of a session that is \(state.status?.rawValue ?? "not there")")
        }
        guard requireOnce(.deleted, "ChunkDeleted", trail) else { return false }
        if chunk.sequenceNumber != state.deletedThrough + 1 {
            noteLack(
                .order, chunk.chunkID,
                "ChunkDeleted of chunk \(chunk.sequenceNumber) where \(state.deletedThrough + 1) comes next")
        }
        chunks[chunk.sequenceNumber]?.told.insert(.deleted)
        return state.status == .deleted
    }
}
