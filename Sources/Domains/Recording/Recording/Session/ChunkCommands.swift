package import Base

// The rules of a session's chunks: one after the other, told apart by number, id and content.

extension ChunkReference {
    /// Every rule that is broken.
    ///
    /// The read model knows chunks by their id alone, so an id must not be taken from another session's
    /// chunks: one of the caller's own begins with the session's id and does not look like the usual one.
    package var violations: [Violation] {
        var rules = Rules()
        rules.range("sequence_number", sequenceNumber, NumberBounds.sequenceNumber)
        let usual = ChunkReference(sessionID: sessionID, sequenceNumber: sequenceNumber).chunkID
        if chunkID == usual { return rules.violations }
        let isLawful = Identifier.isValid(chunkID)
        rules.require("chunk_id", isLawful, Identifier.rule)
        rules.require(
            "chunk_id", !isLawful || chunkID.hasPrefix(sessionID + "-") && !Self.looksUsual(chunkID),
            "must be \(usual), or begin with the session's id and a hyphen and not end with -chunk-<digits>")
        return rules.violations
    }

    private static func looksUsual(_ id: String) -> Bool {
        let digits = id.utf8.reversed().prefix { (0x30...0x39).contains($0) }.count
        return digits > 0 && id.dropLast(digits).hasSuffix("-chunk-")
    }
}

extension SessionState {
    /// Notes what tells a recorded chunk from another one.
    mutating func identify(_ chunk: ChunkEvent.Recorded) {
        fingerprints.append(Self.fingerprint(of: chunk.content.digest, chunk.content.sizeBytes))
        spooled.append(Self.fingerprint(of: chunk.spoolPath))
        let reference = chunk.chunk
        let usual = ChunkReference(sessionID: reference.sessionID, sequenceNumber: reference.sequenceNumber)
        if reference != usual { ownChunkIDs[reference.sequenceNumber] = reference.chunkID }
    }

    /// The recorded chunk of this number; nil when there is none.
    package func chunk(_ number: Int) -> ChunkReference? {
        guard (1...max(1, chunkCount)).contains(number), chunkCount > 0 else { return nil }
        let usual = ChunkReference(sessionID: sessionID, sequenceNumber: number)
        guard let own = ownChunkIDs[number] else { return usual }
        return ChunkReference(sessionID: sessionID, sequenceNumber: number, chunkID: own)
    }

    /// Whether this very chunk is recorded already: same number, id, size and digest.
    package func holds(_ chunk: ChunkEvent.Recorded) -> Bool {
        let number = chunk.chunk.sequenceNumber
        return self.chunk(number) == chunk.chunk && fingerprints.indices.contains(number - 1)
            && fingerprints[number - 1] == Self.fingerprint(of: chunk.content.digest, chunk.content.sizeBytes)
    }

    /// Whether the recorded chunk of this number is described by an event that names this very file of the
    /// spool: two writers never have one name, so that whoever asks knows whether the event is their own.
    package func isRecorded(from spoolPath: String, as number: Int) -> Bool {
        spooled.indices.contains(number - 1) && spooled[number - 1] == Self.fingerprint(of: spoolPath)
    }

    /// 64 bits of a text and a number (FNV-1a). A second copy of each digest and name would cost ten times
    /// the memory; nobody without the session's key can make two digests meet, and names are random.
    private static func fingerprint(of text: String, _ number: Int = 0) -> UInt64 {
        var hash = 0xCBF2_9CE4_8422_2325 ^ UInt64(truncatingIfNeeded: number)
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return hash
    }
}

extension SessionDecider {
    /// The most chunks whose deletion is noted at once.
    package static let deletionsAtOnce = 500

    static func record(
        _ chunk: ChunkEvent.Recorded, at offset: Int?, _ state: SessionState, _ status: SessionStatus
    ) throws(SessionRejection) -> [RecordingEvent] {
        let number = chunk.chunk.sequenceNumber
        // Given again, in whatever state: it is recorded, and nothing is to be done. Of a stream that holds
        // for the same file alone: the same bytes from another sender are bytes of another sender.
        if state.holds(chunk), offset == nil || state.isRecorded(from: chunk.spoolPath, as: number) {
            return []
        }
        guard status == .recording else { throw .wrongState(status, command: "record a chunk") }
        if let offset {
            let place = StreamPlace(sequenceNumber: number, offset: offset)
            guard place == state.nextPlace else { throw .outOfPlace(expected: state.nextPlace, got: place) }
        }
        if number >= 1, number <= state.chunkCount { throw .chunkTaken(number: number) }
        guard number == state.chunkCount + 1 else {
            throw .outOfOrder(expected: state.chunkCount + 1, got: number)
        }
        let violations = chunk.chunk.violations + chunk.violations
        guard violations.isEmpty else { throw .invalid(violations) }
        // Of several that are recorded at once each may have found room before.
        let total = state.sizeBytes +| chunk.content.sizeBytes
        if let violation = state.description?.storage.violation(ofBytes: total) {
            throw .invalid([violation])
        }
        if let other = state.ownChunkIDs.first(where: { $0.value == chunk.chunk.chunkID }) {
            throw .chunkTaken(number: other.key)
        }
        return [.chunk(.recorded(chunk))]
    }

    static func deleteChunks(
        through last: Int, _ state: SessionState
    ) throws(SessionRejection) -> [RecordingEvent] {
        guard let status = state.status else { throw .notFound }
        guard status == .deleted else { throw .wrongState(status, command: "have its chunks deleted") }
        let first = state.deletedThrough + 1
        let end = min(last, state.chunkCount, state.deletedThrough + deletionsAtOnce)
        return stride(from: first, through: end, by: 1).compactMap { number in
            state.chunk(number).map { .chunk(.deleted($0)) }
        }
    }
}

extension ChunkEvent.Recorded {
    /// Every rule of seed 000 that is broken, but for those of the reference.
    package var violations: [Violation] {
        var rules = Rules()
        rules.range("size_bytes", content.sizeBytes, NumberBounds.chunkBytes)
        rules.require(
            "duration_seconds", durationSeconds >= 0 && durationSeconds.isFinite, "must not be negative")
        rules.range("frame_count", frameCount, NumberBounds.frames)
        rules.range("dropped_frames", droppedFrames, NumberBounds.frames)
        rules.range("quality_score", qualityScore, NumberBounds.quality)
        rules.oneOf("codec", codec, RecordingConfig.compressions)
        rules.require(
            "content_digest", Hexadecimal.bytes(content.digest)?.count == 32,
            "must be 64 lower-case hexadecimal digits")
        return rules.violations
    }
}
