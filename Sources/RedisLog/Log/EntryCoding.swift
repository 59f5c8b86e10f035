internal import EventSourcing

/// Between events and the sixteen fields of a log entry (CloudEvents 1.0, binary mode).
enum EntryCoding {
    static let fields: [StaticString] = [
        "id", "type", "source", "specversion", "subject", "time", "dataschema", "datacontenttype",
        "partitionkey", "sequence", "authtype", "authid", "traceparent", "correlationid", "causationid",
        "data",
    ]

    /// Bytes of an id that the idempotency hash keeps.
    static let idHashBytes = 16
    /// Bytes of the body digest beside it.
    static let bodyDigestBytes = 8

    /// The arguments of one event in `reel_append`.
    static let argumentsPerEvent = 14

    static func encode(_ event: ProposedEvent, into commands: inout CommandBuffer) {
        commands.add(SHA256.digest(of: event.id.utf8)[..<idHashBytes])
        commands.add(event.bodyDigest[..<bodyDigestBytes])
        commands.add(event.id)
        commands.add(event.type)
        commands.add(event.context.source)
        commands.add(event.subject)
        commands.add(event.time.rfc3339)
        commands.add(event.dataSchema)
        commands.add(event.context.actor.type)
        commands.add(event.context.actor.id)
        commands.add(event.context.traceparent)
        commands.add(event.context.correlationID)
        commands.add(event.context.causationID)
        commands.add(event.data)
    }

    /// Reads `[entry id, [name, value, …]]`.
    static func decode(_ entry: ReplyView, partition: Int, operation: String) throws(LogFailure)
        -> RecordedEvent
    {
        let position = try position(entry[0], partition: partition, operation: operation)
        guard let values = entry[1], values.count == 2 * fields.count else {
            throw corrupt(position, operation, "an entry has not \(fields.count) fields")
        }
        for index in 0..<fields.count where values[2 * index]?.equals(fields[index]) != true {
            throw corrupt(position, operation, "field \(index + 1) is not \(fields[index])")
        }
        func text(_ index: Int) -> String { values[2 * index + 1]?.string ?? "" }
        guard let time = Timestamp(rfc3339: text(5)) else {
            throw corrupt(position, operation, "time is not RFC 3339")
        }
        guard let sequence = UInt64(text(9)), sequence > 0 else {
            throw corrupt(position, operation, "sequence is not a positive number")
        }
        let type = text(1)
        let schema = text(6)
        guard let colon = schema.lastIndex(of: ":"), let version = Int(schema[schema.index(after: colon)...]),
            schema[..<colon] == "urn:reel:event:\(type)"
        else { throw corrupt(position, operation, "dataschema is not that of \(type)") }
        let event = ProposedEvent(
            id: text(0), type: type, version: version, subject: text(4), time: time,
            context: EventContext(
                source: text(2), actor: Actor(type: text(10), id: text(11)), traceparent: text(12),
                correlationID: text(13), causationID: text(14)),
            data: values[31]?.bytes ?? [])
        return RecordedEvent(event: event, partitionKey: text(8), sequence: sequence, position: position)
    }

    /// The position that an entry id stands for.
    static func position(
        _ view: ReplyView?, partition: Int, operation: String
    ) throws(LogFailure) -> LogPosition {
        guard let text = view?.string, let position = LogPosition(partition: partition, entryID: text) else {
            throw LogFailure(
                .corrupt, operation: operation, key: LogKeys.log(partition), text: "not an entry id")
        }
        return position
    }

    private static func corrupt(_ position: LogPosition, _ operation: String, _ text: String) -> LogFailure {
        LogFailure(.corrupt, operation: operation, key: "\(position)", text: text)
    }
}
