// The pipeline's own state machine (DESIGN 3.2) beside its session's, which it follows.

extension PipelineTrigger {
    /// Whether somebody may pull this trigger while the session is in `status`; its own machine has a say
    /// too. What belongs to the session's life happens with the session's own commands:
    /// - Pausing and resuming are the pipeline's own, as long as there may be something to process.
    /// - It starts with its session, so only before that.
    /// - Stopping would leave a recording without a pipeline, so only what is over can be stopped, cleaned
    ///   up, recovered and destroyed apart.
    package func isAllowed(whileSessionIs status: SessionStatus) -> Bool {
        switch self {
        case .start: status == .created || status == .starting
        case .startComplete: status == .starting || status == .recording
        case .pause, .pauseComplete, .resume: status != .deleted
        case .stop, .stopComplete, .error, .recover, .cleanup, .cleanupComplete, .destroy:
            status == .completed || status == .failed
        }
    }
}

extension PipelineTrigger {
    /// Whether pulling it removes what processing has left of a session.
    var removesContent: Bool {
        switch self {
        case .cleanup, .cleanupComplete, .destroy: true
        default: false
        }
    }
}

extension PipelineState {
    /// The triggers that lead from here to the end, in order.
    var wayToDestruction: [PipelineTrigger] {
        switch self {
        case .created, .stopped, .error: [.destroy]
        case .starting, .active, .pausing, .paused: [.stop, .stopComplete, .destroy]
        case .stopping: [.stopComplete, .destroy]
        case .cleanup: [.cleanupComplete]
        case .destroyed: []
        }
    }
}

extension SessionDecider {
    /// Refuses to remove what a case holds.
    package static func requireUnheld(_ state: SessionState) throws(SessionRejection) {
        guard state.legalHolds.isEmpty else {
            throw .held(cases: state.legalHolds, command: "have its pipeline cleaned up")
        }
    }

    static func move(
        _ trigger: PipelineTrigger, _ state: SessionState, _ status: SessionStatus
    ) throws(SessionRejection) -> [RecordingEvent] {
        // A pause is complete at once: from its event on no stage begins with a chunk of the session.
        let triggers = trigger == .pause ? [trigger, .pauseComplete] : [trigger]
        if trigger.removesContent { try requireUnheld(state) }
        guard trigger.isAllowed(whileSessionIs: status), state.pipeline.after(trigger) != nil else {
            throw .wrongPipelineState(state.pipeline, trigger: trigger, session: status)
        }
        return pipeline(state, triggers)
    }

    static func change(
        _ request: UpdateSessionRequest, ifTag tag: String?, _ state: SessionState
    ) throws(SessionRejection) -> [RecordingEvent] {
        guard let description = state.description else { throw .notFound }
        if let tag, tag != description.tag { throw .changedMeanwhile }
        guard let event = request.event(sessionID: state.sessionID, on: description) else { return [] }
        return try update(event)
    }
}
