internal import Base
package import EventSourcing

/// Sums over the sessions of one partition, kept beside the projection's checkpoint so that nobody has to go
/// through all sessions for them.
///
/// They are a function of the partition's log up to `position`, as a document is of its session's history up
/// to its version: whoever computes them for one position gets the same. That holds because an event behind
/// `position` is counted once, as the difference between its session's sums before and after, and one that
/// is not behind it is not counted at all. It takes that the state before is the one at `position`; where
/// what is stored is ahead of it, it is folded again from the log (`ProjectionFolder.take`).
package struct PartitionTotals: Sendable, Hashable {
    /// The last event of the partition that is counted, or was left out.
    package var position: LogPosition
    /// As long as `position` is before it, the sums are being made anew and lack what stood up to it.
    package var wholeFrom: LogPosition?
    /// Sessions of which less is counted than stands in the partition up to `position`, because they were
    /// held back; each with the sequence of its last counted event.
    package var behind: [String: UInt64] = [:]
    /// Sessions by status, the deleted ones among them.
    package var sessions: [SessionStatus: Int] = [:]
    private var sums: Sums = Sums()
    /// The shortest processing time of a chunk in milliseconds; nil without any.
    package var minimum_ms: Double?
    /// The longest processing time of a chunk in milliseconds; nil without any.
    package var maximum_ms: Double?

    /// Sums of nothing: those before the first event of a partition.
    package init(of partition: Int) {
        position = .start(of: partition)
    }

    /// What one session alone adds; nothing without one.
    package init(of fold: SessionFold?) {
        self.init(of: fold?.session.logPosition.partition ?? 0)
        position = .start(of: 0)
        if let fold { count(from: nil, to: Share(fold)) }
    }

    /// Whether nothing is missing from the sums.
    package var isWhole: Bool { wholeFrom.map { $0 <= position } ?? true }

    /// Names of the sums, as they are kept.
    package static let names = [
        "chunks", "size_bytes", "duration_seconds", "errors", "started", "stored_bytes", "worked_chunks",
        "worked_us", "steps", "failures", "stored_chunks", "stored_original_bytes", "stored_payload_bytes",
    ]

    /// The sums, in the order of their names; others than so many are no sums.
    package var values: [Int] {
        get {
            [
                sums.chunks, sums.sizeBytes, sums.durationSeconds, sums.errors, sums.started,
                sums.storedBytes, sums.workedChunks, sums.worked_us, sums.steps, sums.failures,
                sums.storedChunks, sums.storedOriginalBytes, sums.storedPayloadBytes,
            ]
        }
        set {
            guard newValue.count == Self.names.count else { return }
            sums = Sums(
                chunks: newValue[0], sizeBytes: newValue[1], durationSeconds: newValue[2],
                errors: newValue[3], started: newValue[4], storedBytes: newValue[5],
                workedChunks: newValue[6], worked_us: newValue[7], steps: newValue[8],
                failures: newValue[9], storedChunks: newValue[10], storedOriginalBytes: newValue[11],
                storedPayloadBytes: newValue[12])
        }
    }

    /// Counts an event that changed a session; nil stands for no session.
    mutating func count(from before: Share?, to after: Share) {
        if before?.status != after.status {
            if let before { add(-1, before.status) }
            add(1, after.status)
        }
        sums.add(after.sums, less: before?.sums)
        if let least = after.minimum_ms { minimum_ms = min(minimum_ms ?? least, least) }
        if let most = after.maximum_ms { maximum_ms = max(maximum_ms ?? most, most) }
    }

    private mutating func add(_ change: Int, _ status: SessionStatus) {
        let count = (sessions[status] ?? 0) +| change
        sessions[status] = count == 0 ? nil : count
    }

    /// What one session adds. Of a deleted one only the work that it took remains.
    struct Share {
        let status: SessionStatus
        let sums: Sums
        let minimum_ms: Double?
        let maximum_ms: Double?

        init(_ fold: SessionFold) {
            // Field by field: a copy of the whole costs more than all of the sums, at each event.
            status = fold.session.status
            var sums = Sums()
            if status != .deleted {
                sums.chunks = fold.tally.chunkCount
                sums.sizeBytes = fold.tally.sizeBytes
                sums.durationSeconds = fold.session.statistics.durationSeconds
                sums.errors = fold.tally.errorCount
                sums.started = fold.session.startedAt == nil ? 0 : 1
                sums.storedBytes = fold.tally.storedFileBytes
                sums.storedChunks = fold.tally.storedCount
                sums.storedOriginalBytes = fold.tally.storedOriginalBytes
                sums.storedPayloadBytes = fold.tally.storedPayloadBytes
            }
            sums.workedChunks = fold.tally.work.chunks
            // Whole microseconds of each session: sums that don't depend on their order.
            sums.worked_us = Int(saturating: (fold.tally.work.sum_ms * 1000).rounded())
            sums.steps = fold.tally.work.steps
            sums.failures = fold.tally.work.failures
            self.sums = sums
            minimum_ms = fold.tally.work.minimum_ms
            maximum_ms = fold.tally.work.maximum_ms
        }
    }

    struct Sums: Sendable, Hashable {
        var chunks = 0
        var sizeBytes = 0
        var durationSeconds = 0
        var errors = 0
        var started = 0
        var storedBytes = 0
        var workedChunks = 0
        var worked_us = 0
        var steps = 0
        var failures = 0
        var storedChunks = 0
        var storedOriginalBytes = 0
        var storedPayloadBytes = 0

        mutating func add(_ more: Sums, less: Sums?) {
            let less = less ?? Sums()
            chunks +|= more.chunks -| less.chunks
            sizeBytes +|= more.sizeBytes -| less.sizeBytes
            durationSeconds +|= more.durationSeconds -| less.durationSeconds
            errors +|= more.errors -| less.errors
            started +|= more.started -| less.started
            storedBytes +|= more.storedBytes -| less.storedBytes
            workedChunks +|= more.workedChunks -| less.workedChunks
            worked_us +|= more.worked_us -| less.worked_us
            steps +|= more.steps -| less.steps
            failures +|= more.failures -| less.failures
            storedChunks +|= more.storedChunks -| less.storedChunks
            storedOriginalBytes +|= more.storedOriginalBytes -| less.storedOriginalBytes
            storedPayloadBytes +|= more.storedPayloadBytes -| less.storedPayloadBytes
        }
    }
}

extension RecordingTotals {
    /// Adds the sums of a partition.
    package mutating func add(_ part: PartitionTotals) {
        for (status, count) in part.sessions where status != .deleted {
            sessions[status, default: 0] +|= count
        }
        let sums = part.counts
        chunks +|= sums.chunks
        sizeBytes +|= sums.sizeBytes
        durationSeconds +|= sums.durationSeconds
        errors +|= sums.errors
        startedCount +|= sums.started
        storedBytes +|= sums.storedBytes
        storedChunks +|= sums.storedChunks
        storedOriginalBytes +|= sums.storedOriginalBytes
        storedPayloadBytes +|= sums.storedPayloadBytes
        var work = WorkTally()
        work.chunks = sums.workedChunks
        // Whole microseconds again, so that the order of the parts doesn't show.
        let known_us = (self.work.sum_ms * 1000).rounded()
        self.work.sum_ms = (known_us +| Double(sums.worked_us)) / 1000
        work.steps = sums.steps
        work.failures = sums.failures
        work.minimum_ms = part.minimum_ms
        work.maximum_ms = part.maximum_ms
        self.work.add(work)
    }
}

extension PartitionTotals {
    var counts: Sums { sums }

    /// Whether the same is counted, whatever it was counted up to.
    package func agrees(with other: PartitionTotals) -> Bool {
        sessions == other.sessions && sums == other.sums && minimum_ms == other.minimum_ms
            && maximum_ms == other.maximum_ms
    }
}

/// The sums of all partitions that a projection has to do with.
package struct TotalsBook: Sendable, Hashable {
    /// Which rebuild they come from; empty for none. Those of another one are not known.
    package var lineage: String
    /// What is known.
    package var known: [Int: PartitionTotals]
    /// Partitions that were read in part without being counted.
    package var unknown: Set<Int>

    /// A book from what is kept.
    package init(lineage: String, known: [Int: PartitionTotals], unknown: Set<Int>) {
        self.lineage = lineage
        self.known = known
        self.unknown = unknown
    }

    /// The sums of a partition, those before its first event where it was never read; nil where they are
    /// not known.
    package subscript(partition: Int) -> PartitionTotals? {
        if let totals = known[partition] { return totals }
        return unknown.contains(partition) ? nil : PartitionTotals(of: partition)
    }

    /// Whether there are sums, and nothing is missing from them.
    package var isWhole: Bool { unknown.isEmpty && !known.isEmpty && known.values.allSatisfy(\.isWhole) }

    /// Says that a partition's sums are not known any more.
    package mutating func lose(_ partition: Int) {
        known[partition] = nil
        unknown.insert(partition)
    }

    /// Nothing up to there is left to be counted.
    package mutating func pass(_ position: LogPosition) {
        guard var totals = self[position.partition], totals.position < position else { return }
        totals.position = position
        if totals.isWhole { totals.wholeFrom = nil }
        known[position.partition] = totals
    }
}
