package import Base

/// Adds up the time of what was recorded, by what is said of the chunks: no clock is asked, and it does not
/// matter when they arrived. The rules stand in `ops/decisions/media-time.md`.
///
/// - A chunk covers the time from its `timestamp` on, for its `duration_seconds`.
/// - One whose length nobody states (0) lasts until the next one begins, unless the recording was paused or
///   ended in between; the last one's length is not known and counts 0.
/// - What is covered is the sum of the lengths: chunks that overlap count both, and gaps count nothing.
package struct MediaClock: Sendable, Hashable {
    /// Milliseconds that chunks cover.
    package var covered_ms: Int64 = 0
    /// When the earliest chunk begins; nil before the first one.
    package var begin: Timestamp?
    /// When the latest chunk ends, as far as it is known; nil before the first one.
    package var end: Timestamp?
    /// When the last chunk began, as long as its length is not known and the next one tells it.
    package var openSince: Timestamp?

    /// A clock that has seen nothing.
    package init() {}

    /// Milliseconds from the beginning to the end; never less than is covered.
    package var span_ms: Int64 {
        guard let begin, let end else { return covered_ms }
        return max(covered_ms, end.milliseconds(since: begin))
    }

    /// Takes in the next chunk.
    mutating func add(from start: Timestamp, seconds: Double) {
        if let openSince, start > openSince { cover(start.milliseconds(since: openSince), until: start) }
        openSince = nil
        begin = min(begin ?? start, start)
        let length_ms = Int64(saturating: (seconds * 1000).rounded())
        if length_ms > 0 {
            cover(length_ms, until: start.advanced(byMilliseconds: length_ms))
        } else {
            openSince = start
            end = max(end ?? start, start)
        }
    }

    /// The recording rests, or has ended: what comes next does not go on from the last chunk.
    mutating func rest() { openSince = nil }

    private mutating func cover(_ length_ms: Int64, until moment: Timestamp) {
        covered_ms +|= length_ms
        end = max(end ?? moment, moment)
    }
}
