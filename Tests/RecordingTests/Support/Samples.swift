import Base
import EventSourcing
import Recording
import Testing

/// What the golden files hold, as values: one array per type, one element per line.
enum Samples {
    static let sessionID = "sess-01JD3XQ4N8V7Z2M5K9R6T0W1YB"
    private static let keyID = "key-01JD3XQ4NAP3"
    private static let digest = String(repeating: "5f", count: 31) + "a0"
    private static let leaf = String(repeating: "00c3", count: 16)
    private static let root = String(repeating: "9e1d", count: 16)

    static func of(_ type: String) throws -> [RecordingEvent] {
        switch type {
        case "SessionCreated": (created + unstated).map { .session(.created($0)) }
        case "SessionUpdated": (updated + [unstatedUpdate]).map { .session(.updated($0)) }
        case "SessionStarted":
            [
                .session(.started(sessionID: sessionID, status: .starting)),
                .session(.started(sessionID: sessionID, status: .recording)),
            ]
        case "SessionPaused": [.session(.paused(sessionID: sessionID))]
        case "SessionResumed": [.session(.resumed(sessionID: sessionID))]
        case "SessionDeleted": [.session(.deleted(sessionID: sessionID))]
        case "SessionStopped": stopped
        case "SessionProcessing": [.session(.processing(sessionID: sessionID, chunkCount: 7))]
        case "SessionCompleted":
            [
                .session(
                    .completed(
                        SessionEvent.Completed(
                            sessionID: sessionID, merkleRoot: root, chunkCount: 7, sizeBytes: 73_400_320,
                            sealedBytes: 18_353_111, incomplete: false)))
            ]
        case "SessionFailed":
            [.session(.failed(sessionID: sessionID, error: "chunk 3: no space left on device"))]
        case "MerkleRootComputed":
            [.session(.merkleRootComputed(sessionID: sessionID, root: root, leafCount: 7))]
        case "LegalHoldSet":
            [
                .session(
                    .legalHoldSet(
                        SessionEvent.HoldChange(
                            sessionID: sessionID, caseName: "2026-117",
                            reason: "Vorladung vom 3. März, \"Akte\" \\ 録")))
            ]
        case "LegalHoldLifted":
            [
                .session(
                    .legalHoldLifted(
                        SessionEvent.HoldChange(
                            sessionID: sessionID, caseName: "2026-117", reason: "case closed")))
            ]
        case "SessionVerified": verified.map { .session(.verified($0)) }
        case "KeyExported": [.session(.keyExported(sessionID: sessionID, keyID: keyID))]
        case "PipelineStateChanged":
            [
                .pipeline(
                    try #require(PipelineStep(sessionID: sessionID, from: .starting, .startComplete))),
                .pipeline(
                    try #require(PipelineStep(sessionID: sessionID, from: .cleanup, .cleanupComplete))),
            ]
        default: chunk(type)
        }
    }

    private static func chunk(_ type: String) -> [RecordingEvent] {
        switch type {
        case "ChunkRecorded": recorded.map { .chunk(.recorded($0)) }
        case "ChunkCompressed": compressed.map { .chunk(.compressed($0)) }
        case "ChunkSealed":
            [
                .chunk(.sealed(sealed(3.75, path: "\(sessionID)/00000007.reel"))),
                .chunk(.sealed(emptySealed)),
            ]
        case "ChunkValidated":
            [
                .chunk(.validated(sealed(3.75, path: "\(sessionID)/00000007.reel"))),
                .chunk(.validated(emptySealed)),
            ]
        case "ChunkStored": [.chunk(.stored(sealed(21.5, path: "\(sessionID)/00000007.reel")))]
        case "ChunkFailed":
            [
                .chunk(
                    .failed(
                        seventh, stage: "encrypt", attempts: 3,
                        causes: [
                            "the session's key cannot be opened",
                            "read of the key file failed: Input/output error (5)",
                        ])),
                .chunk(.failed(seventh, stage: "store", attempts: 3, causes: ["chunk 7: no space left"])),
            ]
        case "ChunkDeleted": [.chunk(.deleted(seventh))]
        default: []
        }
    }

    /// What the golden file of an old version is decoded to.
    static func upcast(_ type: String, from version: Int) throws -> [RecordingEvent] {
        switch (type, version) {
        case ("SessionCreated", 1): return created.map { .session(.created($0)) }
        case ("SessionUpdated", 1): return updated.map { .session(.updated($0)) }
        case ("ChunkFailed", 1):
            let error = "read of the spool file failed: Input/output error (5)"
            return [.chunk(.failed(seventh, stage: "encrypt", attempts: 3, causes: [error]))]
        case ("ChunkRecorded", 1):
            return recorded.map { payload in
                var payload = payload
                payload.droppedFrames = 0
                payload.qualityScore = nil
                return .chunk(.recorded(payload))
            }
        default: return []
        }
    }

    private static var verified: [SessionEvent.Verified] {
        [
            SessionEvent.Verified(
                sessionID: sessionID, outcome: .sound, trigger: .background, version: 57, chunkCount: 7,
                bytesRead: 18_353_111, contentsOpened: true, merkleRoot: root, durationMilliseconds: 1_914,
                findings: [], findingCount: 0),
            SessionEvent.Verified(
                sessionID: sessionID, outcome: .damaged, trigger: .command, version: 58, chunkCount: 7,
                bytesRead: 15_731_238, contentsOpened: true, merkleRoot: nil, durationMilliseconds: 803,
                findings: [
                    "missing \(sessionID)/00000007.reel: the file of chunk 7 is gone",
                    "extra \(sessionID)/\"é\" 録.txt: file that is no chunk of the session",
                ], findingCount: 2),
            SessionEvent.Verified(
                sessionID: sessionID, outcome: .keyMissing, trigger: .command, version: 59, chunkCount: 7,
                bytesRead: 18_353_111, contentsOpened: false, merkleRoot: root, durationMilliseconds: 0,
                findings: ["unreadable \(sessionID): the session has no key"], findingCount: 1),
        ]
    }

    private static var created: [SessionEvent.Created] {
        var desk = RDPConfig(host: "desk-17.example.org", username: "m.keller")
        desk.port = 3390
        desk.domain = "FIELD"
        return [
            SessionEvent.Created(
                sessionID: sessionID, name: "Maintenance, desk 17", rdp: desk, recording: recording,
                storage: storage, metadata: metadata,
                capture: CaptureConfig(source: .rdp, chunkSizeBytes: 10 << 20)),
            SessionEvent.Created(
                sessionID: sessionID, name: "x", rdp: RDPConfig(host: "10.0.0.7", username: "m.keller"),
                recording: RecordingConfig(), storage: StorageConfig(), metadata: emptyMetadata,
                capture: CaptureConfig(source: .stream, chunkSizeBytes: 1024)),
        ]
    }

    /// What version 1 could not say: a film and a stream of which little is known.
    private static var unstated: [SessionEvent.Created] {
        var film = MediaFacts(container: "matroska,webm", sizeBytes: 3_000_000, audio: false)
        film.durationSeconds = 600.04
        (film.width, film.height) = (1280, 720)
        (film.frameRate, film.frameCount) = (25, 15_001)
        var recording = RecordingConfig.unstated(compression: "zstd")
        film.describe(&recording)
        return [
            SessionEvent.Created(
                sessionID: sessionID, name: "talk", rdp: nil, recording: recording,
                storage: StorageConfig(), metadata: emptyMetadata,
                capture: CaptureConfig(source: .file, chunkSizeBytes: 10 << 20), media: film),
            SessionEvent.Created(
                sessionID: sessionID, name: "trace",
                rdp: .stated(host: "desk-17.example.org", username: nil),
                recording: .unstated(compression: "none"), storage: StorageConfig(),
                metadata: emptyMetadata, capture: CaptureConfig(source: .stream, chunkSizeBytes: 1024)),
        ]
    }

    private static var unstatedUpdate: SessionEvent.Updated {
        var change = SessionEvent.Updated(sessionID: sessionID)
        change.recording = .unstated(compression: "gzip")
        return change
    }

    private static var recording: RecordingConfig {
        var recording = RecordingConfig()
        recording.frameRate = 25
        recording.resolution = "2560x1440"
        recording.quality = "ultra"
        recording.compression = "lz4"
        recording.bitrate = 8_000
        recording.audioEnabled = false
        return recording
    }

    private static var storage: StorageConfig {
        var storage = StorageConfig()
        storage.retentionDays = 365
        storage.maxSizeGB = 250
        storage.backupEnabled = true
        return storage
    }

    private static var metadata: SessionMetadata {
        var metadata = SessionMetadata()
        metadata.project = "Rügen"
        metadata.environment = "production"
        metadata.tags = ["audit", "quote \" backslash \\ tab \t"]
        metadata.description = "Line one\nline two, 録画 🎥"
        metadata.owner = "ops@example.org"
        metadata.priority = "critical"
        return metadata
    }

    private static var emptyMetadata: SessionMetadata {
        var metadata = SessionMetadata()
        metadata.priority = nil
        return metadata
    }

    private static var updated: [SessionEvent.Updated] {
        var everything = SessionEvent.Updated(sessionID: sessionID)
        everything.name = "Renamed"
        everything.recording = recording
        everything.storage = storage
        everything.metadata = metadata
        return [everything, SessionEvent.Updated(sessionID: sessionID)]
    }

    private static var stopped: [RecordingEvent] {
        let reasons: [(SessionEvent.StopReason, Bool)] = [
            (.endOfSource, false), (.requested, false), (.interrupted, true), (.recorderFailed, true),
            (.recorderLost, true),
        ]
        return reasons.map { reason, incomplete in
            .session(
                .stopped(
                    SessionEvent.Stopped(
                        sessionID: sessionID, reason: reason, incomplete: incomplete, chunkCount: 7,
                        sizeBytes: 73_400_320)))
        }
    }

    private static let seventh = ChunkReference(sessionID: sessionID, sequenceNumber: 7)
    private static let first = ChunkReference(
        sessionID: sessionID, sequenceNumber: 1, chunkID: "take-2_part-A")
    private static let content = ChunkContent(
        sizeBytes: 10_485_760, digest: digest, keyID: keyID, cipher: "xchacha20poly1305")
    private static let nothing = ChunkContent(sizeBytes: 0, digest: digest, keyID: keyID, cipher: "none")

    private static var recorded: [ChunkEvent.Recorded] {
        let captured = Timestamp(milliseconds: 1_769_903_998_007)
        return [
            ChunkEvent.Recorded(
                chunk: seventh, content: content, codec: "zstd", capturedAt: captured,
                durationSeconds: 12.5, frameCount: 312, droppedFrames: 3, qualityScore: 87.5,
                spoolPath: "\(sessionID)/00000007.raw"),
            ChunkEvent.Recorded(
                chunk: first, content: nothing, codec: "none", capturedAt: captured, durationSeconds: 0,
                frameCount: 0, spoolPath: "a"),
        ]
    }

    private static var compressed: [ChunkEvent.Compressed] {
        [
            ChunkEvent.Compressed(
                chunk: seventh, content: content, codec: "zstd", compressedBytes: 2_621_440,
                processingMilliseconds: 8.125, spoolPath: "\(sessionID)/00000007.zst"),
            ChunkEvent.Compressed(
                chunk: first, content: nothing, codec: "none", compressedBytes: 0,
                processingMilliseconds: 0, spoolPath: nil),
        ]
    }

    private static func sealed(_ milliseconds: Double, path: String) -> ChunkEvent.Sealed {
        ChunkEvent.Sealed(
            chunk: seventh, content: content, codec: "zstd", compressedBytes: 2_621_440,
            sealedBytes: 2_621_873, merkleHash: leaf, processingMilliseconds: milliseconds, path: path)
    }

    private static var emptySealed: ChunkEvent.Sealed {
        ChunkEvent.Sealed(
            chunk: first, content: nothing, codec: "none", compressedBytes: 0, sealedBytes: 401,
            merkleHash: leaf, processingMilliseconds: 0, path: nil)
    }
}

extension RecordingEvent {
    /// The newest version of its type.
    var newestVersion: Int {
        get throws { try #require(version(at: .newest), "\(typeName) has no version") }
    }
}
