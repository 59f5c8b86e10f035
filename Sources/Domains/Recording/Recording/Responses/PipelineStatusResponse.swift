package import Base
internal import EventSourcing

/// What the Pipeline Manager says of a pipeline: the read model, and what the log alone knows of its state
/// machine and its chunks.
package struct PipelineStatusResponse: Sendable, Hashable {
    /// The read model.
    package var pipeline: PipelineView
    /// State of its own machine.
    package var state: PipelineState
    /// Whether it was paused by itself, so that no chunk of the session is begun with.
    package var isHeld: Bool
    /// Where its session is.
    package var session: SessionStatus
    /// Recorded chunks.
    package var recorded: Int
    /// Those of them that are stored.
    package var stored: Int
    /// Those of them that were given up.
    package var failed: Int

    /// The answer from both; nil when there is no session.
    package init?(_ pipeline: PipelineView, _ session: SessionState) {
        guard let status = session.status else { return nil }
        self.pipeline = pipeline
        state = session.pipeline
        isHeld = session.isHeld
        self.session = status
        recorded = session.chunkCount
        stored = session.merkleHashes.count
        failed = session.failures.count
    }

    /// Writes the object.
    package func encode(into json: inout JSONWriter) {
        json.object { json in
            json.member("session_id", pipeline.sessionID)
            json.member("state", state.rawValue)
            json.member("is_held", isHeld)
            json.member("session_status", session.rawValue)
            json.member("chunks") { json in
                json.member("recorded", recorded)
                json.member("stored", stored)
                json.member("failed", failed)
            }
            pipeline.encodeWork(into: &json)
        }
    }
}
