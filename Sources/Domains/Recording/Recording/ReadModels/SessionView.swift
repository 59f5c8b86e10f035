package import Base
package import EventSourcing
package import ReadModels

/// A session as dashboards see it: the read model of collection `sessions` (seed 000).
///
/// A pure fold of the session's history. Two folds of the same history up to the same sequence are equal,
/// wherever and whenever they were made: nothing in it comes from a clock or from the order of writes.
package struct SessionView: Sendable, Hashable {
    /// Its id.
    package var sessionID: String
    /// Its name.
    package var name: String
    /// Where it is in its life.
    package var status: SessionStatus
    /// When it was made.
    package var createdAt: Timestamp
    /// When a recorder first began.
    package var startedAt: Timestamp?
    /// When the recording ended.
    package var stoppedAt: Timestamp?
    /// The desktop that is recorded; nil where nobody stated it.
    package var rdp: RDPConfig?
    /// How it is recorded.
    package var recording: RecordingConfig
    /// How it is kept.
    package var storage: StorageConfig
    /// What people say about it.
    package var metadata: SessionMetadata
    /// The cases that hold it, in the order in which they were set.
    package var holds: [LegalHold] = []
    /// What the film says of itself that was recorded; nil where there is none, or nobody has looked.
    package var media: MediaFacts?
    /// Its last verification; nil when there was none.
    package var verification: VerificationView?
    /// What was recorded; computed by `SessionFold` from exact sums.
    package var statistics: SessionStatistics
    /// When the last event that it contains happened, verifications left aside: they change nothing of it,
    /// and must not make anybody keep it for longer.
    package var updatedAt: Timestamp
    /// Sequence of that event.
    package var version: UInt64
    /// Place of that event in the log.
    package var logPosition: LogPosition

    /// The session after its first event; nil when that does not make a session.
    package init?(_ first: RecordingEvent, _ stamp: EventStamp) {
        guard case .session(.created(let payload)) = first else { return nil }
        self.init(
            sessionID: payload.sessionID, name: payload.name, status: .created, createdAt: stamp.time,
            rdp: payload.rdp, recording: payload.recording, storage: payload.storage,
            metadata: payload.metadata, updatedAt: stamp.time, version: stamp.sequence,
            logPosition: stamp.position)
        media = payload.media
    }

    /// A session from its parts, without statistics.
    package init(
        sessionID: String, name: String, status: SessionStatus, createdAt: Timestamp, rdp: RDPConfig?,
        recording: RecordingConfig, storage: StorageConfig, metadata: SessionMetadata, updatedAt: Timestamp,
        version: UInt64, logPosition: LogPosition
    ) {
        self.sessionID = sessionID
        self.name = name
        self.status = status
        self.createdAt = createdAt
        self.rdp = rdp
        self.recording = recording
        self.storage = storage
        self.metadata = metadata
        self.statistics = SessionStatistics()
        self.updatedAt = updatedAt
        self.version = version
        self.logPosition = logPosition
    }

    /// Takes in the next event of the session's history, but for the statistics.
    mutating func evolve(_ fact: RecordingEvent, _ stamp: EventStamp) {
        switch fact {
        case .session(let event): evolve(event, stamp)
        case .chunk, .pipeline: break
        }
        if case .session(.verified) = fact {} else { updatedAt = stamp.time }
        version = stamp.sequence
        logPosition = stamp.position
    }

    private mutating func evolve(_ event: SessionEvent, _ stamp: EventStamp) {
        switch event {
        case .created, .merkleRootComputed, .keyExported: break
        case .legalHoldSet(let hold):
            guard !holds.contains(where: { $0.caseName == hold.caseName }) else { return }
            holds.append(
                LegalHold(
                    caseName: hold.caseName, reason: hold.reason, setBy: stamp.actor, setAt: stamp.time))
        case .legalHoldLifted(let hold): holds.removeAll { $0.caseName == hold.caseName }
        case .verified(let verified): verification = VerificationView(verified, stamp)
        case .updated(let change):
            name = change.name ?? name
            recording = change.recording ?? recording
            storage = change.storage ?? storage
            metadata = change.metadata ?? metadata
        case .started(_, let next): become(next, stamp)
        case .paused: become(.paused, stamp)
        case .resumed: become(.recording, stamp)
        case .stopped: become(.stopped, stamp)
        case .processing: become(.processing, stamp)
        case .completed: become(.completed, stamp)
        case .failed: become(.failed, stamp)
        case .deleted: become(.deleted, stamp)
        }
    }

    private mutating func become(_ next: SessionStatus, _ stamp: EventStamp) {
        status = next
        if next == .recording { startedAt = startedAt ?? stamp.time }
        if next == .stopped || next == .failed, startedAt != nil, stoppedAt == nil {
            stoppedAt = stamp.time
        }
    }
}

/// Statistics of a session, as seed 000 shows them.
package struct SessionStatistics: Sendable, Hashable {
    /// Whole seconds of media: the length of what was recorded (ops/decisions/media-time.md).
    package var durationSeconds: Int
    /// Recorded chunks.
    package var chunksCount: Int
    /// Recorded bytes.
    package var sizeBytes: Int
    /// Recorded frames, as far as the source tells them.
    package var frameCount: Int
    /// Frames that the source lost, as far as it tells.
    package var droppedFrames: Int
    /// Chunks that were given up, and the session's own failure.
    package var errorCount: Int
    /// Frames per second of media; 0 where frames or length are not known.
    package var averageFPS: Double
    /// Codec output against original bytes of the stored chunks, 0...1; 0 when none is stored.
    package var compressionRatio: Double
    package init(
        durationSeconds: Int = 0, chunksCount: Int = 0, sizeBytes: Int = 0, frameCount: Int = 0,
        droppedFrames: Int = 0, errorCount: Int = 0, averageFPS: Double = 0, compressionRatio: Double = 0
    ) {
        self.durationSeconds = durationSeconds
        self.chunksCount = chunksCount
        self.sizeBytes = sizeBytes
        self.frameCount = frameCount
        self.droppedFrames = droppedFrames
        self.errorCount = errorCount
        self.averageFPS = averageFPS
        self.compressionRatio = compressionRatio
    }
}
