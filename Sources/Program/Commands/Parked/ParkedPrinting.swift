import Operations
import Base
import Console
import EventSourcing
import Recording
import RedisLog
import ChunkFiles

/// Parked events as they are shown.
enum ParkedPrinting {
    /// One parked event as JSON; with its payload when `isWhole`.
    static func write(
        _ event: ParkedEvent, isWhole: Bool, at now: Timestamp, _ bytes: SpoolBytes?,
        into writer: inout JSONWriter
    ) {
        writer.object { json in
            json.member("id", ParkedID(event).description)
            json.member("stage", event.group)
            json.member("position", event.position.description)
            json.member("session_id", event.partitionKey)
            json.member("subject", event.subject)
            json.member("event_type", event.type)
            json.member("event_id", event.eventID)
            json.member("sequence", Int(clamping: event.sequence))
            json.member("attempts", event.reason.attempts)
            json.member("parked_at", event.reason.time)
            json.member("age_seconds", age(event, now) / 1000)
            json.member("errors", event.reason.errors)
            guard isWhole else { return }
            json.key("data")
            if event.data.isEmpty {
                json.null()
            } else if (try? JSONValue(parsing: event.data)) != nil {
                json.raw(event.data)
            } else {
                json.value(String(decoding: event.data, as: UTF8.self))
            }
            json.key("spool_file")
            guard let bytes else { return json.null() }
            json.object { json in
                json.member("path", bytes.path)
                json.key("bytes")
                if let count = bytes.count { json.value(count) } else { json.null() }
            }
        }
    }

    static func add(_ event: ParkedEvent, at now: Timestamp, to table: inout Table) {
        table.add(
            ParkedID(event).description, event.subject, event.type, "\(event.reason.attempts)",
            Quantity.age(milliseconds: age(event, now)), event.reason.errors.joined(separator: ": "))
    }

    /// Everything about one of them, for people.
    static func text(_ event: ParkedEvent, at now: Timestamp, _ bytes: SpoolBytes?) -> String {
        var lines = [
            "id         \(ParkedID(event))", "stage      \(event.group)",
            "session    \(event.partitionKey)",
            "event      \(event.type) \(event.eventID), sequence \(event.sequence)",
            "parked     \(ShortTime.text(event.reason.time)), "
                + "\(Quantity.age(milliseconds: age(event, now))) ago, after \(event.reason.attempts) tries",
        ]
        for (depth, error) in event.reason.errors.enumerated() {
            lines.append((depth == 0 ? "error      " : "  because  ") + error)
        }
        if let bytes {
            let state = bytes.count.map { Quantity.bytes($0) } ?? "not there any more"
            lines.append("bytes      \(bytes.path), \(state)")
        }
        lines.append("data       " + String(decoding: event.data, as: UTF8.self))
        return lines.map(Table.printable).joined(separator: "\n")
    }

    private static func age(_ event: ParkedEvent, _ now: Timestamp) -> Int {
        Int(clamping: max(0, now.milliseconds(since: event.reason.time)))
    }
}
