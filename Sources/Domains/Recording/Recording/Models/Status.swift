/// States of a session (DESIGN 3.2).
package enum SessionStatus: String, Sendable, CaseIterable {
    /// Made, nothing recorded.
    case created
    /// A recorder was asked for.
    case starting
    /// A recorder is recording.
    case recording
    /// Recording rests.
    case paused
    /// Nothing more will be recorded.
    case stopped
    /// Its last chunks are on their way.
    case processing
    /// Every chunk is stored and the Merkle tree closed.
    case completed
    /// It could not be completed.
    case failed
    /// Removed.
    case deleted

    /// Whether the machine has a step from this state to `next`.
    package func canBecome(_ next: SessionStatus) -> Bool {
        switch (self, next) {
        case (.created, .starting), (.created, .deleted), (.starting, .recording), (.starting, .failed),
            (.recording, .paused), (.recording, .stopped), (.recording, .failed), (.paused, .recording),
            (.paused, .stopped), (.stopped, .processing), (.stopped, .deleted), (.processing, .completed),
            (.processing, .failed), (.completed, .deleted), (.failed, .deleted):
            true
        default: false
        }
    }
}

/// States of a chunk in the read model.
package enum ChunkStatus: String, Sendable, CaseIterable {
    /// Durable in the spool.
    case recorded
    /// A stage works on it.
    case processing
    /// Compressed.
    case compressed
    /// Sealed.
    case encrypted
    /// Durable in the chunk store.
    case stored
    /// Given up after the last try.
    case failed
    /// Removed.
    case deleted
}

/// The pipeline's own states.
package enum PipelineState: String, Sendable, CaseIterable {
    case created, starting, active, pausing, paused, stopping, stopped, error, cleanup, destroyed

    /// The coarser status that the read model shows: inactive, active, paused, error or stopped.
    package var readModelStatus: String {
        switch self {
        case .created, .starting: "inactive"
        case .active: "active"
        case .pausing, .paused: "paused"
        case .error: "error"
        case .stopping, .stopped, .cleanup, .destroyed: "stopped"
        }
    }

    /// The state after `trigger`; nil when this state has no such step.
    package func after(_ trigger: PipelineTrigger) -> PipelineState? {
        switch (self, trigger) {
        case (.created, .start): .starting
        case (.starting, .startComplete): .active
        case (.active, .pause): .pausing
        case (.pausing, .pauseComplete): .paused
        case (.paused, .resume): .active
        case (.starting, .stop), (.active, .stop), (.pausing, .stop), (.paused, .stop): .stopping
        case (.stopping, .stopComplete): .stopped
        case (.starting, .error), (.active, .error), (.pausing, .error), (.paused, .error),
            (.stopping, .error), (.created, .error), (.cleanup, .error):
            .error
        case (.created, .destroy), (.stopped, .destroy), (.error, .destroy): .destroyed
        case (.stopped, .cleanup), (.error, .cleanup): .cleanup
        case (.stopped, .recover), (.error, .recover): .created
        case (.cleanup, .cleanupComplete): .destroyed
        default: nil
        }
    }
}

/// What moves the pipeline's state machine.
package enum PipelineTrigger: String, Sendable, CaseIterable {
    case start
    case startComplete = "start_complete"
    case pause
    case pauseComplete = "pause_complete"
    case resume
    case stop
    case stopComplete = "stop_complete"
    case error
    case recover
    case cleanup
    case cleanupComplete = "cleanup_complete"
    case destroy
}
