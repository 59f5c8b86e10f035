internal import Base

/// How good the chunks of a session are, by the scores that their source gave them.
///
/// The classes: excellent from 90, good from 75, fair from 50, poor below.
package struct QualityTally: Sendable, Hashable {
    /// Chunks with a score.
    package var count = 0
    /// Sum of the scores.
    package var sum = 0.0
    /// The least score; nil without any.
    package var minimum: Double?
    /// The greatest score; nil without any.
    package var maximum: Double?
    /// Chunks with a score from 90.
    package var excellent = 0
    /// Chunks with a score from 75 to below 90.
    package var good = 0
    /// Chunks with a score from 50 to below 75.
    package var fair = 0
    /// Chunks with a score below 50.
    package var poor: Int { max(0, count -| excellent -| good -| fair) }

    /// A tally of nothing.
    package init() {}

    mutating func add(_ score: Double) {
        count +|= 1
        sum +|= score
        minimum = min(minimum ?? score, score)
        maximum = max(maximum ?? score, score)
        switch score {
        case 90...: excellent +|= 1
        case 75...: good +|= 1
        case 50...: fair +|= 1
        default: break
        }
    }
}

/// What the stages did for a session. A chunk's processing time is the work of all its stages, without the
/// time that it waited between them.
package struct WorkTally: Sendable, Hashable {
    /// Chunks that every stage is done with.
    package var chunks = 0
    /// Sum of their processing times in milliseconds.
    package var sum_ms = 0.0
    /// The shortest of them; nil without any.
    package var minimum_ms: Double?
    /// The longest of them; nil without any.
    package var maximum_ms: Double?
    /// Chunks that a stage was done with, each stage counted.
    package var steps = 0
    /// Chunks that a stage gave up.
    package var failures = 0
    /// Work on chunks that are not through every stage, by their number, in milliseconds.
    package var begun: [Int: Double] = [:]

    /// A tally of nothing.
    package init() {}

    mutating func add(_ milliseconds: Double, to chunk: ChunkReference) {
        steps +|= 1
        begun[chunk.sequenceNumber, default: 0] +|= milliseconds
    }

    mutating func finish(_ milliseconds: Double, of chunk: ChunkReference) {
        steps +|= 1
        let time = (begun.removeValue(forKey: chunk.sequenceNumber) ?? 0) +| milliseconds
        chunks +|= 1
        sum_ms +|= time
        minimum_ms = min(minimum_ms ?? time, time)
        maximum_ms = max(maximum_ms ?? time, time)
    }

    /// Takes in the tally of another session.
    package mutating func add(_ other: WorkTally) {
        chunks +|= other.chunks
        sum_ms +|= other.sum_ms
        minimum_ms = [minimum_ms, other.minimum_ms].compactMap { $0 }.min()
        maximum_ms = [maximum_ms, other.maximum_ms].compactMap { $0 }.max()
        steps +|= other.steps
        failures +|= other.failures
    }
}
