package import Base
internal import EventSourcing

/// `PerformanceStats` of seed 000.
package struct PerformanceStats: Sendable, Hashable {
    /// Mean processing time of a chunk in milliseconds; 0 before the first one is stored.
    package var average_ms: Double
    /// The longest one.
    package var maximum_ms: Double
    /// The shortest one.
    package var minimum_ms: Double
    /// Chunks that a stage gave up, against all that a stage was done with, 0...1.
    package var errorRate: Double

    /// The figures that follow from a tally.
    package init(_ work: WorkTally) {
        average_ms = .quotient(work.sum_ms, by: Double(work.chunks))
        maximum_ms = work.maximum_ms ?? 0
        minimum_ms = work.minimum_ms ?? 0
        errorRate = .quotient(Double(work.failures), by: Double(work.failures) + Double(work.steps))
    }

    func encode(into json: inout JSONWriter) {
        json.member("performance_stats") { json in
            json.member("average_processing_time_ms", average_ms)
            json.member("max_processing_time_ms", maximum_ms)
            json.member("min_processing_time_ms", minimum_ms)
            json.member("error_rate", errorRate)
        }
    }
}

/// `SessionStatisticsResponse`: what is to be said of one session in figures, all of it from its events.
package struct SessionStatisticsResponse: Sendable, Hashable {
    /// The session.
    package var sessionID: String
    /// When the media begins; of a film, and before there is any, when the recording or else the session did.
    package var start: Timestamp
    /// When the media ends; of a film, and before there is any, when the recording did or its last event.
    package var end: Timestamp
    /// Whole seconds of media from beginning to end; of a film its length.
    package var totalSeconds: Int
    /// Whole seconds that the chunks cover.
    package var activeSeconds: Int
    /// The rest of them: pauses and gaps.
    package var pausedSeconds: Int { max(0, totalSeconds -| activeSeconds) }
    /// The figures of the session's document.
    package var statistics: SessionStatistics
    /// The codec's output of the stored chunks, in bytes.
    package var compressedBytes: Int
    /// The scores of the chunks.
    package var quality: QualityTally
    /// What the stages did.
    package var performance: PerformanceStats

    /// The figures of a session.
    package init(_ fold: SessionFold) {
        let session = fold.session
        sessionID = session.sessionID
        statistics = session.statistics
        activeSeconds = statistics.durationSeconds
        let clock = fold.tally.clock
        if let begin = clock.begin {
            start = begin
            end = begin.advanced(byMilliseconds: clock.span_ms)
            totalSeconds = max(activeSeconds, Int(clamping: clock.span_ms / 1000))
        } else {
            start = session.startedAt ?? session.createdAt
            // Clocks of several machines differ: nothing ends before it begins.
            end = max(start, session.startedAt == nil ? start : session.stoppedAt ?? session.updatedAt)
            totalSeconds = activeSeconds
        }
        compressedBytes = fold.tally.storedPayloadBytes
        quality = fold.tally.quality
        performance = PerformanceStats(fold.tally.work)
    }

    /// Writes the object.
    package func encode(into json: inout JSONWriter) {
        json.object { json in
            json.member("session_id", sessionID)
            json.member("time_range") { json in
                json.member("start", start)
                json.member("end", end)
            }
            json.member("recording_stats") { json in
                json.member("total_duration_seconds", totalSeconds)
                json.member("active_duration_seconds", activeSeconds)
                json.member("paused_duration_seconds", pausedSeconds)
                json.member("total_frames", statistics.frameCount)
                json.member("dropped_frames", statistics.droppedFrames)
                json.member("average_fps", statistics.averageFPS)
            }
            json.member("storage_stats") { json in
                let count = statistics.chunksCount
                json.member("total_size_bytes", statistics.sizeBytes)
                json.member("compressed_size_bytes", compressedBytes)
                json.member("compression_ratio", statistics.compressionRatio)
                json.member("chunks_count", count)
                json.member("average_chunk_size_bytes", count <= 0 ? 0 : statistics.sizeBytes / count)
            }
            json.member("quality_stats", object: encodeQuality)
            performance.encode(into: &json)
        }
    }

    /// Zeros as long as no source gives scores.
    private func encodeQuality(_ json: inout JSONWriter) {
        func ratio(_ part: Int) -> Double { .quotient(Double(part), by: Double(quality.count)) }
        let mean = Double.quotient(quality.sum, by: Double(quality.count))
        json.member("average_quality_score", min(100, mean))
        json.member("min_quality_score", quality.minimum ?? 0)
        json.member("max_quality_score", quality.maximum ?? 0)
        json.member("quality_distribution") { json in
            json.member("excellent", ratio(quality.excellent))
            json.member("good", ratio(quality.good))
            json.member("fair", ratio(quality.fair))
            json.member("poor", ratio(quality.poor))
        }
    }
}

/// What the file systems of the chunk store have, as they say.
package struct StorageCapacity: Sendable, Hashable {
    /// Bytes that there are.
    package var totalBytes: Int
    /// Bytes that may still be written.
    package var availableBytes: Int
    /// Bytes that are taken.
    package var usedBytes: Int { totalBytes - availableBytes }

    /// A capacity; what is available is no more than there is.
    package init(totalBytes: Int, availableBytes: Int) {
        self.totalBytes = max(0, totalBytes)
        self.availableBytes = min(max(0, availableBytes), self.totalBytes)
    }
}

/// `SystemStatisticsResponse`.
package struct SystemStatisticsResponse: Sendable, Hashable {
    /// Sums over all sessions that are not deleted.
    package var totals: RecordingTotals
    /// Room for sealed files.
    package var capacity: StorageCapacity
    package init(_ totals: RecordingTotals, _ capacity: StorageCapacity) {
        self.totals = totals
        self.capacity = capacity
    }

    /// Writes the object.
    package func encode(into json: inout JSONWriter) {
        json.object { json in
            json.member("system_stats") { json in
                let active: [SessionStatus] = [.starting, .recording, .paused]
                json.member("total_sessions", totals.sessions.values.reduce(0, +|))
                json.member("active_sessions", active.reduce(0) { $0 +| (totals.sessions[$1] ?? 0) })
                json.member("total_storage_bytes", totals.storedBytes)
                json.member(
                    "average_session_duration_seconds",
                    totals.startedCount <= 0 ? 0 : totals.durationSeconds / totals.startedCount)
            }
            PerformanceStats(totals.work).encode(into: &json)
            json.member("storage_stats") { json in
                json.member("total_capacity_bytes", capacity.totalBytes)
                json.member("used_capacity_bytes", capacity.usedBytes)
                json.member("available_capacity_bytes", capacity.availableBytes)
            }
        }
    }
}
