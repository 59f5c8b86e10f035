public import Intake
public import Recording
public import Vault

/// What is to be recorded, and in which form.
public struct RecordingOptions: Sendable {
    /// The session to make.
    public var session: SessionEvent.Created
    /// A chunk is closed after this long even when it is not full, so that a slow source has little
    /// at risk.
    public var maximumChunkMilliseconds: Int = 8000
    /// Chunks that may be recorded and not yet stored; the recorder slows its source beyond that.
    public var maximumChunksAhead: Int = 64
    /// Bytes that may be recorded and not yet stored.
    public var maximumBytesAhead: Int = 1 << 30
    /// How long to wait for servers that are away when the session is to be made.
    public var openingMilliseconds: Int = 10_000
    /// How long the log may be away before the recording is given up.
    public var patienceMilliseconds: Int = 300_000
    /// What becomes of bytes that come while the recording is paused; nil: a file waits, of a stream they are
    /// dropped.
    public var whilePaused: PausePolicy?
    /// Refuses the recording, slows it or closes it before a disk is full; nil: nobody looks.
    public var diskGuard: DiskGuard?

    /// The most bytes that are recorded: those of `max_size_gb`, unless fewer are said.
    public var maximumBytes: Int

    /// Options with the defaults.
    public init(session: SessionEvent.Created) {
        self.session = session
        maximumBytes = session.storage.maximumBytes
    }
}

/// A recording has as many bytes as it may have, and its source had more.
public struct SizeLimit: Error, Sendable, Hashable, CustomStringConvertible {
    /// The most bytes.
    public var maximumBytes: Int
    /// Gigabytes that its storage configuration names.
    public var maxSizeGB: Int

    /// What happened, by the field's name.
    public var description: String {
        "storage_config.max_size_gb: the recording has the \(maximumBytes) bytes that \(maxSizeGB) GB allow; "
            + "it was closed"
    }
}

/// How far a recording has come.
public struct RecordingProgress: Sendable, Hashable {
    /// Chunks that are acknowledged: durable in the spool and in the log.
    public var chunks = 0
    /// Their bytes.
    public var bytes = 0
    /// Bytes of the source; nil when it doesn't know.
    public var totalBytes: Int?
    /// What it waits for; nil while it records.
    public var waitingFor: String?
}

/// What became of a recording.
public struct RecordingSummary: Sendable, Hashable {
    /// The session.
    public var sessionID: String
    /// Acknowledged chunks.
    public var chunks: Int
    /// Their bytes.
    public var bytes: Int
    /// Why it stopped.
    public var reason: SessionEvent.StopReason
    /// Whether bytes that were begun to be sent, by anybody, are missing.
    public var incomplete: Bool
}

/// Why a recording was not made or ended early.
public enum RecordingFailure: Error, CustomStringConvertible {
    /// The session may not be made like that.
    case rejected(SessionRejection)
    /// The source could not be read.
    case source(SourceFailure)
    /// It was stopped before the source brought its first byte; no session was made.
    case interrupted
    /// The log, the keys or the spool failed: what, and what was kept.
    case failed(any Error, kept: RecordingSummary?)

    /// What happened, in a sentence.
    public var description: String {
        switch self {
        case .rejected(let rejection): "\(rejection)"
        case .source(let failure): "\(failure)"
        case .interrupted: "interrupted before the first byte; nothing was recorded"
        case .failed(let error, nil): "\(error)"
        case .failed(let error, let kept?):
            "\(error); session \(kept.sessionID) keeps \(kept.chunks) chunks of \(kept.bytes) bytes"
        }
    }
}
