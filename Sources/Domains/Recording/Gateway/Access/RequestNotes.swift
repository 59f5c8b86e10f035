internal import Base
internal import Recording

/// What a handler tells the record of its request.
final class RequestNotes: Sendable {
    /// All of it.
    struct Content: Sendable {
        /// Names of the fields of the session that were changed.
        var changed: [String] = []
        /// Sequence of the session's last event when it was done.
        var sessionSequence: UInt64?
        /// For which case and why, as whoever asks says.
        var purpose = Purpose()
        /// More about it, by name.
        var details: [String: String] = [:]
    }

    private let kept = Lock(Content())

    /// What was told so far.
    var content: Content { kept.withLock { $0 } }

    /// Tells more.
    func note(_ change: (inout Content) -> Void) { kept.withLock { change(&$0) } }
}
