package import Base
package import EventSourcing

extension AuditRecord {
    /// Writes the payload. What version 1 has no members for stands among its details.
    package func encode(_ version: Int, into writer: inout JSONWriter) {
        let details = version == 1 ? detailsOfVersion1 : details
        writer.object { json in
            json.member("action", action.rawValue)
            json.member("resource_type", resource.type.rawValue)
            json.member("resource_id", resource.id)
            json.member("session_id", sessionID)
            json.member("outcome", outcome.rawValue)
            json.member("status_code", statusCode)
            json.member("reason", reason)
            json.member(
                "actor",
                object: { json in
                    json.member("type", actor.type.rawValue)
                    json.member("subject", actor.subject)
                    json.member("roles", actor.roles)
                })
            json.member("address", address)
            json.member("request_id", requestID)
            json.member("user_agent", userAgent)
            if version > 1 { encodeSecond(into: &json) }
            json.member(
                "details",
                object: { json in
                    for (name, value) in details.sorted(by: { $0.key < $1.key }) {
                        json.key(dynamic: name)
                        json.value(value)
                    }
                })
        }
    }

    /// The members that came with version 2.
    private func encodeSecond(into json: inout JSONWriter) {
        if !changed.isEmpty { json.member("changed", changed) }
        json.member("session_sequence", sessionSequence)
        if let range { json.member("range", object: range.encode) }
        json.member("case", caseName)
    }

    private var detailsOfVersion1: [String: String] {
        var all = details
        if !changed.isEmpty { all["changed"] = changed.joined(separator: " ") }
        if let sessionSequence { all["session_sequence"] = "\(sessionSequence)" }
        if let range { all["range"] = "\(range.first)-\(range.last)/\(range.length)" }
        if let caseName { all["case"] = caseName }
        return AuditText.bounded(all)
    }

    /// Reads a payload.
    package init(type: String, version: Int, data: JSONValue) throws(MalformedEvent) {
        guard type == Self.typeName else { throw MalformedEvent(type: type, text: "unknown type") }
        guard version == 1 || version == 2 else {
            throw MalformedEvent(type: type, text: "unknown version \(version)")
        }
        let json = try FieldReader(type: type, data)
        let word = try json.string("action")
        guard let action = AuditAction(rawValue: word) else {
            throw MalformedEvent(type: type, text: "action is no word of the audit trail")
        }
        let actor = try json.object("actor")
        let isSecond = version > 1
        let sequence = try json.optionalInteger("session_sequence", NumberBounds.sessionSequence)
        self.init(
            action,
            on: AuditResource(try json.choice("resource_type"), id: try json.optionalString("resource_id")),
            session: try json.optionalString("session_id"), outcome: try json.choice("outcome"),
            statusCode: try json.optionalInteger("status_code", NumberBounds.status),
            reason: try json.optionalString("reason"),
            actor: AuditActor(
                type: try actor.choice("type"), subject: try actor.optionalString("subject"),
                roles: try actor.requiredStrings("roles")),
            address: try json.optionalString("address"), requestID: try json.optionalString("request_id"),
            userAgent: try json.optionalString("user_agent"),
            changed: isSecond ? try json.strings("changed") : [],
            sessionSequence: isSecond ? sequence.map { UInt64($0) } : nil,
            range: isSecond ? try AuditRange(json.optionalObject("range")) : nil,
            caseName: isSecond ? try json.optionalString("case") : nil,
            details: try json.texts("details"))
    }
}

extension AuditRange {
    func encode(into json: inout JSONWriter) {
        json.member("first", first)
        json.member("last", last)
        json.member("length", length)
    }

    /// Nil where there is none.
    init?(_ json: FieldReader?) throws(MalformedEvent) {
        guard let json else { return nil }
        let bytes = NumberBounds.sessionBytes
        let range = AuditRange(
            first: UInt64(try json.integer("first", bytes)), last: UInt64(try json.integer("last", bytes)),
            length: UInt64(try json.integer("length", bytes)))
        guard let range else {
            throw MalformedEvent(type: AuditRecord.typeName, text: "range is no part of a whole")
        }
        self = range
    }
}
