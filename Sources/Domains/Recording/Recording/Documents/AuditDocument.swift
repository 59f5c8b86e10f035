internal import Base
internal import EventSourcing
package import ReadModels

// The documents of collection `audit`; described for other tools in schemas/read-models/audit.json.

extension BSONDocument {
    /// The document of one.
    package init(_ view: AuditView) {
        let record = view.record
        self.init { builder in
            builder.append("audit_id", view.id)
            builder.append("time", date_ms: view.stamp.time.milliseconds)
            builder.append("action", record.action.rawValue)
            builder.append("resource_type", record.resource.type.rawValue)
            builder.append("resource_id", record.resource.id)
            builder.append("session_id", record.sessionID)
            builder.append("outcome", record.outcome.rawValue)
            builder.append("status_code", int64: record.statusCode.map(Int64.init))
            builder.append("reason", record.reason)
            builder.append("actor") { builder in
                builder.append("type", record.actor.type.rawValue)
                builder.append("subject", record.actor.subject)
                builder.append("roles", array: record.actor.roles)
            }
            builder.append("address", record.address)
            builder.append("request_id", record.requestID)
            builder.append("user_agent", record.userAgent)
            builder.append("changed", array: record.changed)
            builder.append("session_sequence", int64: record.sessionSequence.map { Int64(clamping: $0) })
            if let range = record.range {
                builder.append("range") { builder in
                    builder.append("first", int64: Int64(clamping: range.first))
                    builder.append("last", int64: Int64(clamping: range.last))
                    builder.append("length", int64: Int64(clamping: range.length))
                }
            } else {
                builder.appendNull("range")
            }
            builder.append("case", record.caseName)
            // Names may hold anything, dots and dollars too, so that they are no names of fields.
            let details = record.details.sorted { $0.key < $1.key }
            builder.append("details", array: details) { builder, key, detail in
                builder.append(key) { builder in
                    builder.append("name", detail.key)
                    builder.append("value", detail.value)
                }
            }
            builder.append("version", int64: Int64(clamping: view.stamp.sequence))
            builder.append("log_position", view.stamp.position.description)
        }
    }
}

extension AuditView {
    /// Reads a stored document.
    package init(_ fields: BSONFields) throws(BSONError) {
        guard let action = AuditAction(rawValue: try fields.string("action")) else { throw .field("action") }
        let actor = try fields.document("actor")
        var details: [String: String] = [:]
        for item in try fields.array("details") {
            guard case .document(let detail) = item else { throw .field("details") }
            let pair = try detail.fields()
            details[try pair.string("name")] = try pair.string("value")
        }
        let record = AuditRecord(
            action,
            on: AuditResource(
                try fields.choice("resource_type"), id: try fields.optionalString("resource_id")),
            session: try fields.optionalString("session_id"), outcome: try fields.choice("outcome"),
            statusCode: try fields.optionalCount("status_code", NumberBounds.status),
            reason: try fields.optionalString("reason"),
            actor: AuditActor(
                type: try actor.choice("type"), subject: try actor.optionalString("subject"),
                roles: try actor.strings("roles")),
            address: try fields.optionalString("address"),
            requestID: try fields.optionalString("request_id"),
            userAgent: try fields.optionalString("user_agent"),
            // Documents of version 0.1.0 have none of these.
            changed: fields.isNull("changed") ? [] : try fields.strings("changed"),
            sessionSequence: try fields.optionalInt("session_sequence").map { UInt64(clamping: $0) },
            range: fields.isNull("range") ? nil : try AuditRange(fields.document("range")),
            caseName: try fields.optionalString("case"), details: details)
        self.init(
            id: try fields.string("audit_id"), record: record,
            stamp: EventStamp(
                time: try fields.time("time"), sequence: UInt64(try fields.count("version")),
                position: try fields.position("log_position")))
    }
}

extension AuditRange {
    fileprivate init(_ fields: BSONFields) throws(BSONError) {
        let range = AuditRange(
            first: UInt64(clamping: try fields.int("first")), last: UInt64(clamping: try fields.int("last")),
            length: UInt64(clamping: try fields.int("length")))
        guard let range else { throw .field("range") }
        self = range
    }
}
