package import Base
package import EventSourcing
package import ReadModels

/// A session's pipeline as dashboards see it: the read model of collection `pipeline` (seed 000).
package struct PipelineView: Sendable, Hashable {
    /// The session whose pipeline it is.
    package var sessionID: String
    /// `inactive`, `active`, `paused`, `error` or `stopped` (`PipelineState.readModelStatus`).
    package var status: String
    /// The stages in the order of work.
    package var stages: [StageView]
    /// What all stages did together.
    package var overall: PipelineMetrics
    /// When the session was made.
    package var createdAt: Timestamp
    /// When the last event that it contains happened.
    package var updatedAt: Timestamp
    /// Sequence of that event.
    package var version: UInt64
    /// Place of that event in the log.
    package var logPosition: LogPosition
    package init(
        sessionID: String, status: String, stages: [StageView], overall: PipelineMetrics,
        createdAt: Timestamp, last stamp: EventStamp
    ) {
        self.sessionID = sessionID
        self.status = status
        self.stages = stages
        self.overall = overall
        self.createdAt = createdAt
        self.updatedAt = stamp.time
        self.version = stamp.sequence
        self.logPosition = stamp.position
    }
}

/// What all stages of a pipeline did together.
package struct PipelineMetrics: Sendable, Hashable {
    /// Milliseconds of work of all stages.
    package var totalProcessing_ms = 0.0
    /// Recorded frames per second of work of all stages; 0 before any work.
    package var throughputFPS = 0.0
    /// Chunks given up against all that a stage was done with, 0...1.
    package var errorRate = 0.0
    /// Memory is the workers', not a session's: always 0.
    package var memoryUsageBytes = 0
    /// Processor time is the workers', not a session's: always 0.
    package var cpuUsagePercent = 0.0

    /// Metrics of a pipeline without work.
    package init() {}
}

/// What a stage is doing, as seed 000 names it.
package enum StageStatus: String, Sendable, CaseIterable {
    /// It waits for the pipeline to start, or the pipeline has ended without work for it.
    case inactive
    /// It works, or waits for chunks.
    case active
    /// The recording rests.
    case paused
    /// It gave up a chunk and has done none since, or the pipeline has failed.
    case error
    /// It has done every chunk, and no more will come.
    case completed
}

/// One stage of a session's pipeline.
package struct StageView: Sendable, Hashable {
    /// Its name.
    package var name: String
    /// What it is doing.
    package var status: StageStatus = .inactive
    /// When it last finished a chunk.
    package var lastProcessed: Timestamp?
    /// Chunks it finished.
    package var itemsProcessed = 0
    /// Chunks it gave up.
    package var errorsCount = 0
    /// Milliseconds it worked, all chunks together.
    package var processing_ms = 0.0
    /// Why it gave up its last chunk; nil when it finished one since.
    package var errorMessage: String?
    /// Tries beyond the first, of the chunks it gave up.
    package var retryCount = 0
    /// Tries that a chunk gets.
    package var maxRetries = 3

    /// A stage that has done nothing.
    package init(name: String) { self.name = name }

    /// Chunks per second of work; 0 before any work.
    package var throughputPerSecond: Double { .perSecond(itemsProcessed, ofWork_ms: processing_ms) }

    mutating func succeed(_ milliseconds: Double, _ time: Timestamp) {
        itemsProcessed +|= 1
        processing_ms +|= milliseconds
        lastProcessed = time
        errorMessage = nil
    }

    mutating func fail(attempts: Int, _ error: String) {
        errorsCount +|= 1
        retryCount +|= max(0, attempts -| 1)
        errorMessage = error
    }
}

extension Double {
    /// Items a second of work; 0 where less than a microsecond was worked, which tells nothing.
    static func perSecond(_ items: Int, ofWork_ms work_ms: Double) -> Double {
        work_ms < 0.001 ? 0 : .quotient(Double(items) * 1000, by: work_ms)
    }
}
