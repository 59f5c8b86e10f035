import Base
import EventSourcing
import Recording
import Simulation

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

    /// A number within bounds, its ends now and then.
    mutating func int(in bounds: ClosedRange<Int>) -> Int {
        switch int(0...3) {
        case 0: bounds.lowerBound
        case 1: bounds.upperBound
        case 2: min(bounds.upperBound, bounds.lowerBound + int(0...100))
        default: int(bounds)
        }
    }

    /// A number within bounds, its ends now and then.
    mutating func number(in bounds: ClosedRange<Double>) -> Double {
        switch int(0...4) {
        case 0: bounds.lowerBound
        case 1: bounds.upperBound
        default: min(max(number(), bounds.lowerBound), bounds.upperBound)
        }
    }

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
        let number = int(in: NumberBounds.sequenceNumber)
        return flag()
            ? ChunkReference(sessionID: text(), sequenceNumber: number)
            : ChunkReference(sessionID: text(), sequenceNumber: number, chunkID: text())
    }

    mutating func content() -> ChunkContent {
        ChunkContent(
            sizeBytes: int(in: NumberBounds.chunkBytes), digest: text(), keyID: text(), cipher: text())
    }

    mutating func recording() -> RecordingConfig {
        var config = RecordingConfig.unstated(compression: text())
        config.frameRate = maybe { $0.int(in: NumberBounds.frameRate) }
        config.resolution = maybe { $0.text() }
        config.quality = maybe { $0.text() }
        config.bitrate = maybe { $0.int(in: NumberBounds.bitrate) }
        config.audioEnabled = maybe { $0.flag() }
        config.cursorEnabled = maybe { $0.flag() }
        return config
    }

    mutating func storage() -> StorageConfig {
        var config = StorageConfig()
        config.retentionDays = int(in: NumberBounds.retentionDays)
        config.maxSizeGB = int(in: NumberBounds.maxSizeGB)
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
        var rdp = RDPConfig.stated(host: text(), username: maybe { $0.text() })
        rdp.port = maybe { $0.int(in: NumberBounds.port) }
        rdp.domain = maybe { $0.text() }
        rdp.useTLS = maybe { $0.flag() }
        rdp.ignoreCertificate = maybe { $0.flag() }
        return SessionEvent.Created(
            sessionID: text(), name: text(), rdp: flag() ? rdp : nil, recording: recording(),
            storage: storage(), metadata: metadata(),
            capture: CaptureConfig(
                source: pick(CaptureConfig.Source.allCases), chunkSizeBytes: int(in: NumberBounds.chunkSize)),
            media: maybe { $0.media() })
    }

    mutating func media() -> MediaFacts {
        var media = MediaFacts(
            container: "x" + text(), sizeBytes: int(in: MediaFacts.Bounds.bytes), audio: flag())
        media.durationSeconds = maybe { $0.number(in: MediaFacts.Bounds.seconds) }
        media.width = maybe { $0.int(in: MediaFacts.Bounds.pixels) }
        media.height = maybe { $0.int(in: MediaFacts.Bounds.pixels) }
        media.frameRate = maybe { $0.number(in: MediaFacts.Bounds.frameRate) }
        media.frameCount = maybe { $0.int(in: NumberBounds.frames) }
        return media
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

    mutating func verified() -> SessionEvent.Verified {
        let outcome = pick(VerificationOutcome.lasting)
        let findings = (0..<(outcome.isFault ? int(1...60) : 0)).map { _ in text() + "." }
        return SessionEvent.Verified(
            sessionID: text(), outcome: outcome, trigger: pick(VerificationTrigger.allCases),
            version: int(in: NumberBounds.sessionSequence), chunkCount: int(in: NumberBounds.chunkCount),
            bytesRead: int(in: NumberBounds.sessionBytes),
            contentsOpened: outcome == .sound || [.partial, .damaged].contains(outcome) && flag(),
            merkleRoot: maybe { $0.text() },
            durationMilliseconds: int(in: NumberBounds.sessionBytes), findings: findings,
            findingCount: findings.count)
    }

    mutating func sealed() -> ChunkEvent.Sealed {
        ChunkEvent.Sealed(
            chunk: chunk(), content: content(), codec: text(),
            compressedBytes: int(in: NumberBounds.chunkBytes),
            sealedBytes: int(in: NumberBounds.sealedBytes), merkleHash: text(),
            processingMilliseconds: number(in: NumberBounds.work_ms),
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
                    chunkCount: int(in: NumberBounds.chunkCount),
                    sizeBytes: int(in: NumberBounds.sessionBytes)))
        case 6: .processing(sessionID: text(), chunkCount: int(in: NumberBounds.chunkCount))
        case 7:
            .completed(
                SessionEvent.Completed(
                    sessionID: text(), merkleRoot: text(), chunkCount: int(in: NumberBounds.chunkCount),
                    sizeBytes: int(in: NumberBounds.sessionBytes),
                    sealedBytes: int(in: NumberBounds.sessionBytes), incomplete: flag()))
        case 8: .failed(sessionID: text(), error: text())
        case 9: .deleted(sessionID: text())
        case 10:
            .merkleRootComputed(
                sessionID: text(), root: text(), leafCount: int(in: NumberBounds.chunkCount))
        case 11: .keyExported(sessionID: text(), keyID: text())
        case 12: .legalHoldSet(hold())
        case 13: .legalHoldLifted(hold())
        default: .verified(verified())
        }
    }

    mutating func chunk(_ kind: Int) -> ChunkEvent {
        switch kind {
        case 0:
            .recorded(
                ChunkEvent.Recorded(
                    chunk: chunk(), content: content(), codec: text(), capturedAt: time(),
                    durationSeconds: number(in: NumberBounds.seconds),
                    frameCount: int(in: NumberBounds.frames), droppedFrames: int(in: NumberBounds.frames),
                    qualityScore: maybe { $0.number(in: NumberBounds.quality) }, spoolPath: text()))
        case 1:
            .compressed(
                ChunkEvent.Compressed(
                    chunk: chunk(), content: content(), codec: text(),
                    compressedBytes: int(in: NumberBounds.chunkBytes),
                    processingMilliseconds: number(in: NumberBounds.work_ms),
                    spoolPath: maybe { $0.text() }))
        case 2: .sealed(sealed())
        case 3: .validated(sealed())
        case 4: .stored(sealed())
        case 5:
            .failed(
                chunk(), stage: text(), attempts: int(in: NumberBounds.attempts),
                causes: (0..<int(1...3)).map { _ in text() })
        default: .deleted(chunk())
        }
    }

    mutating func event() -> RecordingEvent {
        let kind = int(0...22)
        if kind < 15 { return .session(session(kind)) }
        if kind < 22 { return .chunk(chunk(kind - 15)) }
        while true {
            let from = pick(PipelineState.allCases)
            let trigger = pick(PipelineTrigger.allCases)
            if let step = PipelineStep(sessionID: text(), from: from, trigger) { return .pipeline(step) }
        }
    }
}
