import Base
import EventSourcing
import Recording
import Simulation
import Testing

@Suite("Properties of event payloads")
struct EventPropertyTests {
    @Test("Decoding what was encoded gives the same event")
    func roundTrip() throws {
        let seed = testSeed("decode(encode(x)) = x")
        var random = RandomEvents(seed: seed)
        var seen: Set<String> = []
        for number in 0..<4000 {
            let event = random.event()
            seen.insert(event.typeName)
            var writer = JSONWriter()
            let version = try event.newestVersion
            event.encode(version, into: &writer)
            let data = try JSONValue(parsing: writer.bytes)
            let back = try RecordingEvent(type: event.typeName, version: version, data: data)
            try #require(back == event, "event \(number) of seed \(seed): \(writer.text)")
        }
        #expect(seen == RecordingEvent.typeNames)
    }

    @Test("Encoding is a function: the same event, the same bytes")
    func deterministic() throws {
        let seed = testSeed("encode(decode(encode(x))) = encode(x)")
        var random = RandomEvents(seed: seed)
        for _ in 0..<1000 {
            let event = random.event()
            var first = JSONWriter()
            let version = try event.newestVersion
            event.encode(version, into: &first)
            let data = try JSONValue(parsing: first.bytes)
            var second = JSONWriter()
            try RecordingEvent(type: event.typeName, version: version, data: data)
                .encode(version, into: &second)
            try #require(first.bytes == second.bytes, "seed \(seed)")
        }
    }

    @Test("Encoders write the members of the schema, every required one, and no other")
    func membersOfTheSchema() throws {
        let seed = testSeed("members of the schema")
        var random = RandomEvents(seed: seed)
        var schemas: [String: JSONValue] = [:]
        for item in TypeVersion.all where item.isNewest {
            schemas[item.type] = try Repository.schema(of: item.type, version: item.version)
        }
        for _ in 0..<2000 {
            var event = random.event()
            if case .chunk(.stored(var payload)) = event {
                // Storing without a place is not a thing that happens.
                payload.path = payload.path ?? "x"
                event = .chunk(.stored(payload))
            }
            var writer = JSONWriter()
            let version = try event.newestVersion
            event.encode(version, into: &writer)
            let data = try JSONValue(parsing: writer.bytes)
            let schema = try #require(schemas[event.typeName])
            try compare(data, with: schema, place: event.typeName)
        }
    }

    private func compare(_ data: JSONValue, with schema: JSONValue, place: String) throws {
        let names = Set((data.members ?? []).map(\.name))
        let known = Set((schema["properties"]?.members ?? []).map(\.name))
        let required = Set((schema["required"]?.array ?? []).compactMap(\.string))
        try #require(names.isSubset(of: known), "\(place): \(names.subtracting(known))")
        try #require(required.isSubset(of: names), "\(place): \(required.subtracting(names)) missing")
        for member in data.members ?? [] {
            guard case .object = member.value, let inner = schema["properties"]?[member.name] else {
                continue
            }
            try compare(member.value, with: inner, place: "\(place).\(member.name)")
        }
    }

    @Test("A chunk number below 1 is refused", arguments: [Int64.min, -1, 0])
    func chunkNumbers(number: Int64) throws {
        let members =
            #""chunk_id":"c","session_id":"s","sequence_number":\#(number)"#
        let data = try JSONValue(parsing: Array("{\(members)}".utf8))
        #expect(throws: MalformedEvent.self) {
            try RecordingEvent(type: "ChunkDeleted", version: 1, data: data)
        }
    }

    @Test("A session starts into starting or recording, nothing else", arguments: SessionStatus.allCases)
    func startedStatuses(status: SessionStatus) throws {
        let json = #"{"session_id":"s","status":"\#(status.rawValue)"}"#
        let data = try JSONValue(parsing: Array(json.utf8))
        let event = try? RecordingEvent(type: "SessionStarted", version: 1, data: data)
        #expect((event != nil) == (status == .starting || status == .recording))
    }

    @Test("Chunk ids keep within their bound, and tell sessions apart", arguments: [1, 84, 85, 86, 99, 100])
    func chunkIDs(length: Int) {
        let session = String(repeating: "s", count: length - 1) + "1"
        let twin = String(repeating: "s", count: length - 1) + "2"
        for number in [1, 7, 999_999, 1_000_000, 99_999_999] {
            let id = ChunkReference(sessionID: session, sequenceNumber: number).chunkID
            #expect(Identifier.isValid(id))
            #expect(id != ChunkReference(sessionID: twin, sequenceNumber: number).chunkID)
            #expect(id.hasSuffix(number < 1_000_000 ? "-chunk-\(padded(number))" : "-chunk-\(number)"))
            if length <= 85 { #expect(id.hasPrefix("\(session)-chunk-")) }
        }
    }

    private func padded(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: 6 - digits.count) + digits
    }

    @Test("Unknown types, and payloads that are no object, are refused")
    func unknown() throws {
        let object = try JSONValue(parsing: Array(#"{"session_id":"s"}"#.utf8))
        for type in ["", "sessionPaused", "SessionPausedTwice", "ChunkMoved"] {
            #expect(throws: MalformedEvent.self) {
                try RecordingEvent(type: type, version: 1, data: object)
            }
        }
        for text in ["null", "[]", "7", #""text""#, "true"] {
            let value = try JSONValue(parsing: Array(text.utf8))
            for type in RecordingEvent.typeNames {
                #expect(throws: MalformedEvent.self) {
                    try RecordingEvent(type: type, version: 1, data: value)
                }
            }
        }
    }
}
