package import Intake
package import Recording
package import ChunkFiles

/// What is to be recorded, and in which form.
package struct RecordingOptions: Sendable {
    /// The session to make.
    package var session: SessionEvent.Created
    /// A chunk is closed after this long even when it is not full, so that a slow source has little
    /// at risk.
    package var maximumChunkMilliseconds: Int = 8000
    /// Chunks that may be recorded and not yet stored; the recorder slows its source beyond that.
    package var maximumChunksAhead: Int = 64
    /// Bytes that may be recorded and not yet stored.
    package var maximumBytesAhead: Int = 1 << 30
    /// How long to wait for servers that are away when the session is to be made.
    package var openingMilliseconds: Int = 10_000
    /// How long the log may be away before the recording is given up.
    package var patienceMilliseconds: Int = 300_000
    /// What becomes of bytes that come while the recording is paused; nil: a file waits, of a stream they are
    /// dropped.
    package var whilePaused: PausePolicy?
    /// Refuses the recording, slows it or closes it before a disk is full; nil: nobody looks.
    package var diskGuard: DiskGuard?

    /// The most bytes that are recorded: those of `max_size_gb`, unless fewer are said.
    package var maximumBytes: Int

    /// Options with the defaults.
    package init(session: SessionEvent.Created) {
        self.session = session
        maximumBytes = session.storage.maximumBytes
    }
}

/// A recording has as many bytes as it may have, and its source had more.
package struct SizeLimit: Error, Sendable, Hashable, CustomStringConvertible {
    /// The most bytes.
    package var maximumBytes: Int
    /// Gigabytes that its storage configuration names.
    package var maxSizeGB: Int

    /// What happened, by the field's name.
    package var description: String {
        "storage_config.max_size_gb: the recording has the \(maximumBytes) bytes that \(maxSizeGB) GB allow; "
            + "it was closed"
    }
}

/// How far a recording has come.
package struct RecordingProgress: Sendable, Hashable {
    /// Chunks that are acknowledged: durable in the spool and in the log.
    package var chunks = 0
    /// Their bytes.
    package var bytes = 0
    /// Bytes of the source; nil when it doesn't know.
    package var totalBytes: Int?
    /// What it waits for; nil while it records.
    package var waitingFor: String?
}

/// What became of a recording.
package struct RecordingSummary: Sendable, Hashable {
    /// The session.
    package var sessionID: String
    /// Acknowledged chunks.
    package var chunks: Int
    /// Their bytes.
    package var bytes: Int
    /// Why it stopped.
    package var reason: SessionEvent.StopReason
    /// Whether bytes that were begun to be sent, by anybody, are missing.
    package var incomplete: Bool
}

/// Why a recording was not made or ended early.
package enum RecordingFailure: Error, CustomStringConvertible {
    /// The session may not be made like that.
    case rejected(SessionRejection)
    /// The source could not be read.
    case source(SourceFailure)
    /// It was stopped before the source brought its first byte; no session was made.
    case interrupted
    /// The log, the keys or the spool failed: what, and what was kept.
    case failed(any Error, kept: RecordingSummary?)

    /// What happened, in a sentence.
    package var description: String {
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
