public import EventSourcing

/// What has to be remembered of a session's past to go on computing its statistics without loss.
///
/// The statistics are rounded and mixed (whole seconds, ratios), so a fold that went on from them alone
/// would drift with every restart; the tally keeps the exact sums.
public struct SessionTally: Sendable, Hashable {
    /// How long was recorded.
    public var clock = RecordingClock()
    /// Recorded chunks.
    public var chunkCount = 0
    /// Recorded bytes.
    public var sizeBytes = 0
    /// Recorded frames.
    public var frameCount = 0
    /// Frames that the source lost.
    public var droppedFrames = 0
    /// How good the source says that the chunks are.
    public var quality = QualityTally()
    /// What the stages did.
    public var work = WorkTally()
    /// Chunks that were given up, and the session's own failure.
    public var errorCount = 0
    /// Chunks in the chunk store.
    public var storedCount = 0
    /// Recorded bytes of the stored chunks.
    public var storedOriginalBytes = 0
    /// The codec's output of the stored chunks.
    public var storedPayloadBytes = 0
    /// Sealed files of the stored chunks.
    public var storedFileBytes = 0

    /// A tally of nothing.
    public init() {}

    /// Takes in the next event of the session's history.
    public mutating func evolve(_ fact: RecordingEvent, _ stamp: EventStamp) {
        switch fact {
        case .chunk(let event): count(event)
        case .session(let event): evolve(event, stamp.time)
        case .pipeline: break
        }
        clock.advance(to: stamp.time)
    }

    private mutating func evolve(_ event: SessionEvent, _ time: Timestamp) {
        switch event {
        case .started(_, .recording), .resumed: clock.run(from: time)
        case .started, .paused, .stopped, .processing, .completed, .deleted: clock.rest(at: time)
        case .failed:
            errorCount += 1
            clock.rest(at: time)
        case .created, .updated, .merkleRootComputed, .keyExported, .legalHoldSet, .legalHoldLifted: break
        }
    }

    private mutating func count(_ event: ChunkEvent) {
        switch event {
        case .recorded(let payload):
            chunkCount += 1
            sizeBytes += payload.content.sizeBytes
            frameCount += payload.frameCount
            droppedFrames += payload.droppedFrames
            if let score = payload.qualityScore { quality.add(score) }
        case .compressed(let payload): work.add(payload.processingMilliseconds, to: payload.chunk)
        case .sealed(let payload), .validated(let payload):
            work.add(payload.processingMilliseconds, to: payload.chunk)
        case .stored(let payload):
            work.finish(payload.processingMilliseconds, of: payload.chunk)
            storedCount += 1
            storedOriginalBytes += payload.content.sizeBytes
            storedPayloadBytes += payload.compressedBytes
            storedFileBytes += payload.sealedBytes
        case .failed:
            errorCount += 1
            work.failures += 1
        case .deleted: break
        }
    }

    /// The statistics that follow from it.
    public var statistics: SessionStatistics {
        let milliseconds = clock.active_ms
        return SessionStatistics(
            durationSeconds: Int(milliseconds / 1000), chunksCount: chunkCount, sizeBytes: sizeBytes,
            frameCount: frameCount, droppedFrames: droppedFrames, errorCount: errorCount,
            averageFPS: milliseconds == 0 ? 0 : Double(frameCount) * 1000 / Double(milliseconds),
            compressionRatio: storedOriginalBytes == 0
                ? 0 : min(1, Double(storedPayloadBytes) / Double(storedOriginalBytes)))
    }
}

/// Adds up the time that was recorded. Works on the times of events: no clock is asked.
public struct RecordingClock: Sendable, Hashable {
    /// Milliseconds of finished stretches.
    public var finished_ms: Int64 = 0
    /// When the running stretch began; nil while nothing is recorded.
    public var runningSince: Timestamp?
    /// The latest time that the running stretch has reached.
    public var seenUntil: Timestamp?

    /// A clock that never ran.
    public init() {}

    /// Milliseconds recorded so far; of the running stretch, up to the last event.
    public var active_ms: Int64 {
        guard let runningSince, let seenUntil else { return finished_ms }
        return finished_ms + max(0, seenUntil.milliseconds - runningSince.milliseconds)
    }

    mutating func run(from time: Timestamp) {
        guard runningSince == nil else { return }
        runningSince = time
        seenUntil = time
    }

    mutating func advance(to time: Timestamp) {
        // Events of several machines may step back by their clocks' difference; recorded time never does.
        guard let seen = seenUntil, time > seen else { return }
        seenUntil = time
    }

    mutating func rest(at time: Timestamp) {
        advance(to: time)
        finished_ms = active_ms
        runningSince = nil
        seenUntil = nil
    }
}
