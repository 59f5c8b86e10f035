internal import Base

/// What a handler tells the record of its request.
package final class RequestNotes: Sendable {
    /// All of it.
    package struct Content: Sendable, Hashable {
        /// Names of the fields that were changed.
        package var changed: [String] = []
        /// Sequence of the history's last event when it was done.
        package var sequence: UInt64?
        /// For which case, as whoever asks says.
        package var caseName: String?
        /// Why, as whoever asks says.
        package var reason: String?
        /// More about it, by name.
        package var details: [String: String] = [:]

        /// Nothing.
        package init() {}
    }

    /// Notes of a request about which nothing was told yet.
    init() {}

    private let kept = Lock(Content())

    /// What was told so far.
    var content: Content { kept.withLock { $0 } }

    /// Tells more.
    package func note(_ change: (inout Content) -> Void) { kept.withLock { change(&$0) } }
}
