package import Base

extension RecordedEvent {
    /// The event in CloudEvents 1.0 JSON form, attributes in the order of the log's fields; attributes
    /// that are unknown are left out.
    package func encodeCloudEvent(into writer: inout JSONWriter) {
        func known(_ text: String) -> String? { text.isEmpty ? nil : text }
        writer.object { json in
            json.member("id", id)
            json.member("type", type)
            json.member("source", context.source)
            json.member("specversion", "1.0")
            json.member("subject", known(subject))
            json.member("time", time)
            json.member("dataschema", event.dataSchema)
            json.member("datacontenttype", "application/json")
            json.member("partitionkey", partitionKey)
            json.member("sequence", sequenceText)
            json.member("authtype", known(context.actor.type))
            json.member("authid", known(context.actor.id))
            json.member("traceparent", known(context.traceparent))
            json.member("correlationid", known(context.correlationID))
            json.member("causationid", known(context.causationID))
            json.key("data")
            json.raw(data)
        }
    }
}
