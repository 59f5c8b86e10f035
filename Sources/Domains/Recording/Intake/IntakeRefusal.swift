package import Recording
package import Base

/// Why bytes are not taken, beside the rules of the session.
package enum IntakeRefusal: Error, Sendable, Hashable, CustomStringConvertible {
    /// The recording has as many bytes as it may have, and more came.
    case sizeLimit(Violation)
    /// So many chunks are recorded and not stored yet.
    case backlog(chunks: Int)
    /// Another sender goes on with the stream.
    case takenOver(next: StreamPlace)
    /// Chunks that were given with their numbers wait for this one.
    case numbersWait(for: Int)
    /// Somebody is just stopping the session, so that nobody can say whether the chunk would count.
    case beingStopped
    /// The recording is paused, and the sender wanted to be told.
    case paused(next: StreamPlace)
    /// The recording is paused for longer than a stream is held.
    case pausedTooLong(seconds: Int)

    /// What happened, in a sentence.
    package var description: String {
        switch self {
        case .sizeLimit(let violation): "the session would have more than it may have: \(violation)"
        case .backlog(let chunks): "\(chunks) chunks are not stored yet; processing has to catch up first"
        case .takenOver(let next):
            "another sender has taken over this recording's stream, which goes on at \(next)"
        case .numbersWait(let number):
            "chunks that were given with their numbers wait for chunk \(number): it can only be given with its "
                + "number, too"
        case .beingStopped: "the recording is just being stopped; see whether it was, and try again if not"
        case .paused: "the recording is paused, and takes nothing until it is resumed"
        case .pausedTooLong(let seconds):
            "the recording has been paused for more than the \(seconds) seconds that a stream is held"
        }
    }

    /// Where the recording goes on, where that is what the sender has to know.
    package var next: StreamPlace? {
        switch self {
        case .takenOver(let next), .paused(let next): next
        case .sizeLimit, .backlog, .numbersWait, .beingStopped, .pausedTooLong: nil
        }
    }
}

/// What becomes of bytes that a stream brings while its recording is paused.
package enum PausePolicy: String, Sendable, CaseIterable {
    /// They are read and thrown away; the stream goes on when the recording does.
    case drop
    /// They end the stream.
    case refuse
    /// They are not read: the source waits.
    case hold
}
