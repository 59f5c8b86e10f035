public import EventSourcing

extension AuditRecord {
    /// Writes the payload.
    public func encode(_ version: Int, into writer: inout JSONWriter) {
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

    /// Reads a payload.
    public init(type: String, version: Int, data: JSONValue) throws(MalformedEvent) {
        guard type == Self.typeName else { throw MalformedEvent(type: type, text: "unknown type") }
        guard version == 1 else { throw MalformedEvent(type: type, text: "unknown version \(version)") }
        let json = try FieldReader(type: type, data)
        let word = try json.string("action")
        guard let action = AuditAction(rawValue: word) else {
            throw MalformedEvent(type: type, text: "action is no word of the audit trail")
        }
        let actor = try json.object("actor")
        self.init(
            action,
            on: AuditResource(try json.choice("resource_type"), id: try json.optionalString("resource_id")),
            session: try json.optionalString("session_id"), outcome: try json.choice("outcome"),
            statusCode: try json.optionalInteger("status_code"), reason: try json.optionalString("reason"),
            actor: AuditActor(
                type: try actor.choice("type"), subject: try actor.optionalString("subject"),
                roles: try actor.requiredStrings("roles")),
            address: try json.optionalString("address"), requestID: try json.optionalString("request_id"),
            userAgent: try json.optionalString("user_agent"), details: try json.texts("details"))
    }

    /// Reads what stands in the log.
    public init(_ recorded: RecordedEvent) throws(MalformedEvent) {
        let json: JSONValue
        do { json = try JSONValue(parsing: recorded.data) } catch {
            throw MalformedEvent(type: recorded.type, text: "data: \(error)")
        }
        try self.init(type: recorded.type, version: recorded.event.version, data: json)
    }
}
