package import Base

/// Who caused an event (CloudEvents `authtype` and `authid`).
package struct Actor: Sendable, Hashable {
    /// `user`, `service_account`, `system` or `unknown`, after the CloudEvents Auth Context extension.
    package var type: String
    /// Name of the actor. Never a credential.
    package var id: String

    /// An actor from its kind and its name.
    package init(type: String, id: String) {
        self.type = type
        self.id = id
    }

    /// Reel itself, in the given role.
    package static func system(_ role: String) -> Actor { Actor(type: "system", id: role) }
}

/// Where an event comes from: what is the same for all events that one command or one message causes.
package struct EventContext: Sendable, Hashable {
    /// CloudEvents `source`: URI reference of the producer, such as `/reel/processor`.
    package var source: String
    /// Who caused it.
    package var actor: Actor
    /// W3C trace context, empty when unknown.
    package var traceparent: String
    /// Id shared by everything that one request set in motion, empty when unknown.
    package var correlationID: String
    /// Id of the event or command that caused this one, empty when unknown.
    package var causationID: String
    package init(
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
    package func caused(by event: RecordedEvent) -> EventContext {
        var context = self
        context.traceparent = event.context.traceparent
        context.correlationID =
            event.context.correlationID.isEmpty ? event.id : event.context.correlationID
        context.causationID = event.id
        return context
    }
}

/// An event that is to be appended: it has no sequence and no position yet.
package struct ProposedEvent: Sendable, Hashable {
    /// CloudEvents `id`: unique in the log; appending the same id again has no effect.
    package var id: String
    /// CloudEvents `type`, such as `OrderPlaced`.
    package var type: String
    /// Version of the type's schema, from 1.
    package var version: Int
    /// CloudEvents `subject`: the id of what it is about.
    package var subject: String
    /// When it happened.
    package var time: Timestamp
    /// Where it comes from.
    package var context: EventContext
    /// The payload: one JSON object.
    package var data: [UInt8]
    package init(
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
    package var dataSchema: String { "urn:reel:event:\(type):\(version)" }

    /// What tells two events of one id apart: type, version, subject and payload. Time and origin
    /// are left out, so that a retry of the same fact is the same body.
    package var bodyDigest: [UInt8] { withBodyDigest { [UInt8]($0) } }

    /// Lends `bodyDigest`.
    package func withBodyDigest<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
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
package struct RecordedEvent: Sendable, Hashable {
    /// The event's attributes and payload.
    package var event: ProposedEvent
    /// What orders and places the event: the id of what has this history.
    package var partitionKey: String
    /// 1, 2, 3 … without gaps for one partition key.
    package var sequence: UInt64
    /// Where it stands in the log.
    package var position: LogPosition

    /// The numbers that an event may have in its history: as many as 12 digits tell apart.
    package static let sequences: ClosedRange<UInt64> = 1...999_999_999_999
    package init(event: ProposedEvent, partitionKey: String, sequence: UInt64, position: LogPosition) {
        self.event = event
        self.partitionKey = partitionKey
        self.sequence = sequence
        self.position = position
    }

    /// Whether the event that follows in the same partition may have been appended together with this one, as
    /// part of one decision: those are of one key, and have time and context in common. (Their entries may
    /// stand in several milliseconds.) Where it is so by chance, nothing is lost but a place to cut.
    package func mayBelongTogether(with next: RecordedEvent) -> Bool {
        partitionKey == next.partitionKey && next.sequence == sequence &+ 1 && time == next.time
            && context == next.context
    }

    /// CloudEvents `id`.
    package var id: String { event.id }
    /// CloudEvents `type`.
    package var type: String { event.type }
    /// CloudEvents `time`.
    package var time: Timestamp { event.time }
    /// CloudEvents `subject`.
    package var subject: String { event.subject }
    /// Where it comes from.
    package var context: EventContext { event.context }
    /// The payload: one JSON object.
    package var data: [UInt8] { event.data }

    /// `sequence` as the log writes it: 12 digits, padded with zeros.
    package var sequenceText: String {
        let digits = String(sequence)
        return String(repeating: "0", count: max(0, 12 - digits.count)) + digits
    }
}
