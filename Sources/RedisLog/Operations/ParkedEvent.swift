public import EventSourcing

/// An event that a group gave up on and set aside.
public struct ParkedEvent: Sendable, Hashable {
    /// Where the event stands in the log.
    public var position: LogPosition
    /// The group that set it aside.
    public var group: String
    /// The event's id; empty when the entry could not be read.
    public var eventID: String
    /// The event's type.
    public var type: String
    /// Its subject.
    public var subject: String
    /// Its partition key.
    public var partitionKey: String
    /// Why it was set aside.
    public var reason: ParkedReason
    /// Its payload, one JSON object; empty when the entry could not be read.
    public var data: [UInt8]

    init(_ event: RecordedEvent, group: String, reason: ParkedReason) {
        position = event.position
        self.group = group
        eventID = event.id
        type = event.type
        subject = event.subject
        partitionKey = event.partitionKey
        self.reason = reason
        data = event.data
    }

    init(unreadable position: LogPosition, group: String, text: String, time: Timestamp) {
        self.position = position
        self.group = group
        eventID = ""
        type = ""
        subject = ""
        partitionKey = ""
        reason = ParkedReason(
            stage: group, errors: ["the entry does not follow the log's format", text], attempts: 0,
            time: time)
        data = []
    }

    /// The event and its reason as one JSON object.
    public func encode(into writer: inout JSONWriter) {
        writer.object { json in
            json.member("position", position.description)
            json.member("group", group)
            json.member("event_id", eventID)
            json.member("type", type)
            json.member("subject", subject)
            json.member("partition_key", partitionKey)
            json.member("stage", reason.stage)
            json.member("errors", reason.errors)
            json.member("attempts", reason.attempts)
            json.member("time", reason.time)
            json.key("data")
            if data.isEmpty { json.null() } else { json.raw(data) }
        }
    }

    var json: String {
        var writer = JSONWriter()
        encode(into: &writer)
        return writer.text
    }

    /// Reads what `encode` wrote; nil for anything else.
    init?(parsing bytes: [UInt8]) {
        guard let json = try? JSONValue(parsing: bytes),
            let position = json["position"]?.string.flatMap(LogPosition.init),
            let time = json["time"]?.string.flatMap(Timestamp.init(rfc3339:))
        else { return nil }
        func text(_ name: String) -> String { json[name]?.string ?? "" }
        self.position = position
        group = text("group")
        eventID = text("event_id")
        type = text("type")
        subject = text("subject")
        partitionKey = text("partition_key")
        reason = ParkedReason(
            stage: text("stage"), errors: (json["errors"]?.array ?? []).compactMap(\.string),
            attempts: Int(json["attempts"]?.integer ?? 0), time: time)
        // The payload is taken over byte for byte: it is the last member, and quotes in any text before
        // it are escaped, so its name stands there for the first time.
        let marker = Array(",\"data\":".utf8)
        guard let start = bytes.indices.first(where: { bytes[$0...].starts(with: marker) }) else {
            return nil
        }
        let payload = Array(bytes[(start + marker.count)...].dropLast())
        data = payload == Array("null".utf8) ? [] : payload
    }
}
