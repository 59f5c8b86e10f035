package import Base
package import EventSourcing

/// An event that a group gave up on and set aside.
package struct ParkedEvent: Sendable, Hashable {
    /// Where the event stands in the log.
    package var position: LogPosition
    /// The group that set it aside.
    package var group: String
    /// The event's id; like the other attributes empty when it could not be read.
    package var eventID: String
    /// The event's type.
    package var type: String
    /// Its subject.
    package var subject: String
    /// Its partition key.
    package var partitionKey: String
    /// Its sequence in its partition key; 0 when it could not be read.
    package var sequence: UInt64
    /// Why it was set aside.
    package var reason: ParkedReason
    /// Its payload, one JSON object, byte for byte. Of an entry that could not be read, `entry_hex` has its
    /// names and values in turn, in hexadecimal digits.
    package var data: [UInt8]

    init(_ event: RecordedEvent, group: String, reason: ParkedReason) {
        position = event.position
        self.group = group
        eventID = event.id
        type = event.type
        subject = event.subject
        partitionKey = event.partitionKey
        sequence = event.sequence
        self.reason = reason
        data = event.data
    }

    init(_ unreadable: UnreadableEntry, group: String, reason: ParkedReason) {
        position = unreadable.position
        self.group = group
        eventID = unreadable["id"]
        type = unreadable["type"]
        subject = unreadable["subject"]
        partitionKey = unreadable["partitionkey"]
        sequence = UInt64(unreadable["sequence"]) ?? 0
        self.reason = reason
        var writer = JSONWriter()
        writer.object { $0.member("entry_hex", unreadable.fields.map(Hexadecimal.text)) }
        data = writer.bytes
    }

    /// Which partition key it holds back in an ordered subscription.
    var held: HeldKey {
        HeldKey(
            partitionKey: partitionKey.isEmpty ? HeldKey.name(of: position) : partitionKey,
            position: position, sequence: sequence, isRetryAsked: false)
    }

    /// The event and its reason as one JSON object.
    package func encode(into writer: inout JSONWriter) {
        writer.object { json in
            json.member("position", position.description)
            json.member("group", group)
            json.member("event_id", eventID)
            json.member("type", type)
            json.member("subject", subject)
            json.member("partition_key", partitionKey)
            json.member("sequence", Int(clamping: sequence))
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
        // The payload is taken over byte for byte, and may be anything: it is the last member, and quotes in
        // any text before it are escaped, so its name stands there for the first time.
        let marker = Array(",\"data\":".utf8)
        guard let start = bytes.indices.first(where: { bytes[$0...].starts(with: marker) }),
            let json = try? JSONValue(parsing: Array(bytes[..<start]) + Array("}".utf8)),
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
        sequence = UInt64(clamping: json["sequence"]?.integer ?? 0)
        reason = ParkedReason(
            stage: text("stage"), errors: (json["errors"]?.array ?? []).compactMap(\.string),
            attempts: Int(clamping: max(0, json["attempts"]?.integer ?? 0)), time: time)
        let payload = Array(bytes[(start + marker.count)...].dropLast())
        data = payload == Array("null".utf8) ? [] : payload
    }
}

/// An entry of the log that does not follow its format.
struct UnreadableEntry {
    var position: LogPosition
    /// What is wrong with it.
    var text: String
    /// Its names and values in turn, as they stand in the log.
    var fields: [[UInt8]]

    /// The value of a field, as far as it is text; empty when there is none.
    subscript(name: String) -> String {
        for index in stride(from: 0, to: fields.count - 1, by: 2)
        where fields[index].elementsEqual(name.utf8) {
            return String(validating: fields[index + 1], as: UTF8.self) ?? ""
        }
        return ""
    }

    /// Why it is set aside.
    func reason(stage: String, attempts: Int, time: Timestamp) -> ParkedReason {
        ParkedReason(
            stage: stage, errors: ["the entry does not follow the log's format", text], attempts: attempts,
            time: time)
    }

    /// - Parameter entry: `[entry id, [name, value, …]]`; nil for one that is not there.
    init(position: LogPosition, text: String, entry: Reply?) {
        self.position = position
        self.text = text
        fields = (entry?.elements.last?.elements ?? []).map { field in
            guard case .string(let bytes) = field else { return [] }
            return bytes
        }
    }
}
