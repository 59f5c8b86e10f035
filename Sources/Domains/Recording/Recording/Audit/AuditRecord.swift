package import EventSourcing

/// `AuditRecorded`: somebody did something, or tried to. Schema: `schemas/events/AuditRecorded.v2.json`.
///
/// A record is bounded and free of control characters from the moment it is made, so that whatever a
/// client sends can't bloat the log or reach a terminal. It never holds a secret: details whose name says
/// that they would are withheld.
package struct AuditRecord: Event, Hashable {
    /// The CloudEvents type.
    package static let typeName = "AuditRecorded"

    /// What was done or tried.
    package let action: AuditAction
    /// What it was done to.
    package let resource: AuditResource
    /// The session that it concerns, if any.
    package let sessionID: String?
    /// Whether it was done.
    package let outcome: AuditOutcome
    /// HTTP status of the answer, or exit status of the command; nil where there is neither.
    package let statusCode: Int?
    /// Why it was denied or failed, or what was given as reason; at most 500 characters.
    package let reason: String?
    /// Who did it.
    package let actor: AuditActor
    /// Network address that it came from; nil for what was done on the machine itself.
    package let address: String?
    /// Id of the request, the same as in the answer and in the events that it caused.
    package let requestID: String?
    /// What the client says it is; at most 256 characters.
    package let userAgent: String?
    /// The fields of the session that were changed, such as `metadata.owner`: names and no values, so that
    /// the record can stay when the session is forgotten. At most 32, each of at most 64 characters.
    package let changed: [String]
    /// Sequence of the session's last event when it was done, so that what it did can be found; nil where it
    /// is not known, or nothing was done to a session.
    package let sessionSequence: UInt64?
    /// Which bytes were given out first; nil where none were, or all of them.
    package let range: AuditRange?
    /// The case for which it was done, as whoever did it called it; at most 100 characters.
    package let caseName: String?
    /// More about it, by name: at most 16, each of at most 256 characters.
    package let details: [String: String]

    /// A record from its parts, each cut to its bound.
    package init(
        _ action: AuditAction, on resource: AuditResource, session: String? = nil, outcome: AuditOutcome,
        statusCode: Int? = nil, reason: String? = nil, actor: AuditActor, address: String? = nil,
        requestID: String? = nil, userAgent: String? = nil, changed: [String] = [],
        sessionSequence: UInt64? = nil, range: AuditRange? = nil, caseName: String? = nil,
        details: [String: String] = [:]
    ) {
        self.action = action
        self.resource = AuditResource(resource.type, id: AuditText.bounded(resource.id, 100))
        self.sessionID = AuditText.bounded(session, 100)
        self.outcome = outcome
        self.statusCode = statusCode.map { min(max($0, 0), 999) }
        self.reason = AuditText.bounded(reason, 500)
        self.actor = AuditActor(
            type: actor.type, subject: AuditText.bounded(actor.subject, 128),
            roles: actor.roles.prefix(16).compactMap { AuditText.bounded($0, 64) })
        self.address = AuditText.bounded(address, 64)
        self.requestID = AuditText.bounded(requestID, 128)
        self.userAgent = AuditText.bounded(userAgent, 256)
        self.changed = changed.prefix(32).compactMap { AuditText.bounded($0, 64) }
        self.sessionSequence = sessionSequence.flatMap {
            (1...AuditRange.greatestNumber).contains($0) ? $0 : nil
        }
        self.range = range
        self.caseName = AuditText.bounded(caseName, 100)
        self.details = AuditText.bounded(details)
    }

    /// `AuditRecorded`.
    package var typeName: String { Self.typeName }
    /// The newest version at a level: version 2 has come with level 2.
    package func version(at level: FormatLevel) -> Int? { Self.version(at: level) }
    /// The newest version of the type's schema at a level.
    package static func version(at level: FormatLevel) -> Int { level > .first ? 2 : 1 }
    /// Id of the resource, or of the session, or the action where neither is known; cut to the log's bound.
    package var subject: String {
        AuditText.cut(resource.id ?? sessionID ?? action.rawValue, bytes: LogLimits.bytesPerIdentifier)
    }

    /// Where records stand in the log: in histories of their own, whose keys can't be a session's id,
    /// so that no session's sequence, version or ETag ever moves for the sake of a record.
    package static let category = Category("audit")

    /// Whether a history in the log is one of records.
    package static func isHistory(_ partitionKey: String) -> Bool { category.contains(partitionKey) }

    /// Key of a history of records.
    /// - Parameters:
    ///   - writer: name of the process that writes it, new at every start.
    ///   - number: from 1; a writer begins a new one now and then, so that the log can archive the old.
    package static func historyKey(_ writer: String, _ number: Int) -> String {
        category.key(of: "\(writer)/\(number)")
    }
}

/// What was done or tried: words of lower-case letters, joined by dots, such as `session.start`.
package struct AuditAction: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    /// The words.
    package let rawValue: String

    /// Nil unless it has 1 to 64 characters, words of `a` to `z` and `_` between dots.
    package init?(rawValue: String) {
        guard (1...64).contains(rawValue.utf8.count) else { return nil }
        for word in rawValue.utf8.split(separator: 0x2E, omittingEmptySubsequences: false) {
            guard let first = word.first, (0x61...0x7A).contains(first),
                word.allSatisfy({ (0x61...0x7A).contains($0) || $0 == 0x5F })
            else { return nil }
        }
        self.rawValue = rawValue
    }

    private init(_ known: StaticString) { rawValue = "\(known)" }

    /// The words.
    package var description: String { rawValue }

    /// A session was made.
    package static let sessionCreate = AuditAction("session.create")
    /// A session was looked at.
    package static let sessionRead = AuditAction("session.read")
    /// Sessions were listed.
    package static let sessionList = AuditAction("session.list")
    /// A session's description was changed.
    package static let sessionUpdate = AuditAction("session.update")
    /// A session was deleted.
    package static let sessionDelete = AuditAction("session.delete")
    /// A case holds a session from then on.
    package static let holdSet = AuditAction("hold.set")
    /// A case holds a session no longer.
    package static let holdLift = AuditAction("hold.lift")
    /// A session's files, log and proofs were compared; outcome and number of findings are in the details.
    package static let sessionVerify = AuditAction("session.verify")
    /// A session was started.
    package static let sessionStart = AuditAction("session.start")
    /// A recording was paused.
    package static let sessionPause = AuditAction("session.pause")
    /// A recording was resumed.
    package static let sessionResume = AuditAction("session.resume")
    /// A recording was stopped.
    package static let sessionStop = AuditAction("session.stop")
    /// Something was recorded from the machine itself.
    package static let sessionRecord = AuditAction("session.record")
    /// A session's recorded bytes were taken out as a whole.
    package static let sessionExport = AuditAction("session.export")
    /// A session's recorded bytes were read as media.
    package static let mediaDownload = AuditAction("media.download")
    /// A chunk was looked at.
    package static let chunkRead = AuditAction("chunk.read")
    /// Chunks were listed.
    package static let chunkList = AuditAction("chunk.list")
    /// A chunk was handed in.
    package static let chunkUpload = AuditAction("chunk.upload")
    /// A chunk's bytes were taken out.
    package static let chunkDownload = AuditAction("chunk.download")
    /// A proof of a chunk's place was taken out.
    package static let chunkProof = AuditAction("chunk.proof")
    /// A pipeline was made, or asked for.
    package static let pipelineCreate = AuditAction("pipeline.create")
    /// A pipeline was looked at.
    package static let pipelineRead = AuditAction("pipeline.read")
    /// A pipeline was started, stopped, paused, resumed or recovered; the trigger is in the details.
    package static let pipelineControl = AuditAction("pipeline.control")
    /// Statistics were looked at.
    package static let statisticsRead = AuditAction("statistics.read")
    /// Events were read or followed.
    package static let eventsRead = AuditAction("events.read")
    /// The records themselves were read.
    package static let auditRead = AuditAction("audit.read")
    /// Records were lost because more came than could be kept; the details count them.
    package static let auditDropped = AuditAction("audit.dropped")
    /// A session's data key was taken out.
    package static let keyExport = AuditAction("key.export")
    /// A session's RDP password was set or replaced.
    package static let passwordPut = AuditAction("password.put")
    /// A session's RDP password was removed.
    package static let passwordRemove = AuditAction("password.remove")
    /// Configuration was looked at.
    package static let configurationRead = AuditAction("configuration.read")
    /// Configuration was changed, in a file or at run time; the details name what, never a secret.
    package static let configurationChange = AuditAction("configuration.change")
    /// A token was made.
    package static let tokenIssue = AuditAction("token.issue")
    /// Nobody could be recognized: no token, or one that is not good.
    package static let authenticate = AuditAction("access.authenticate")
    /// A parked event was tried again.
    package static let parkedRetry = AuditAction("parked.retry")
    /// A parked event was discarded.
    package static let parkedDiscard = AuditAction("parked.discard")
    /// Read models were built again and put in place.
    package static let replaySwap = AuditAction("replay.swap")
}

/// Whether what was tried was done.
package enum AuditOutcome: String, Sendable, CaseIterable {
    /// It was done.
    case allowed
    /// It was refused: not recognized, not permitted, above a limit, against a rule.
    case denied
    /// It was permitted and did not succeed.
    case failed
}

/// What something was done to.
package struct AuditResource: Sendable, Hashable {
    /// Kinds of things.
    package enum Kind: String, Sendable, CaseIterable {
        /// Kinds that have ids of their own.
        case session, chunk, pipeline, key, password, token
        /// Kinds of which there is one.
        case audit, events, statistics, configuration
        /// An event that was set aside.
        case parked
        /// The read models, or one of them.
        case readModels = "read_models"
        /// Anything else, by its path.
        case other
    }

    /// What kind of thing.
    package let type: Kind
    /// Its id, at most 100 characters; nil where there is one of its kind, or none was named.
    package let id: String?

    /// A thing by its kind and id.
    package init(_ type: Kind, id: String? = nil) {
        self.type = type
        self.id = id
    }
}

/// A part of what can be given out, as in `Content-Range` (RFC 9110, section 14.4).
package struct AuditRange: Sendable, Hashable {
    /// Offset of the first byte, from 0.
    package let first: UInt64
    /// Offset of the last byte.
    package let last: UInt64
    /// Bytes of the whole.
    package let length: UInt64

    /// The greatest number that every reader of JSON keeps exactly (RFC 8259, section 6).
    static let greatestNumber: UInt64 = (1 << 53) - 1

    /// Nil unless it is a part of a whole that a record can name.
    package init?(first: UInt64, last: UInt64, length: UInt64) {
        guard first <= last, last < length, length <= Self.greatestNumber else { return nil }
        (self.first, self.last, self.length) = (first, last, length)
    }
}

/// Who did something.
package struct AuditActor: Sendable, Hashable {
    /// Kinds of actors, after the CloudEvents Auth Context extension.
    package enum Kind: String, Sendable, CaseIterable {
        /// A person.
        case user
        /// A program with an account of its own.
        case serviceAccount = "service_account"
        /// Reel itself.
        case system
        /// Nobody who could be recognized.
        case unauthenticated
    }

    /// What kind of actor.
    package let type: Kind
    /// Name of the actor, at most 128 characters; never a credential. Nil for nobody.
    package let subject: String?
    /// The roles that were held, at most 16.
    package let roles: [String]
    package init(type: Kind, subject: String?, roles: [String] = []) {
        self.type = type
        self.subject = subject
        self.roles = roles
    }

    /// Nobody who could be recognized.
    package static let unauthenticated = AuditActor(type: .unauthenticated, subject: nil)

    /// The same in the envelope of an event.
    package var envelope: Actor { Actor(type: type.rawValue, id: subject ?? "") }
}
