internal import Base

/// What has to be remembered of a session's past to go on computing its statistics without loss.
///
/// The statistics are rounded and mixed (whole seconds, ratios), so a fold that went on from them alone
/// would drift with every restart; the tally keeps the exact sums.
package struct SessionTally: Sendable, Hashable {
    /// The time of what was recorded.
    package var clock = MediaClock()
    /// Whether a file is recorded: when its bytes were read says nothing about the time in it.
    package var isFile = false
    /// Recorded chunks.
    package var chunkCount = 0
    /// Recorded bytes.
    package var sizeBytes = 0
    /// Recorded frames.
    package var frameCount = 0
    /// Frames that the source lost.
    package var droppedFrames = 0
    /// How good the source says that the chunks are.
    package var quality = QualityTally()
    /// What the stages did.
    package var work = WorkTally()
    /// Chunks that were given up, and the session's own failure.
    package var errorCount = 0
    /// Chunks in the chunk store.
    package var storedCount = 0
    /// Recorded bytes of the stored chunks.
    package var storedOriginalBytes = 0
    /// The codec's output of the stored chunks.
    package var storedPayloadBytes = 0
    /// Sealed files of the stored chunks.
    package var storedFileBytes = 0

    /// A tally of nothing.
    package init() {}

    /// Takes in the next event of the session's history.
    package mutating func evolve(_ fact: RecordingEvent) {
        switch fact {
        case .chunk(let event): count(event)
        case .session(let event): evolve(event)
        case .pipeline: break
        }
    }

    private mutating func evolve(_ event: SessionEvent) {
        switch event {
        case .created(let payload): isFile = payload.capture.source == .file
        case .paused, .stopped, .deleted: clock.rest()
        case .failed:
            errorCount +|= 1
            clock.rest()
        case .updated, .started, .resumed, .processing, .completed, .merkleRootComputed, .keyExported,
            .legalHoldSet, .legalHoldLifted, .verified:
            break
        }
    }

    private mutating func count(_ event: ChunkEvent) {
        switch event {
        case .recorded(let payload):
            chunkCount +|= 1
            sizeBytes +|= payload.content.sizeBytes
            frameCount +|= payload.frameCount
            droppedFrames +|= payload.droppedFrames
            if !isFile { clock.add(from: payload.capturedAt, seconds: payload.durationSeconds) }
            if let score = payload.qualityScore { quality.add(score) }
        case .compressed(let payload): work.add(payload.processingMilliseconds, to: payload.chunk)
        case .sealed(let payload), .validated(let payload):
            work.add(payload.processingMilliseconds, to: payload.chunk)
        case .stored(let payload):
            work.finish(payload.processingMilliseconds, of: payload.chunk)
            storedCount +|= 1
            storedOriginalBytes +|= payload.content.sizeBytes
            storedPayloadBytes +|= payload.compressedBytes
            storedFileBytes +|= payload.sealedBytes
        case .failed:
            errorCount +|= 1
            work.failures +|= 1
        case .deleted: break
        }
    }

    /// Milliseconds of media: what the chunks cover; of a film its length, and while only a part of the file
    /// is recorded, that share of it.
    func media_ms(of film: MediaFacts?) -> Int64 {
        guard isFile else { return clock.covered_ms }
        guard let film, let seconds = film.durationSeconds else { return 0 }
        return Int64(saturating: (seconds * 1000 * share(of: film)).rounded())
    }

    /// The statistics that follow from it, and from the facts of the film that is recorded.
    package func statistics(of film: MediaFacts?) -> SessionStatistics {
        let milliseconds = media_ms(of: film)
        let frames = frames(of: film)
        return SessionStatistics(
            durationSeconds: Int(clamping: milliseconds / 1000), chunksCount: chunkCount,
            sizeBytes: sizeBytes, frameCount: frames, droppedFrames: droppedFrames, errorCount: errorCount,
            averageFPS: rate(frames, milliseconds, film),
            compressionRatio: compressionRatio(storedPayloadBytes, of: storedOriginalBytes))
    }

    /// Frames that the chunks' sources have told; where they tell none, the film's.
    private func frames(of film: MediaFacts?) -> Int {
        guard frameCount == 0, isFile, let film, let frames = film.frameCount else { return frameCount }
        return Int(saturating: (Double(frames) * share(of: film)).rounded())
    }

    private func rate(_ frames: Int, _ milliseconds: Int64, _ film: MediaFacts?) -> Double {
        if isFile, frameCount == 0, chunkCount > 0, let rate = film?.frameRate { return rate }
        return .quotient(Double(frames) * 1000, by: Double(milliseconds))
    }

    /// How much of the film's file is recorded, 0...1.
    private func share(of film: MediaFacts) -> Double {
        min(1, .quotient(Double(sizeBytes), by: Double(film.sizeBytes)))
    }
}
