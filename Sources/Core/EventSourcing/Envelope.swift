public import Base

/// Who caused an event (CloudEvents `authtype` and `authid`).
public struct Actor: Sendable, Hashable {
    /// `user`, `service_account`, `system` or `unknown`, after the CloudEvents Auth Context extension.
    public var type: String
    /// Name of the actor. Never a credential.
    public var id: String

    /// An actor from its kind and its name.
    public init(type: String, id: String) {
        self.type = type
        self.id = id
    }

    /// Reel itself, in the given role.
    public static func system(_ role: String) -> Actor { Actor(type: "system", id: role) }
}

/// Where an event comes from: what is the same for all events that one command or one message causes.
public struct EventContext: Sendable, Hashable {
    /// CloudEvents `source`: URI reference of the producer, such as `/reel/processor`.
    public var source: String
    /// Who caused it.
    public var actor: Actor
    /// W3C trace context, empty when unknown.
    public var traceparent: String
    /// Id shared by everything that one request set in motion, empty when unknown.
    public var correlationID: String
    /// Id of the event or command that caused this one, empty when unknown.
    public var causationID: String

    /// A context from its parts.
    public init(
        source: String, actor: Actor, traceparent: String = "", correlationID: String = "",
        causationID: String = ""
    ) {
        self.source = source
        self.actor = actor
        self.traceparent = traceparent
        self.correlationID = correlationID
        self.causationID = causationID
    }

    /// The context of what is done because of `event`: its correlation and trace go on.
    public func caused(by event: RecordedEvent) -> EventContext {
        var context = self
        context.traceparent = event.context.traceparent
        context.correlationID =
            event.context.correlationID.isEmpty ? event.id : event.context.correlationID
        context.causationID = event.id
        return context
    }
}

/// An event that is to be appended: it has no sequence and no position yet.
public struct ProposedEvent: Sendable, Hashable {
    /// CloudEvents `id`: unique in the log; appending the same id again has no effect.
    public var id: String
    /// CloudEvents `type`, such as `OrderPlaced`.
    public var type: String
    /// Version of the type's schema, from 1.
    public var version: Int
    /// CloudEvents `subject`: the id of what it is about.
    public var subject: String
    /// When it happened.
    public var time: Timestamp
    /// Where it comes from.
    public var context: EventContext
    /// The payload: one JSON object.
    public var data: [UInt8]

    /// An event from its parts.
    public init(
        id: String, type: String, version: Int, subject: String, time: Timestamp, context: EventContext,
        data: [UInt8]
    ) {
        self.id = id
        self.type = type
        self.version = version
        self.subject = subject
        self.time = time
        self.context = context
        self.data = data
    }

    /// `urn:reel:event:<Type>:<version>`.
    public var dataSchema: String { "urn:reel:event:\(type):\(version)" }

    /// What tells two events of one id apart: type, version, subject and payload. Time and origin
    /// are left out, so that a retry of the same fact is the same body.
    public var bodyDigest: [UInt8] { withBodyDigest { [UInt8]($0) } }

    /// Lends `bodyDigest`.
    public func withBodyDigest<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        var bytes: [UInt8] = []
        let schema = dataSchema
        bytes.reserveCapacity(schema.utf8.count + subject.utf8.count + data.count + 2)
        bytes.append(contentsOf: schema.utf8)
        bytes.append(0x0A)
        bytes.append(contentsOf: subject.utf8)
        bytes.append(0x0A)
        bytes.append(contentsOf: data)
        return bytes.withUnsafeBytes { SHA256.withDigest(of: $0, body) }
    }
}

/// An event as it stands in the log.
public struct RecordedEvent: Sendable, Hashable {
    /// The event's attributes and payload.
    public var event: ProposedEvent
    /// What orders and places the event: the id of what has this history.
    public var partitionKey: String
    /// 1, 2, 3 … without gaps for one partition key.
    public var sequence: UInt64
    /// Where it stands in the log.
    public var position: LogPosition

    /// The numbers that an event may have in its history: as many as 12 digits tell apart.
    public static let sequences: ClosedRange<UInt64> = 1...999_999_999_999

    /// A recorded event from its parts.
    public init(event: ProposedEvent, partitionKey: String, sequence: UInt64, position: LogPosition) {
        self.event = event
        self.partitionKey = partitionKey
        self.sequence = sequence
        self.position = position
    }

    /// Whether the event that follows in the same partition may have been appended together with this one, as
    /// part of one decision: those are of one key, and have time and context in common. (Their entries may
    /// stand in several milliseconds.) Where it is so by chance, nothing is lost but a place to cut.
    public func mayBelongTogether(with next: RecordedEvent) -> Bool {
        partitionKey == next.partitionKey && next.sequence == sequence &+ 1 && time == next.time
            && context == next.context
    }

    /// CloudEvents `id`.
    public var id: String { event.id }
    /// CloudEvents `type`.
    public var type: String { event.type }
    /// CloudEvents `time`.
    public var time: Timestamp { event.time }
    /// CloudEvents `subject`.
    public var subject: String { event.subject }
    /// Where it comes from.
    public var context: EventContext { event.context }
    /// The payload: one JSON object.
    public var data: [UInt8] { event.data }

    /// `sequence` as the log writes it: 12 digits, padded with zeros.
    public var sequenceText: String {
        let digits = String(sequence)
        return String(repeating: "0", count: max(0, 12 - digits.count)) + digits
    }
}
