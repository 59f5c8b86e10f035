package import EventSourcing
package import Base

/// What happens to a session. Schemas: `schemas/events/Session*.v1.json`.
package enum SessionEvent: Event, Hashable {
    /// A session was made.
    package struct Created: Sendable, Hashable {
        /// Its id.
        package var sessionID: String
        /// Its name, 1 to 255 characters.
        package var name: String
        /// The desktop that is recorded; nil for a film or a stream of which nobody has stated it.
        package var rdp: RDPConfig?
        /// How it is recorded.
        package var recording: RecordingConfig
        /// How it is kept.
        package var storage: StorageConfig
        /// What people say about it.
        package var metadata: SessionMetadata
        /// How it is cut.
        package var capture: CaptureConfig
        /// What the film says of itself that is recorded; nil where there is none, or nobody has looked.
        package var media: MediaFacts?
        package init(
            sessionID: String, name: String, rdp: RDPConfig?, recording: RecordingConfig,
            storage: StorageConfig, metadata: SessionMetadata, capture: CaptureConfig,
            media: MediaFacts? = nil
        ) {
            self.sessionID = sessionID
            self.name = name
            self.rdp = rdp
            self.recording = recording
            self.storage = storage
            self.metadata = metadata
            self.capture = capture
            self.media = media
        }

        /// Every rule that is broken.
        package var violations: [Violation] {
            var rules = Rules()
            rules.require("session_id", Identifier.isValid(sessionID), Identifier.rule)
            rules.length("name", name, 1...255)
            // Reel can connect to a desktop by these alone.
            if capture.source == .rdp {
                rules.require("rdp_config", rdp != nil, "is required")
                rules.require("rdp_config.username", rdp == nil || rdp?.username != nil, "is required")
            }
            return rules.violations + (rdp?.violations ?? []) + recording.violations + storage.violations
                + metadata.violations + capture.violations + (media?.violations ?? [])
        }
    }

    /// Parts of a session's description were replaced; absent ones stay as they were.
    package struct Updated: Sendable, Hashable {
        /// Its id.
        package var sessionID: String
        /// The new name.
        package var name: String?
        /// The new recording configuration.
        package var recording: RecordingConfig?
        /// The new storage configuration.
        package var storage: StorageConfig?
        /// The new metadata.
        package var metadata: SessionMetadata?

        /// A payload that changes nothing yet.
        package init(sessionID: String) { self.sessionID = sessionID }
    }

    /// Why a recording stopped.
    package enum StopReason: String, Sendable, CaseIterable {
        /// The source had no more bytes.
        case endOfSource = "end_of_source"
        /// Somebody asked for it.
        case requested
        /// The recorder was interrupted by a signal.
        case interrupted
        /// The recorder could not go on (full disk, broken source).
        case recorderFailed = "recorder_failed"
        /// The recorder vanished.
        case recorderLost = "recorder_lost"
    }

    /// Nothing more will be recorded.
    package struct Stopped: Sendable, Hashable {
        /// Its id.
        package var sessionID: String
        /// Why.
        package var reason: StopReason
        /// Whether something of the source is missing.
        package var incomplete: Bool
        /// How many chunks were recorded; they are numbered 1...chunkCount.
        package var chunkCount: Int
        /// Sum of their sizes in bytes.
        package var sizeBytes: Int
        package init(
            sessionID: String, reason: StopReason, incomplete: Bool, chunkCount: Int, sizeBytes: Int
        ) {
            self.sessionID = sessionID
            self.reason = reason
            self.incomplete = incomplete
            self.chunkCount = chunkCount
            self.sizeBytes = sizeBytes
        }
    }

    /// Every chunk is stored, the tree closed.
    package struct Completed: Sendable, Hashable {
        /// Its id.
        package var sessionID: String
        /// Root of its Merkle tree, 64 hexadecimal digits.
        package var merkleRoot: String
        /// How many chunks.
        package var chunkCount: Int
        /// Recorded bytes.
        package var sizeBytes: Int
        /// Bytes of the sealed files.
        package var sealedBytes: Int
        /// Whether something of the source is missing.
        package var incomplete: Bool
        package init(
            sessionID: String, merkleRoot: String, chunkCount: Int, sizeBytes: Int, sealedBytes: Int,
            incomplete: Bool
        ) {
            self.sessionID = sessionID
            self.merkleRoot = merkleRoot
            self.chunkCount = chunkCount
            self.sizeBytes = sizeBytes
            self.sealedBytes = sealedBytes
            self.incomplete = incomplete
        }
    }

    /// A case holds the session, or does no longer, and why.
    package struct HoldChange: Sendable, Hashable {
        /// The session's id.
        package var sessionID: String
        /// The case.
        package var caseName: String
        /// Why.
        package var reason: String
        package init(sessionID: String, caseName: String, reason: String) {
            self.sessionID = sessionID
            self.caseName = caseName
            self.reason = reason
        }
    }

    /// A session was made.
    case created(Created)
    /// Its description changed.
    case updated(Updated)
    /// It is starting (a recorder was asked for) or recording (a recorder has begun).
    case started(sessionID: String, status: SessionStatus)
    /// Recording rests.
    case paused(sessionID: String)
    /// Recording goes on.
    case resumed(sessionID: String)
    /// Nothing more will be recorded.
    case stopped(Stopped)
    /// Its last chunks are on their way.
    case processing(sessionID: String, chunkCount: Int)
    /// Every chunk is stored, the tree closed.
    case completed(Completed)
    /// It could not be completed.
    case failed(sessionID: String, error: String)
    /// It was removed.
    case deleted(sessionID: String)
    /// The tree of the stopped session is closed.
    case merkleRootComputed(sessionID: String, root: String, leafCount: Int)
    /// Someone took out the session's data key.
    case keyExported(sessionID: String, keyID: String)
    /// A case holds the session from now on.
    case legalHoldSet(HoldChange)
    /// A case holds it no longer.
    case legalHoldLifted(HoldChange)
    /// Files, log and proofs were compared.
    case verified(Verified)

    /// The session it concerns.
    package var sessionID: String {
        switch self {
        case .created(let payload): payload.sessionID
        case .updated(let payload): payload.sessionID
        case .stopped(let payload): payload.sessionID
        case .completed(let payload): payload.sessionID
        case .legalHoldSet(let payload), .legalHoldLifted(let payload): payload.sessionID
        case .verified(let payload): payload.sessionID
        case .started(let id, _), .paused(let id), .resumed(let id), .processing(let id, _),
            .failed(let id, _), .deleted(let id), .merkleRootComputed(let id, _, _), .keyExported(let id, _):
            id
        }
    }

    /// The session's id.
    package var subject: String { sessionID }

    /// The format level from which on holds, and facts that nobody stated as absent, are known.
    package static let levelOfHolds = 2
    /// The format level from which on verifications are known.
    package static let levelOfVerifications = 2

    /// The newest version of its type that is known at a level.
    package func version(at level: FormatLevel) -> Int? {
        switch self {
        case .legalHoldSet, .legalHoldLifted: level.number >= Self.levelOfHolds ? 1 : nil
        case .verified: level.number >= Self.levelOfVerifications ? 1 : nil
        default: level.number < 2 ? 1 : Self.newestVersion(of: typeName)
        }
    }

    /// The CloudEvents type.
    package var typeName: String {
        switch self {
        case .created: "SessionCreated"
        case .updated: "SessionUpdated"
        case .started: "SessionStarted"
        case .paused: "SessionPaused"
        case .resumed: "SessionResumed"
        case .stopped: "SessionStopped"
        case .processing: "SessionProcessing"
        case .completed: "SessionCompleted"
        case .failed: "SessionFailed"
        case .deleted: "SessionDeleted"
        case .merkleRootComputed: "MerkleRootComputed"
        case .keyExported: "KeyExported"
        case .legalHoldSet: "LegalHoldSet"
        case .legalHoldLifted: "LegalHoldLifted"
        case .verified: "SessionVerified"
        }
    }

    /// The types that tell of cases that hold a session: not for everybody who reads its history.
    package static let holdTypeNames: Set<String> = ["LegalHoldSet", "LegalHoldLifted"]

    /// The types there are.
    package static let typeNames: Set<String> = [
        "SessionCreated", "SessionUpdated", "SessionStarted", "SessionPaused", "SessionResumed",
        "SessionStopped", "SessionProcessing", "SessionCompleted", "SessionFailed", "SessionDeleted",
        "MerkleRootComputed", "KeyExported", "LegalHoldSet", "LegalHoldLifted", "SessionVerified",
    ]
}
