internal import Base
package import ReadModels

/// Sums over all sessions that are not deleted.
package struct RecordingTotals: Sendable, Hashable {
    /// Sessions by status; absent where there is none.
    package var sessions: [SessionStatus: Int] = [:]
    /// Recorded chunks.
    package var chunks = 0
    /// Recorded bytes.
    package var sizeBytes = 0
    /// Seconds recorded.
    package var durationSeconds = 0
    /// Errors.
    package var errors = 0
    /// Sessions whose recording began.
    package var startedCount = 0
    /// Bytes of sealed files.
    package var storedBytes = 0
    /// Stored chunks.
    package var storedChunks = 0
    /// Recorded bytes of the stored chunks.
    package var storedOriginalBytes = 0
    /// The codec's output of the stored chunks, in bytes.
    package var storedPayloadBytes = 0
    /// What the stages did for all sessions, also for deleted ones; without what they have begun.
    package var work = WorkTally()

    /// Sums of nothing.
    package init() {}
}

// How the sums are kept beside the checkpoints.
extension RecordingTotals {
    /// Names of the sums, as they are kept.
    package static let names = TotalsNames(
        groups: "sessions",
        sums: [
            "chunks", "size_bytes", "duration_seconds", "errors", "started", "stored_bytes", "worked_chunks",
            "worked_us", "steps", "failures", "stored_chunks", "stored_original_bytes",
            "stored_payload_bytes",
        ], least: "minimum_ms", most: "maximum_ms", history: "session_id")

    /// What one session adds. Of a deleted one only the work that it took remains.
    package static func share(of fold: SessionFold) -> TotalsShare {
        let (tally, isShown) = (fold.tally, fold.session.status != .deleted)
        func shown(_ value: Int) -> Int { isShown ? value : 0 }
        return TotalsShare(
            group: fold.session.status.rawValue,
            sums: [
                shown(tally.chunkCount), shown(tally.sizeBytes),
                shown(fold.session.statistics.durationSeconds), shown(tally.errorCount),
                shown(fold.session.startedAt == nil ? 0 : 1), shown(tally.storedFileBytes),
                tally.work.chunks,
                // Whole microseconds of each session: sums that don't depend on their order.
                Int(saturating: (tally.work.sum_ms * 1000).rounded()), tally.work.steps,
                tally.work.failures, shown(tally.storedCount), shown(tally.storedOriginalBytes),
                shown(tally.storedPayloadBytes),
            ], least: tally.work.minimum_ms, most: tally.work.maximum_ms)
    }

    /// Adds the sums of a partition.
    package mutating func add(_ part: PartitionTotals) {
        for (group, count) in part.groups {
            guard let status = SessionStatus(rawValue: group), status != .deleted else { continue }
            sessions[status, default: 0] +|= count
        }
        func sum(_ name: String) -> Int {
            guard let place = Self.names.sums.firstIndex(of: name), place < part.sums.count else { return 0 }
            return part.sums[place]
        }
        chunks +|= sum("chunks")
        sizeBytes +|= sum("size_bytes")
        durationSeconds +|= sum("duration_seconds")
        errors +|= sum("errors")
        startedCount +|= sum("started")
        storedBytes +|= sum("stored_bytes")
        storedChunks +|= sum("stored_chunks")
        storedOriginalBytes +|= sum("stored_original_bytes")
        storedPayloadBytes +|= sum("stored_payload_bytes")
        var work = WorkTally()
        work.chunks = sum("worked_chunks")
        // Whole microseconds again, so that the order of the parts doesn't show.
        let known_us = (self.work.sum_ms * 1000).rounded()
        self.work.sum_ms = (known_us +| Double(sum("worked_us"))) / 1000
        work.steps = sum("steps")
        work.failures = sum("failures")
        work.minimum_ms = part.least
        work.maximum_ms = part.most
        self.work.add(work)
    }
}
