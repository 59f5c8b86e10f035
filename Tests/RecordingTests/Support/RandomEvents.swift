import EventSourcing
import Recording

/// Random events of every type, with everything that a JSON text can trip over.
struct RandomEvents {
    var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    mutating func int(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }
    mutating func flag() -> Bool { Bool.random(using: &generator) }

    mutating func pick<T>(_ choices: [T]) -> T { choices[int(0...choices.count - 1)] }

    mutating func maybe<T>(_ make: (inout RandomEvents) -> T) -> T? { flag() ? make(&self) : nil }

    mutating func text() -> String {
        let alphabet: [Character] = [
            "a", "Z", "0", "-", "_", " ", "\"", "\\", "/", "\n", "\r", "\t", "\u{0}", "\u{1}", "\u{1F}",
            "\u{7F}", "é", "e\u{301}", "ß", "録", "🎥", "👩‍👩‍👧", "\u{2028}", "\u{FEFF}", "\u{10FFFF}",
        ]
        return String((0..<int(0...12)).map { _ in pick(alphabet) })
    }

    mutating func whole() -> Int { flag() ? int(0...100) : int(0...Int.max) }

    mutating func number() -> Double {
        switch int(0...4) {
        case 0: 0
        case 1: Double(int(0...1_000_000))
        case 2: Double(int(0...1_000_000)) / 1000
        case 3: Double.leastNonzeroMagnitude
        default: Double(sign: .plus, exponent: int(-1000...1000), significand: 1.1)
        }
    }

    mutating func time() -> Timestamp {
        Timestamp(milliseconds: Int64(int(-62_167_219_200_000...253_402_300_799_999)))
    }

    mutating func chunk() -> ChunkReference {
        let number = flag() ? int(1...2_000_000) : int(1...Int.max)
        return flag()
            ? ChunkReference(sessionID: text(), sequenceNumber: number)
            : ChunkReference(sessionID: text(), sequenceNumber: number, chunkID: text())
    }

    mutating func content() -> ChunkContent {
        ChunkContent(sizeBytes: whole(), digest: text(), keyID: text(), cipher: text())
    }

    mutating func recording() -> RecordingConfig {
        var config = RecordingConfig()
        config.frameRate = whole()
        config.resolution = text()
        config.quality = text()
        config.compression = text()
        config.bitrate = maybe { $0.whole() }
        config.audioEnabled = flag()
        config.cursorEnabled = flag()
        return config
    }

    mutating func storage() -> StorageConfig {
        var config = StorageConfig()
        config.retentionDays = whole()
        config.maxSizeGB = whole()
        config.encryptionEnabled = flag()
        config.compressionEnabled = flag()
        config.backupEnabled = flag()
        config.archiveEnabled = flag()
        return config
    }

    mutating func metadata() -> SessionMetadata {
        var metadata = SessionMetadata()
        metadata.project = maybe { $0.text() }
        metadata.environment = maybe { $0.text() }
        metadata.tags = (0..<int(0...3)).map { _ in text() }
        metadata.description = maybe { $0.text() }
        metadata.owner = maybe { $0.text() }
        metadata.priority = maybe { $0.text() }
        return metadata
    }

    mutating func created() -> SessionEvent.Created {
        var rdp = RDPConfig(host: text(), username: text())
        rdp.port = whole()
        rdp.domain = maybe { $0.text() }
        rdp.useTLS = flag()
        rdp.ignoreCertificate = flag()
        return SessionEvent.Created(
            sessionID: text(), name: text(), rdp: rdp, recording: recording(), storage: storage(),
            metadata: metadata(),
            capture: CaptureConfig(
                source: pick(CaptureConfig.Source.allCases), chunkSizeBytes: whole()))
    }

    mutating func updated() -> SessionEvent.Updated {
        var change = SessionEvent.Updated(sessionID: text())
        change.name = maybe { $0.text() }
        change.recording = maybe { $0.recording() }
        change.storage = maybe { $0.storage() }
        change.metadata = maybe { $0.metadata() }
        return change
    }

    mutating func hold() -> SessionEvent.HoldChange {
        SessionEvent.HoldChange(sessionID: text(), caseName: text(), reason: text())
    }

    mutating func sealed() -> ChunkEvent.Sealed {
        ChunkEvent.Sealed(
            chunk: chunk(), content: content(), codec: text(), compressedBytes: whole(),
            sealedBytes: whole(), merkleHash: text(), processingMilliseconds: number(),
            path: maybe { $0.text() })
    }

    mutating func session(_ kind: Int) -> SessionEvent {
        switch kind {
        case 0: .created(created())
        case 1: .updated(updated())
        case 2: .started(sessionID: text(), status: pick([.starting, .recording]))
        case 3: .paused(sessionID: text())
        case 4: .resumed(sessionID: text())
        case 5:
            .stopped(
                SessionEvent.Stopped(
                    sessionID: text(), reason: pick(SessionEvent.StopReason.allCases), incomplete: flag(),
                    chunkCount: whole(), sizeBytes: whole()))
        case 6: .processing(sessionID: text(), chunkCount: whole())
        case 7:
            .completed(
                SessionEvent.Completed(
                    sessionID: text(), merkleRoot: text(), chunkCount: whole(), sizeBytes: whole(),
                    sealedBytes: whole(), incomplete: flag()))
        case 8: .failed(sessionID: text(), error: text())
        case 9: .deleted(sessionID: text())
        case 10: .merkleRootComputed(sessionID: text(), root: text(), leafCount: whole())
        case 11: .keyExported(sessionID: text(), keyID: text())
        case 12: .legalHoldSet(hold())
        default: .legalHoldLifted(hold())
        }
    }

    mutating func chunk(_ kind: Int) -> ChunkEvent {
        switch kind {
        case 0:
            .recorded(
                ChunkEvent.Recorded(
                    chunk: chunk(), content: content(), codec: text(), capturedAt: time(),
                    durationSeconds: number(), frameCount: whole(), droppedFrames: whole(),
                    qualityScore: maybe { $0.number() }, spoolPath: text()))
        case 1:
            .compressed(
                ChunkEvent.Compressed(
                    chunk: chunk(), content: content(), codec: text(), compressedBytes: whole(),
                    processingMilliseconds: number(), spoolPath: maybe { $0.text() }))
        case 2: .sealed(sealed())
        case 3: .validated(sealed())
        case 4: .stored(sealed())
        case 5:
            .failed(chunk(), stage: text(), attempts: whole(), causes: (0..<int(1...3)).map { _ in text() })
        default: .deleted(chunk())
        }
    }

    mutating func event() -> RecordingEvent {
        let kind = int(0...21)
        if kind < 14 { return .session(session(kind)) }
        if kind < 21 { return .chunk(chunk(kind - 14)) }
        while true {
            let from = pick(PipelineState.allCases)
            let trigger = pick(PipelineTrigger.allCases)
            if let step = PipelineStep(sessionID: text(), from: from, trigger) { return .pipeline(step) }
        }
    }
}
