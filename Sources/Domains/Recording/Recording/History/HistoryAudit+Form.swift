internal import Base
internal import EventSourcing

/// Whether a payload is one that Reel writes: with every member that its version has, in their order, and
/// none besides, derived figures included. Decoding is more generous, for the sake of versions to come.
extension HistoryAudit {
    mutating func requireForm(_ event: RecordedEvent, _ fact: RecordingEvent) {
        guard let difference = Self.difference(event, fact) else { return }
        note(.form, fact.subject, "\(fact.typeName) is not as it is written: \(difference)")
    }

    /// Members of versions that are read and no longer written.
    static let formerMembers: [String: [Int: Set<String>]] = [
        "ChunkFailed": [1: ["chunk_id", "session_id", "sequence_number", "stage", "attempts", "error"]],
        "ChunkRecorded": [
            1: [
                "chunk_id", "session_id", "sequence_number", "size_bytes", "content_digest", "key_id",
                "cipher", "codec", "timestamp", "duration_seconds", "frame_count", "spool_path",
            ]
        ],
    ]

    private static func difference(_ event: RecordedEvent, _ fact: RecordingEvent) -> String? {
        let version = event.event.version
        let isWritten = (1...FormatLevel.newest.number).contains { number in
            FormatLevel(number).flatMap { fact.version(at: $0) } == version
        }
        guard isWritten else {
            guard let known = formerMembers[event.type]?[version] else {
                return "version \(version) was never written"
            }
            let found = (try? JSONValue(parsing: event.data))?.members?.map(\.name) ?? []
            return found.first { !known.contains($0) }.map { "\($0.prefix(80)) is none of its members" }
        }
        var writer = JSONWriter(reserving: event.data.count)
        fact.encode(version, into: &writer)
        if writer.bytes == event.data { return nil }
        guard let found = (try? JSONValue(parsing: event.data))?.members,
            let written = (try? JSONValue(parsing: writer.bytes))?.members
        else { return "it is no object" }
        if found == written { return nil }
        for (place, member) in found.enumerated() {
            guard written.indices.contains(place), written[place] == member else {
                return "at \"\(member.name.prefix(80))\""
            }
        }
        return "\(written[found.count].name) is missing"
    }
}
