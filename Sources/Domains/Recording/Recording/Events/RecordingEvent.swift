package import Base
package import EventSourcing

/// Everything that stands in a session's history.
package enum RecordingEvent: Event, Hashable {
    /// Of the session.
    case session(SessionEvent)
    /// Of one of its chunks.
    case chunk(ChunkEvent)
    /// The pipeline's state machine took a step.
    case pipeline(PipelineStep)

    private var inner: any Event {
        switch self {
        case .session(let event): event
        case .chunk(let event): event
        case .pipeline(let event): event
        }
    }

    /// The CloudEvents type.
    package var typeName: String { inner.typeName }
    /// The version of its schema at a level.
    package func version(at level: FormatLevel) -> Int? { inner.version(at: level) }
    /// The chunk's or the session's id.
    package var subject: String { inner.subject }

    /// Writes the payload.
    package func encode(_ version: Int, into writer: inout JSONWriter) {
        inner.encode(version, into: &writer)
    }

    /// Reads a payload of any type there is.
    package init(type: String, version: Int, data: JSONValue) throws(MalformedEvent) {
        if ChunkEvent.typeNames.contains(type) {
            self = .chunk(try ChunkEvent(type: type, version: version, data: data))
        } else if SessionEvent.typeNames.contains(type) {
            self = .session(try SessionEvent(type: type, version: version, data: data))
        } else if type == PipelineStep.typeName {
            self = .pipeline(try PipelineStep(type: type, version: version, data: data))
        } else {
            throw MalformedEvent(type: type, text: "unknown type")
        }
    }

    /// The types there are.
    package static let typeNames = SessionEvent.typeNames.union(ChunkEvent.typeNames)
        .union([PipelineStep.typeName])
}

/// A step of the pipeline's state machine: `PipelineStateChanged`.
package struct PipelineStep: Event, Hashable {
    static let typeName = "PipelineStateChanged"

    /// The session whose pipeline it is.
    package var sessionID: String
    /// State before.
    package var from: PipelineState
    /// State after.
    package var to: PipelineState
    /// What moved it.
    package var trigger: PipelineTrigger

    /// A step from `from` by `trigger`; nil when the machine has no such step.
    package init?(sessionID: String, from: PipelineState, _ trigger: PipelineTrigger) {
        guard let to = from.after(trigger) else { return nil }
        self.sessionID = sessionID
        self.from = from
        self.to = to
        self.trigger = trigger
    }

    /// `PipelineStateChanged`.
    package var typeName: String { Self.typeName }
    /// The first version.
    package func version(at level: FormatLevel) -> Int? { 1 }
    /// The session's id.
    package var subject: String { sessionID }

    /// Writes the payload.
    package func encode(_ version: Int, into writer: inout JSONWriter) {
        writer.object { json in
            json.member("session_id", sessionID)
            json.member("from", from.rawValue)
            json.member("to", to.rawValue)
            json.member("trigger", trigger.rawValue)
        }
    }

    /// Reads a payload; refuses a step that the machine doesn't have.
    package init(type: String, version: Int, data: JSONValue) throws(MalformedEvent) {
        guard version == 1 else { throw MalformedEvent(type: type, text: "unknown version \(version)") }
        let json = try FieldReader(type: type, data)
        let to: PipelineState = try json.choice("to")
        guard
            let step = PipelineStep(
                sessionID: try json.string("session_id"), from: try json.choice("from"),
                try json.choice("trigger")), step.to == to
        else { throw MalformedEvent(type: type, text: "no such step of the state machine") }
        self = step
    }
}
