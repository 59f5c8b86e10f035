import Base
import EventSourcing
import Recording
import Simulation
import Testing

@Suite("Records of the audit trail")
struct AuditRecordTests {
    private static let session = "sess-01JD3XQ4N8V7Z2M5K9R6T0W1YB"

    /// What the golden file of version 1 holds, line by line.
    private static let samples = [
        AuditRecord(
            .chunkDownload, on: AuditResource(.chunk, id: "\(session)-chunk-000007"), session: session,
            outcome: .allowed, statusCode: 206, reason: "case 4711",
            actor: AuditActor(type: .user, subject: "m.keller", roles: ["auditor", "session_viewer"]),
            address: "192.0.2.7", requestID: "req-81c2", userAgent: "curl/8.5.0 \u{1B}[31m",
            details: ["token": "eyJhbGciOi", "form": "original"]),
        AuditRecord(
            .authenticate, on: AuditResource(.other), outcome: .denied, statusCode: 401,
            actor: .unauthenticated, address: "2001:db8::1", requestID: "req-81c3"),
        AuditRecord(
            .auditDropped, on: AuditResource(.audit), outcome: .failed,
            actor: AuditActor(type: .system, subject: "audit"), details: ["count": "20"]),
    ]

    /// What the golden file of version 2 holds, line by line.
    private static let newSamples = [
        AuditRecord(
            .mediaDownload, on: AuditResource(.session, id: session), session: session, outcome: .allowed,
            statusCode: 206, reason: "subpoena of 3 March",
            actor: AuditActor(type: .user, subject: "m.keller", roles: ["auditor"]),
            address: "192.0.2.7", requestID: "req-81c2", userAgent: "curl/8.5.0",
            changed: ["name", "metadata.owner"], sessionSequence: 42,
            range: AuditRange(first: 0, last: 1_023, length: 65_536), caseName: "2026-117",
            details: ["form": "original"]),
        AuditRecord(
            .sessionUpdate, on: AuditResource(.session, id: session), session: session, outcome: .allowed,
            statusCode: 200, actor: AuditActor(type: .user, subject: "m.keller", roles: ["admin"]),
            changed: ["metadata.owner"], sessionSequence: 9_007_199_254_740_991),
        AuditRecord(
            .auditDropped, on: AuditResource(.audit), outcome: .failed,
            actor: AuditActor(type: .system, subject: "audit"), details: ["count": "20"]),
    ]

    private static func samples(_ version: Int) -> [AuditRecord] { version == 1 ? samples : newSamples }

    private static func line(_ number: Int, _ version: Int) -> [UInt8] {
        let record = samples(version)[number]
        let context = EventContext(
            source: "/reel/gateway", actor: record.actor.envelope,
            traceparent: number == 0 ? "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" : "",
            correlationID: record.requestID ?? "")
        let event = ProposedEvent(
            record, id: "01JD3XQ4N8V7Z2M5K9R6T0W1Y\(number + 1)",
            time: Timestamp(milliseconds: 1_769_904_000_000), context: context, version: version)
        var writer = JSONWriter()
        RecordedEvent(
            event: event, partitionKey: AuditRecord.historyKey("01JD3XQ4N8V7Z2M5K9R6T0W1YA", 1),
            sequence: UInt64(number + 1), position: .start(of: 0)
        ).encodeCloudEvent(into: &writer)
        return writer.bytes
    }

    @Test("encoding writes the golden bytes, and decoding reads them", arguments: [1, 2])
    func golden(version: Int) throws {
        let lines = try Repository.goldenLines(of: "AuditRecorded", version: version)
        let samples = Self.samples(version)
        #expect(lines.count == samples.count)
        for (number, line) in lines.enumerated() {
            let written = String(decoding: Self.line(number, version), as: UTF8.self)
            #expect(written == String(decoding: line, as: UTF8.self))
            let data = try #require(try JSONValue(parsing: line)["data"])
            #expect(try AuditRecord(type: "AuditRecorded", version: version, data: data) == samples[number])
            for version in [0, 3] {
                #expect(throws: MalformedEvent.self) {
                    try AuditRecord(type: "AuditRecorded", version: version, data: data)
                }
            }
            #expect(throws: MalformedEvent.self) {
                try AuditRecord(type: "Other", version: version, data: data)
            }
        }
    }

    @Test("As long as an earlier version may read along, records are written as it reads them")
    func levels() throws {
        #expect(AuditRecord.version(at: .first) == 1)
        #expect(AuditRecord.version(at: .newest) == 2)
        var writer = JSONWriter()
        Self.newSamples[0].encode(1, into: &writer)
        let old = try AuditRecord(
            type: "AuditRecorded", version: 1, data: try JSONValue(parsing: writer.bytes))
        #expect(
            old.details == [
                "form": "original", "changed": "name metadata.owner", "session_sequence": "42",
                "range": "0-1023/65536", "case": "2026-117",
            ])
        let schema = try Repository.schema(of: "AuditRecorded")
        let written = try JSONValue(parsing: writer.bytes).members?.map(\.name) ?? []
        #expect(Set(written).isSubset(of: Set(schema["properties"]?.members?.map(\.name) ?? [])))
    }

    @Test("a member that is missing or of another type is refused")
    func damaged() throws {
        let required = [
            ["action"], ["resource_type"], ["outcome"], ["actor"], ["details"], ["actor", "type"],
            ["actor", "roles"], ["range", "first"], ["range", "last"], ["range", "length"],
        ]
        for line in try Repository.goldenLines(of: "AuditRecorded", version: 2) {
            let data = try #require(try JSONValue(parsing: line)["data"])
            for path in data.memberPaths {
                let isNumber =
                    path.count == 2 && path[0] == "range"
                    || ["status_code", "session_sequence"].contains(path[0])
                let wrong = data.replacing(path[...], with: isNumber ? .string("7") : .integer(7))
                #expect(throws: MalformedEvent.self, "\(path) of another type") {
                    try AuditRecord(type: "AuditRecorded", version: 2, data: wrong)
                }
                guard required.contains(path) else { continue }
                for replacement in [nil, JSONValue.null] {
                    #expect(throws: MalformedEvent.self, "\(path) missing") {
                        try AuditRecord(
                            type: "AuditRecorded", version: 2,
                            data: data.replacing(path[...], with: replacement))
                    }
                }
            }
        }
    }

    @Test("the schema is closed, described, and knows the same words as the code")
    func schema() throws {
        let schema = try Repository.schema(of: "AuditRecorded", version: 2)
        #expect(schema["$id"]?.string == "urn:reel:event:AuditRecorded:2")
        #expect(schema["additionalProperties"] == .bool(false))
        let properties = try #require(schema["properties"]?.members)
        #expect(properties.allSatisfy { $0.value["description"]?.string?.isEmpty == false })
        func words(_ path: String...) -> [String] {
            var value: JSONValue? = schema
            for name in path { value = value?["properties"]?[name] }
            return (value?["enum"]?.array ?? []).compactMap(\.string)
        }
        #expect(Set(words("resource_type")) == Set(AuditResource.Kind.allCases.map(\.rawValue)))
        #expect(Set(words("outcome")) == Set(AuditOutcome.allCases.map(\.rawValue)))
        #expect(Set(words("actor", "type")) == Set(AuditActor.Kind.allCases.map(\.rawValue)))
        var writer = JSONWriter()
        Self.newSamples[0].encode(2, into: &writer)
        let written = try JSONValue(parsing: writer.bytes)
        #expect(Set(written.members?.map(\.name) ?? []) == Set(properties.map(\.name)))
    }

    @Test("whatever comes in is bounded, and fits what the log takes")
    func bounds() throws {
        let long = String(repeating: "\u{1F600}", count: 5_000)
        let record = AuditRecord(
            .sessionRead, on: AuditResource(.session, id: long), session: long, outcome: .denied,
            statusCode: 70_000, reason: long,
            actor: AuditActor(type: .user, subject: long, roles: Array(repeating: long, count: 100)),
            address: long, requestID: long, userAgent: long, changed: Array(repeating: long, count: 100),
            sessionSequence: .max, range: AuditRange(first: 0, last: 1, length: 2), caseName: long,
            details: Dictionary((0..<100).map { ("\($0)\(long)", long) }, uniquingKeysWith: { $1 }))
        let lengths = [
            record.resource.id, record.sessionID, record.reason, record.actor.subject, record.address,
            record.requestID, record.userAgent, record.changed.first, record.caseName,
        ]
        .map { $0?.unicodeScalars.count }
        #expect(lengths == [100, 100, 500, 128, 64, 128, 256, 64, 100])
        #expect(record.changed.count == 32 && record.sessionSequence == nil)
        #expect(record.actor.roles.count == 16 && record.statusCode == 999 && record.details.count == 16)
        let event = ProposedEvent(
            record, id: "1", time: Timestamp(milliseconds: 0),
            context: EventContext(source: "/", actor: record.actor.envelope),
            version: AuditRecord.version(at: .newest))
        try AppendBatch(to: AuditRecord.historyKey("x", 1), expecting: .any, [event]).requireWithinLimits()
        #expect(!record.subject.isEmpty)
    }

    @Test("control characters reach nobody, and secrets are withheld whatever they are called")
    func cleaned() {
        let record = AuditRecord(
            .sessionRead, on: AuditResource(.session, id: "a\r\nb"), outcome: .failed,
            reason: "\u{202E}x\u{9B}",
            actor: AuditActor(type: .user, subject: "a\u{0}b"), userAgent: "",
            details: ["Password": "hunter2", "rdp_password": "x", "Authorization": "Bearer y", "bytes": "7"])
        #expect(record.resource.id == "a\u{FFFD}\u{FFFD}b")
        #expect(record.reason == "\u{FFFD}x\u{FFFD}")
        #expect(record.actor.subject == "a\u{FFFD}b")
        #expect(record.userAgent == nil)
        #expect(record.details.filter { $0.value != "(withheld)" } == ["bytes": "7"])
    }

    @Test("A range is a part of a whole, of numbers that every reader keeps")
    func ranges() {
        let most: UInt64 = (1 << 53) - 1
        #expect(AuditRange(first: 0, last: most - 1, length: most) != nil)
        for (first, last, length): (UInt64, UInt64, UInt64) in [
            (1, 0, 5), (0, 5, 5), (0, 0, 0), (0, 0, most + 1), (.max, .max, .max),
        ] {
            #expect(AuditRange(first: first, last: last, length: length) == nil)
        }
    }

    @Test("actions are words between dots")
    func actions() {
        for word in ["session.start", "a", "a_b.c_d.e"] {
            #expect(AuditAction(rawValue: word)?.rawValue == word)
        }
        let bad = [
            "", ".", "a.", ".a", "a..b", "A.b", "a b", "a-b", "_a", "a.1", String(repeating: "a", count: 65),
        ]
        for word in bad { #expect(AuditAction(rawValue: word) == nil, "\(word)") }
        #expect(!Identifier.isValid(AuditRecord.historyKey("x", 1)))
        #expect(AuditRecord.isHistory(AuditRecord.historyKey("x", 1)) && !AuditRecord.isHistory("audit-x"))
    }
}
