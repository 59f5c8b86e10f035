package import Base
package import EventSourcing
package import Recording
package import Supervision

/// What is to be known of a stream before its bytes.
package struct StreamOrder: Sendable {
    /// The session that it belongs to.
    package var session: String
    /// Who sends it, for the events that come of it.
    package var context: EventContext
    /// Bytes that were recorded before it, as its sender believes; nil: it begins wherever the recording ends
    /// when its first chunk is recorded.
    package var offset: Int?
    /// When its first byte was captured; nil for when it arrives.
    package var capturedAt: Timestamp?
    /// Whether its bytes come as they are captured, so that the time between them is that of the recording;
    /// when a file was read says nothing about it.
    package var arrivesInRealTime = true
    /// Bytes that its source says it has; nil where nobody knows. Fewer are a source that ended early.
    package var promisedBytes: Int?
    /// What becomes of bytes that come while the recording is paused.
    package var whilePaused = PausePolicy.drop
    /// The most bytes that the recording may have, where that is less than the session may.
    package var maximumBytes: Int?
    /// Ends every wait for room: what was taken is recorded then, beyond the spool's quota.
    package var stop: StopSignal?
    /// Told of what happens.
    package var observer: (any StreamObserver)?

    /// A stream of which nothing else is known.
    package init(session: String, context: EventContext) {
        self.session = session
        self.context = context
    }
}

/// Is told how far a stream has come, on the thread that looks after it or writes to it.
package protocol StreamObserver: Sendable {
    /// So many of its chunks are acknowledged, with so many bytes all together.
    func recorded(chunks: Int, bytes: Int)
    /// What it waits for; nil when it goes on.
    func waits(for reason: String?)
}

/// What has become of a stream.
package struct StreamSummary: Sendable, Hashable {
    /// Its chunks, in order.
    package var chunkIDs: [String]
    /// Their bytes.
    package var recordedBytes: Int
    /// Bytes that were thrown away while the recording was paused.
    package var droppedBytes: Int
    /// Where the recording goes on.
    package var next: StreamPlace
}
