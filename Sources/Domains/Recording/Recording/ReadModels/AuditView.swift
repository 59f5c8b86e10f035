package import Base
package import EventSourcing
package import ReadModels

/// One record of the audit trail as it is shown. Schema: `schemas/read-models/audit.json`.
package struct AuditView: Sendable, Hashable {
    /// Its id: that of its event.
    package var id: String
    /// What it says.
    package var record: AuditRecord
    /// When it happened, and where it stands in the log.
    package var stamp: EventStamp
    package init(id: String, record: AuditRecord, stamp: EventStamp) {
        self.id = id
        self.record = record
        self.stamp = stamp
    }

    /// The view of a record in the log.
    package init(_ event: RecordedEvent) throws(MalformedEvent) {
        // Who did it the record says.
        let stamp = EventStamp(time: event.time, sequence: event.sequence, position: event.position)
        self.init(id: event.id, record: try AuditRecord(event), stamp: stamp)
    }

    /// Writes it as one JSON object; what is unknown is null.
    package func encode(into writer: inout JSONWriter) {
        func text(_ json: inout JSONWriter, _ name: StaticString, _ value: String?) {
            json.key(name)
            if let value { json.value(value) } else { json.null() }
        }
        writer.object { json in
            json.member("audit_id", id)
            json.member("time", stamp.time)
            json.member("action", record.action.rawValue)
            json.member("resource_type", record.resource.type.rawValue)
            text(&json, "resource_id", record.resource.id)
            text(&json, "session_id", record.sessionID)
            json.member("outcome", record.outcome.rawValue)
            json.key("status_code")
            if let code = record.statusCode { json.value(code) } else { json.null() }
            text(&json, "reason", record.reason)
            json.key("actor")
            json.object { json in
                json.member("type", record.actor.type.rawValue)
                text(&json, "subject", record.actor.subject)
                json.member("roles", record.actor.roles)
            }
            text(&json, "address", record.address)
            text(&json, "request_id", record.requestID)
            text(&json, "user_agent", record.userAgent)
            json.member("changed", record.changed)
            json.key("session_sequence")
            if let sequence = record.sessionSequence { json.value(sequence) } else { json.null() }
            json.key("range")
            if let range = record.range { json.object(range.encode) } else { json.null() }
            text(&json, "case", record.caseName)
            json.key("details")
            json.array { json in
                for (name, value) in record.details.sorted(by: { $0.key < $1.key }) {
                    json.object { json in
                        json.member("name", name)
                        json.member("value", value)
                    }
                }
            }
            json.member("version", stamp.sequence)
            json.member("log_position", stamp.position.description)
        }
    }
}
