package import Base

/// `POST /recordings/start`: what `SessionOrder` takes, and where the recording comes from. That of a stream
/// may leave `rdp_config` out.
package struct RecordingOrder: RequestBody {
    /// The session that is to be recorded.
    package var session: SessionOrder
    /// Where the recording comes from; what is not said is a stream.
    package var source = CaptureConfig.Source.stream

    /// Reads the object.
    package static func read(_ json: JSONValue) -> (RecordingOrder, [Violation]) {
        guard case .object(let members) = json else {
            let (session, violations) = SessionOrder.read(json)
            return (RecordingOrder(session: session), violations)
        }
        let source = members.first { $0.name == "source" }?.value.string
        let (session, violations) = SessionOrder.read(
            .object(members.filter { $0.name != "source" }),
            isStream: source != CaptureConfig.Source.rdp.rawValue)
        var order = RecordingOrder(session: session)
        var reader = RequestReader(.object(members.filter { $0.name == "source" }))
        var word = order.source.rawValue
        reader.read("source", into: &word)
        var rules = Rules()
        // A file is on the machine of whoever records it, and comes as a stream.
        let sources = [CaptureConfig.Source.stream, .rdp]
        rules.oneOf("source", word, sources.map(\.rawValue))
        order.source = CaptureConfig.Source(rawValue: word) ?? .stream
        return (order, violations + reader.finish(rules.violations))
    }
}

/// `POST /chunks/{id}/process`: the next bytes of a recording's stream, as the body.
package struct StreamAppend: Sendable, Hashable {
    /// Bytes that were recorded before it; nil when the sender goes by nothing.
    package var offset: Int?
    /// When its first byte was captured; nil for when it arrives.
    package var capturedAt: Timestamp?
    /// Whether bytes that come while the recording is paused end the request; else they are thrown away.
    package var refusesWhilePaused = false

    /// The parameters `offset`, `timestamp` and `while_paused`.
    package init(_ parameters: [(name: String, value: String)]) throws(RequestFailure) {
        var reader = RequestParameters(parameters)
        offset = reader.integer("offset", 0...Int.max)
        capturedAt = reader.time("timestamp")
        if let word = reader.text("while_paused") {
            if !["drop", "refuse"].contains(word) {
                reader.refuse("while_paused", "must be one of: drop, refuse")
            }
            refusesWhilePaused = word == "refuse"
        }
        try reader.finish()
    }
}
