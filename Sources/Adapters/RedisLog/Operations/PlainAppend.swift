internal import Base
package import EventSourcing

/// The ceiling that an append is measured against: the same entries by plain pipelined XADD, into a
/// stream of its own, without version check, idempotency and index. Blocks; one thread.
package final class PlainAppend {
    private let client: RedisClient
    private let key: String
    private var commands = CommandBuffer()

    init(_ client: RedisClient, name: String) {
        self.client = client
        key = "reel:bench:\(name)"
    }

    /// Appends events in one round trip.
    package func append(_ events: [(partitionKey: String, sequence: String, event: ProposedEvent)])
        throws(LogFailure)
    {
        commands.removeAll()
        for (partitionKey, sequence, event) in events {
            commands.begin(3 + 2 * EntryCoding.fields.count)
            commands.add("XADD")
            commands.add(key)
            commands.add("*")
            EntryCoding.encodePlain(event, partitionKey, sequence, into: &commands)
        }
        try client.pipeline("plain append", key, commands) { _, _ in }
    }

    /// Removes the stream again.
    package func remove() throws(LogFailure) { _ = try client.command("remove", key, ["UNLINK", key]) }
}

extension RedisEventLog {
    /// The ceiling for a benchmark of append, in a stream of the given name beside the log.
    package func plainAppend(name: String) -> PlainAppend { PlainAppend(client("bench"), name: name) }
}

extension EntryCoding {
    /// The sixteen fields of an entry, as the append function writes them.
    fileprivate static func encodePlain(
        _ event: ProposedEvent, _ partitionKey: String, _ sequence: String, into commands: inout CommandBuffer
    ) {
        let context = event.context
        let values = [
            event.id, event.type, context.source, "1.0", event.subject, event.time.rfc3339, event.dataSchema,
            "application/json", partitionKey, sequence, context.actor.type, context.actor.id,
            context.traceparent, context.correlationID, context.causationID,
        ]
        for (field, value) in zip(fields, values) {
            commands.add(field)
            commands.add(value)
        }
        commands.add("data")
        commands.add(event.data)
    }
}
