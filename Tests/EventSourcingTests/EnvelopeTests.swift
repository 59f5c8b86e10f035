import Base
import EventSourcing
import Testing

@Suite("Envelope and places")
struct EnvelopeTests {
    @Test(
        "partitions follow the contract (vectors from another implementation of SHA-256)",
        arguments: [
            ("", [0, 4, 20, 3092, 1]), ("sess-01ARZ3NDEKTSV4RRFFQ69G5FAV", [0, 2, 226, 2786, 1]),
            ("a", [0, 10, 202, 3530, 4]), ("ü", [0, 4, 36, 1828, 2]), ("sess-1", [0, 8, 88, 1880, 1]),
        ])
    func partitions(key: String, wanted: [Int]) throws {
        for (count, partition) in zip([1, 16, 256, 4096, 7], wanted) {
            #expect(try #require(Partitioning(count: count)).partition(of: key) == partition)
        }
    }

    @Test("a log has 1...4096 partitions")
    func partitionCounts() {
        for count in [0, -1, 4097] { #expect(Partitioning(count: count) == nil) }
        #expect(Partitioning(count: 4096)?.count == 4096)
    }

    @Test("positions are written and read, and sort by partition, time and counter")
    func positions() {
        let position = LogPosition(partition: 7, milliseconds: 1_700_000_000_000, counter: 12)
        #expect(position.description == "p007/1700000000000-12")
        #expect(LogPosition("p007/1700000000000-12") == position)
        #expect(LogPosition("p1234/1-0")?.partition == 1234)
        #expect(LogPosition.partitionName(1234) == "p1234")
        for text in [
            "", "p", "007/1-0", "p007", "p007/", "p007/1", "p007/1-", "p007/-1-0", "p007/1-0-0", "px/1-0",
            "p-1/1-0",
        ] {
            #expect(LogPosition(text) == nil, "\(text)")
        }
        let ordered = [(0, 5, 0), (0, 5, 1), (0, 6, 0), (0, 10, 0), (1, 1, 0)].map {
            LogPosition(partition: $0.0, milliseconds: UInt64($0.1), counter: UInt64($0.2))
        }
        #expect(ordered.shuffled().sorted() == ordered)
        #expect(LogPosition.start(of: 3) < LogPosition(partition: 3, milliseconds: 0, counter: 1))
    }

    @Test("ULIDs carry their time in front, sort by it, and are unique")
    func ulids() {
        #expect(ULID.make(at: Timestamp(milliseconds: 1_469_918_176_385)).hasPrefix("01ARYZ6S41"))
        let alphabet = Set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
        var ids: [String] = []
        for step in 0..<2000 {
            let id = ULID.make(at: Timestamp(milliseconds: 1_700_000_000_000 + Int64(step) * 997))
            #expect(id.count == 26)
            #expect(Set(id).isSubset(of: alphabet))
            ids.append(id)
        }
        #expect(ids == ids.sorted())
        let same = (0..<2000).map { _ in ULID.make(at: Timestamp(milliseconds: 5)) }
        #expect(Set(same).count == same.count)
    }

    private func event(data: String = #"{"a":1}"#) -> ProposedEvent {
        ProposedEvent(
            id: "sess-1-chunk-000001/ChunkSealed", type: "ChunkSealed", version: 2,
            subject: "sess-1-chunk-000001", time: Timestamp(milliseconds: 1_700_000_000_123),
            context: EventContext(
                source: "/reel/processor", actor: .system("processor"), correlationID: "c\"1"),
            data: Array(data.utf8))
    }

    @Test("the body digest covers type, version, subject and payload, and nothing else")
    func bodyDigest() {
        let hex = event().bodyDigest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        #expect(hex == "9103a92151ecee4f559a6014fb255bac0fcc1566649f4c46f5c2dc5143555990")
        var same = event()
        same.time = Timestamp(milliseconds: 0)
        same.context = EventContext(source: "/other", actor: .system("x"))
        #expect(same.bodyDigest == event().bodyDigest)
        var others = Array(repeating: event(), count: 4)
        others[0].type = "ChunkStored"
        others[1].version = 3
        others[2].subject = "sess-2"
        others[3].data = Array(#"{"a":2}"#.utf8)
        for other in others { #expect(other.bodyDigest != event().bodyDigest) }
    }

    @Test("an event in CloudEvents JSON form, byte for byte")
    func cloudEvent() throws {
        let recorded = RecordedEvent(
            event: event(), partitionKey: "sess-1", sequence: 42,
            position: LogPosition(partition: 0, milliseconds: 1, counter: 0))
        var writer = JSONWriter()
        recorded.encodeCloudEvent(into: &writer)
        #expect(
            writer.text == #"{"id":"sess-1-chunk-000001/ChunkSealed","type":"ChunkSealed","#
                + #""source":"/reel/processor","specversion":"1.0","subject":"sess-1-chunk-000001","#
                + #""time":"2023-11-14T22:13:20.123Z","dataschema":"urn:reel:event:ChunkSealed:2","#
                + #""datacontenttype":"application/json","partitionkey":"sess-1","sequence":"000000000042","#
                + #""authtype":"system","authid":"processor","correlationid":"c\"1","data":{"a":1}}"#)
        #expect(try JSONValue(parsing: writer.bytes)["data"]?["a"]?.integer == 1)
    }

    @Test("what an event causes keeps its correlation and trace, and names it as cause")
    func causes() {
        let mine = EventContext(source: "/reel/x", actor: .system("x"))
        var cause = RecordedEvent(
            event: event(), partitionKey: "s", sequence: 1, position: .start(of: 0))
        cause.event.context.traceparent = "00-t"
        #expect(mine.caused(by: cause).correlationID == "c\"1")
        #expect(mine.caused(by: cause).causationID == cause.id)
        #expect(mine.caused(by: cause).traceparent == "00-t")
        #expect(mine.caused(by: cause).source == "/reel/x")
        cause.event.context.correlationID = ""
        #expect(mine.caused(by: cause).correlationID == cause.id)
    }

    @Test("what breaks a limit of the log is invalid")
    func limits() throws {
        try AppendBatch(to: "s", expecting: .any, [event()]).requireWithinLimits()
        for data in ["", "[1]", "{", " {}", "{} "] {
            let failure = #expect(throws: LogFailure.self, "\(data)") {
                try AppendBatch(to: "s", expecting: .any, [event(data: data)]).requireWithinLimits()
            }
            #expect(failure?.kind == .invalid)
        }
    }
}
