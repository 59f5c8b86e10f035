internal import Base

/// The entries of a segment as bytes, and back.
///
/// One entry after the other: its length, then the two parts of its id, its sequence and its version, then
/// the texts of `fields`, each with its length. Numbers are LEB128, lengths in bytes. What is the same in
/// every entry (`specversion`, `datacontenttype`) or follows from other fields is left out.
package enum SegmentCoding {
    /// Appends one entry.
    package static func encode(_ recorded: RecordedEvent, into bytes: inout [UInt8]) {
        var body: [UInt8] = []
        body.reserveCapacity(320 + recorded.data.count)
        put(recorded.position.milliseconds, into: &body)
        put(recorded.position.counter, into: &body)
        put(recorded.sequence, into: &body)
        put(UInt64(recorded.event.version), into: &body)
        let event = recorded.event
        let context = event.context
        for text in [
            recorded.partitionKey, event.id, event.type, event.subject, event.time.rfc3339, context.source,
            context.actor.type, context.actor.id, context.traceparent, context.correlationID,
            context.causationID,
        ] {
            put(UInt64(text.utf8.count), into: &body)
            body.append(contentsOf: text.utf8)
        }
        put(UInt64(event.data.count), into: &body)
        body.append(contentsOf: event.data)
        put(UInt64(body.count), into: &bytes)
        bytes.append(contentsOf: body)
    }

    /// All entries in a row.
    package static func encode(_ events: [RecordedEvent]) -> [UInt8] {
        var bytes: [UInt8] = []
        for event in events { encode(event, into: &bytes) }
        return bytes
    }

    private static func put(_ value: UInt64, into bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}

/// Walks through the entries of a segment.
package struct SegmentCursor {
    private let bytes: [UInt8]
    private let partition: Int
    /// Bytes that were passed.
    package private(set) var offset = 0

    /// A cursor at an offset where an entry begins.
    package init(_ bytes: [UInt8], partition: Int, offset: Int = 0) {
        self.bytes = bytes
        self.partition = partition
        self.offset = offset
    }

    /// Nil where the bytes do not follow the format.
    private mutating func number() -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: 0, to: 64, by: 7) {
            guard offset < bytes.count else { return nil }
            let byte = bytes[offset]
            offset += 1
            guard shift < 63 || byte <= 1 else { return nil }
            value |= UInt64(byte & 0x7F) << UInt64(shift)
            if byte < 0x80 { return value }
        }
        return nil
    }

    private mutating func slice(upTo end: Int) -> ArraySlice<UInt8>? {
        guard let length = number(), length <= UInt64(end - min(offset, end)) else { return nil }
        let start = offset
        offset += Int(length)
        return bytes[start..<offset]
    }

    private mutating func text(upTo end: Int) -> String? {
        guard let slice = slice(upTo: end) else { return nil }
        return bytes.withUnsafeBytes {
            String(decoding: $0[slice.startIndex..<slice.endIndex], as: UTF8.self)
        }
    }

    /// Whether all entries were passed.
    package var isAtEnd: Bool { offset >= bytes.count }

    /// The entry at the cursor, which goes on behind it. Entries that `wanted` does not want, judged by
    /// position and partition key, are passed without being read: then the answer holds no event. Nil where
    /// the bytes do not follow the format.
    package mutating func next(
        _ wanted: (LogPosition, () -> String) -> Bool
    ) -> (position: LogPosition, event: RecordedEvent?)? {
        guard let length = number(), length <= UInt64(bytes.count - offset) else { return nil }
        let end = offset + Int(length)
        guard let milliseconds = number(), let counter = number(), let sequence = number(),
            RecordedEvent.sequences.contains(sequence), let version = number(),
            version <= UInt64(Int32.max), offset <= end
        else { return nil }
        let position = LogPosition(partition: partition, milliseconds: milliseconds, counter: counter)
        let start = offset
        let isWanted = wanted(position) {
            var ahead = self
            ahead.offset = start
            return ahead.text(upTo: end) ?? ""
        }
        guard isWanted else {
            offset = end
            return (position, nil)
        }
        guard let event = event(position, sequence, Int(version), upTo: end), offset == end else {
            return nil
        }
        return (position, event)
    }

    private mutating func event(
        _ position: LogPosition, _ sequence: UInt64, _ version: Int, upTo end: Int
    ) -> RecordedEvent? {
        guard let key = text(upTo: end), let id = text(upTo: end), let type = text(upTo: end),
            let subject = text(upTo: end), let time = text(upTo: end).flatMap({ Timestamp(rfc3339: $0) }),
            let source = text(upTo: end), let authType = text(upTo: end), let authID = text(upTo: end),
            let trace = text(upTo: end), let correlation = text(upTo: end), let causation = text(upTo: end),
            let data = slice(upTo: end)
        else { return nil }
        return RecordedEvent(
            event: ProposedEvent(
                id: id, type: type, version: version, subject: subject, time: time,
                context: EventContext(
                    source: source, actor: Actor(type: authType, id: authID), traceparent: trace,
                    correlationID: correlation, causationID: causation),
                data: Array(data)),
            partitionKey: key, sequence: sequence, position: position)
    }
}

extension SegmentCoding {
    /// All entries of a payload; nil where it does not follow the format.
    package static func decode(_ payload: [UInt8], partition: Int) -> [RecordedEvent]? {
        var cursor = SegmentCursor(payload, partition: partition)
        var events: [RecordedEvent] = []
        while !cursor.isAtEnd {
            guard let event = cursor.next({ _, _ in true })?.event else { return nil }
            events.append(event)
        }
        return events
    }
}
