internal import Base
internal import EventSourcing
package import ReadModels

/// The fold of a session's history behind its `PipelineView`: what is shown, and what has to be
/// remembered beyond it.
package struct PipelineFold: Sendable, Hashable {
    /// State of the pipeline's own machine.
    package private(set) var state: PipelineState
    /// Chunks that have to go through every stage.
    package private(set) var chunkCount: Int
    /// Frames in them.
    package private(set) var frameCount: Int
    /// Whether no more chunks will come.
    package private(set) var isClosed: Bool
    private var base: PipelineView

    /// The stages that a chunk goes through, in order.
    package static let stageNames = ["compress", "encrypt", "validate", "store"]

    /// The pipeline of a session that was just made.
    init(created payload: SessionEvent.Created, _ stamp: EventStamp) {
        let view = PipelineView(
            sessionID: payload.sessionID, status: PipelineState.created.readModelStatus,
            stages: Self.stageNames.map(StageView.init), overall: PipelineMetrics(), createdAt: stamp.time,
            last: stamp)
        self.init(kept: view, state: .created, chunkCount: 0, frameCount: 0, isClosed: false)
    }

    /// A fold that was kept.
    package init(
        kept view: PipelineView, state: PipelineState, chunkCount: Int, frameCount: Int, isClosed: Bool
    ) {
        var base = view
        // What is computed for display is no part of the fold.
        base.status = ""
        base.overall = PipelineMetrics()
        for place in base.stages.indices { base.stages[place].status = .inactive }
        self.base = base
        self.state = state
        self.chunkCount = chunkCount
        self.frameCount = frameCount
        self.isClosed = isClosed
    }

    /// The session whose pipeline it is.
    package var sessionID: String { base.sessionID }
    /// Sequence of the last event taken in.
    package var version: UInt64 { base.version }

    /// What is shown of it.
    package var view: PipelineView {
        var view = base
        view.status = state.readModelStatus
        var errors = 0
        var items = 0
        for place in view.stages.indices {
            let stage = view.stages[place]
            view.stages[place].status = status(of: stage)
            view.overall.totalProcessing_ms +|= stage.processing_ms
            errors +|= stage.errorsCount
            items +|= stage.itemsProcessed
        }
        view.overall.throughputFPS = .perSecond(frameCount, ofWork_ms: view.overall.totalProcessing_ms)
        view.overall.errorRate = .quotient(Double(errors), by: Double(errors) + Double(items))
        return view
    }

    /// Takes in the next event of the session's history.
    package mutating func evolve(_ fact: RecordingEvent, _ stamp: EventStamp) {
        switch fact {
        case .session(.stopped), .session(.failed), .session(.deleted): isClosed = true
        case .session: break
        case .pipeline(let step): state = step.to
        case .chunk(let event): evolve(event, stamp)
        }
        base.updatedAt = stamp.time
        base.version = stamp.sequence
        base.logPosition = stamp.position
    }

    private mutating func evolve(_ event: ChunkEvent, _ stamp: EventStamp) {
        switch event {
        case .recorded(let payload):
            chunkCount +|= 1
            frameCount +|= payload.frameCount
        case .compressed(let payload):
            stage("compress") { $0.succeed(payload.processingMilliseconds, stamp.time) }
        case .sealed(let payload):
            stage("encrypt") { $0.succeed(payload.processingMilliseconds, stamp.time) }
        case .validated(let payload):
            stage("validate") { $0.succeed(payload.processingMilliseconds, stamp.time) }
        case .stored(let payload):
            stage("store") { $0.succeed(payload.processingMilliseconds, stamp.time) }
        case .failed(_, let name, let attempts, let causes):
            stage(name) { $0.fail(attempts: attempts, causes.joined(separator: ": ")) }
        case .deleted: break
        }
    }

    /// Changes one stage; a stage that is not among the usual ones is shown from its first event on.
    private mutating func stage(_ name: String, _ change: (inout StageView) -> Void) {
        let place = base.stages.firstIndex { $0.name == name } ?? base.stages.count
        if place == base.stages.count { base.stages.append(StageView(name: name)) }
        change(&base.stages[place])
    }

    private func status(of stage: StageView) -> StageStatus {
        if stage.errorMessage != nil || state == .error { return .error }
        if isClosed, stage.itemsProcessed >= chunkCount, chunkCount > 0 { return .completed }
        switch state {
        case .created, .starting: return .inactive
        // Stopping is when the last chunks are worked on.
        case .active, .stopping: return .active
        case .pausing, .paused: return .paused
        case .stopped, .error, .cleanup, .destroyed: return .inactive
        }
    }
}
