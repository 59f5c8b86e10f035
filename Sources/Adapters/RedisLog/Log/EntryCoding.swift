internal import Base
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

    /// The arguments of one event in `reel_append_all`.
    static let argumentsPerEvent = 14

    static func encode(_ event: ProposedEvent, into commands: inout CommandBuffer) {
        SHA256.withDigest(of: event.id) { commands.add($0.prefix(idHashBytes)) }
        event.withBodyDigest { commands.add($0.prefix(bodyDigestBytes)) }
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

    /// The position that an entry id stands for.
    /// - Parameter key: where the entry id was read; the partition's stream without it.
    static func position(
        _ view: ReplyView?, partition: Int, operation: String, key: @autoclosure () -> String? = nil
    ) throws(LogFailure) -> LogPosition {
        guard let position = view?.withBytes({ LogPosition(partition: partition, entryID: $0) }) else {
            throw LogFailure(
                .corrupt, operation: operation, key: key() ?? LogKeys.log(partition),
                text: "it has something else where an entry id belongs")
        }
        return position
    }

    static func corrupt(_ position: LogPosition, _ operation: String, _ text: String) -> LogFailure {
        .unreadable(operation, position, text)
    }
}
