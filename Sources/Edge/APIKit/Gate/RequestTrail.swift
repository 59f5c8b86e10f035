package import Access

/// What was asked for, of what kind.
package struct RequestResource: Sendable, Hashable {
    /// Its kind, as records name it.
    package var kind: String
    /// Its id; nil where there is one of its kind, or none was named.
    package var id: String?
    package init(_ kind: String, id: String? = nil) {
        self.kind = kind
        self.id = id
    }
}

/// Whether what was asked for was done.
package enum RequestOutcome: Sendable, Hashable {
    /// It was done.
    case allowed
    /// It was refused: not recognized, not permitted, above a limit, against a rule.
    case denied
    /// It was permitted and did not succeed.
    case failed
}

/// Which bytes of a whole were given out.
package struct SentRange: Sendable, Hashable {
    /// Offset of the first byte, from 0.
    package var first: UInt64
    /// Offset of the last byte.
    package var last: UInt64
    /// Bytes of the whole.
    package var length: UInt64
}

/// What somebody did, or tried to do, by a request.
package struct RequestRecord: Sendable, Hashable {
    /// What, in words joined by dots. Nil where nobody was recognized.
    package var action: String?
    /// To what.
    package var resource: RequestResource
    /// Id of the history that it concerns, if any.
    package var history: String?
    /// Whether it was done.
    package var outcome: RequestOutcome
    /// HTTP status of the answer; nil in a record that stands for several.
    package var status: Int?
    /// Why it was denied or failed, or what was given as reason.
    package var reason: String?
    /// Who it was; nil where nobody was recognized.
    package var subject: Subject?
    /// Network address that it came from.
    package var address: String
    /// Id of the request; nil in a record that stands for several.
    package var requestID: String?
    /// What the client says it is; at most 256 characters.
    package var userAgent: String?
    /// What the handler told.
    package var notes: RequestNotes.Content
    /// Which bytes were given out; nil where none were, or all of them.
    package var range: SentRange?
}

/// Where records of who did what go. Calls come from several threads.
package protocol RequestTrail: Sendable {
    /// Takes a record that nobody waits for.
    func note(_ record: RequestRecord, traceparent: String)
    /// Takes a record and returns when it is durable; throws when that took too long.
    func keep(_ record: RequestRecord, traceparent: String) throws
}
