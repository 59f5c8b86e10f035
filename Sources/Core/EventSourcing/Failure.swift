/// What went wrong between Reel and the log. Never a domain rejection.
package struct LogFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kinds of failure that callers and operators tell apart.
    package enum Kind: String, Sendable, Hashable {
        /// No connection could be made, or it broke.
        case unreachable
        /// The server did not answer in time; the connection was thrown away.
        case timedOut
        /// The server is still loading its data set.
        case loading
        /// The server refuses writes: out of memory, a failed disk, a read-only replica.
        case refusingWrites
        /// The server would evict or lose data: its configuration does not suit a log.
        case unsuitable
        /// The server refuses the user, the password, or lacks a permission for the user; the text names it.
        case denied
        /// The consumer group has vanished.
        case noGroup
        /// The server side function has vanished or has another version.
        case functionMissing
        /// The append was made, and fewer replicas than configured have confirmed it. Whether it
        /// survives a failover is unknown; the same append again finds its ids and waits again.
        case unconfirmed
        /// The log lacks events that were acknowledged or read before: a failover to a replica that
        /// lagged, a restored backup. Nothing goes on there until someone has decided.
        case lostHistory
        /// Another log stands where this one was, or none: the server was emptied, or is another one.
        case otherLog
        /// What the log holds does not follow its format.
        case corrupt
        /// One entry of the log does not follow its format, or was taken out; `key` is its position. Others
        /// can be read.
        case unreadable
        /// The request itself breaks a limit or a rule; trying again cannot help.
        case invalid
        /// Another member owns the partition now; nothing was written.
        case fenced
        /// A live process could not read the event yet: it is of an earlier version.
        case levelTooLow
        /// The server answered with an error that has no kind of its own here.
        case server
    }

    /// What kind of failure.
    package var kind: Kind
    /// What was being done: `append`, `load`, `read group` …
    package var operation: String
    /// The key or address that it concerns.
    package var key: String
    /// Text of the server or of the C library.
    package var text: String
    /// Whether what is kept is wrong, and not whatever keeps it: the log answers, and the answer is that the
    /// record is not what Reel wrote. Then waiting for a server, or looking at it, helps nobody.
    package var isOfRecord: Bool

    /// A failure from its parts.
    /// - Parameter isOfRecord: nil where the kind says it.
    package init(_ kind: Kind, operation: String, key: String, text: String, isOfRecord: Bool? = nil) {
        self.kind = kind
        self.operation = operation
        self.key = key
        self.text = text
        self.isOfRecord = isOfRecord ?? (kind == .corrupt || kind == .unreadable)
    }

    /// One entry that cannot be read.
    package static func unreadable(
        _ operation: String, _ position: LogPosition, _ text: String
    ) -> LogFailure {
        LogFailure(.unreadable, operation: operation, key: position.description, text: text)
    }

    /// The entry that cannot be read; nil for failures of other kinds.
    package var unreadableEntry: LogPosition? { kind == .unreadable ? LogPosition(key) : nil }

    /// The failure of a write whose fence did not hold.
    package static func fenced(_ operation: String, _ key: String, generation: UInt64) -> LogFailure {
        LogFailure(
            .fenced, operation: operation, key: key,
            text: "the partition has another owner, or none, at generation \(generation)")
    }

    /// What can end it. What is corrupt or cannot be read is for whoever handles it to set aside.
    package var remedy: Remedy {
        switch kind {
        case .unreachable, .timedOut, .loading, .refusingWrites, .noGroup, .functionMissing, .fenced,
            .unconfirmed, .levelTooLow:
            .time
        case .denied, .unsuitable, .lostHistory, .otherLog, .server: .operators
        case .corrupt, .unreadable, .invalid: .none
        }
    }

    /// Operation, key, text and kind on one line.
    package var description: String { "\(operation) \(key): \(text) (\(kind.rawValue))" }
}
