import Glibc
import Testing

@testable import Supervision

@Suite("The embedded mongod")
struct MongoTests {
    @Test func itsReplicaSetFollowsItToAnotherPort() throws {
        let scratch = Scratch()
        let first = EmbeddedMongo(folder: scratch.path, port: try Loopback.freePort())
        let child = try first.start()
        #expect(first.probe() == .ready)
        #expect(child.terminate(withinMilliseconds: 20_000) == .exited(0))
        let moved = EmbeddedMongo(folder: scratch.path, port: try Loopback.freePort())
        let again = try moved.start()
        #expect(moved.probe() == .ready)
        again.terminate(withinMilliseconds: 20_000)
        #expect(moved.probe() != .ready)
    }

    @Test func documentsAreWrittenByteForByte() {
        let fields: [BSON.Field] = [
            .init("a", .int32(1)), .init("b", .string("é")), .init("c", .array([.bool(true), .null])),
        ]
        let bytes: [[UInt8]] = [
            [37, 0, 0, 0],
            [0x10, 0x61, 0, 1, 0, 0, 0],
            [0x02, 0x62, 0, 3, 0, 0, 0, 0xc3, 0xa9, 0],
            [0x04, 0x63, 0, 12, 0, 0, 0, 0x08, 0x30, 0, 1, 0x0a, 0x31, 0, 0],
            [0],
        ]
        #expect(BSON.encode(fields) == Array(bytes.joined()))
    }

    private let example: [BSON.Field] = [
        .init("double", .double(1.5)), .init("text", .string("")), .init("yes", .bool(true)),
        .init("inner", .document([.init("big", .int64(.min)), .init("none", .null)])),
        .init("list", .array([.int32(-1), .array([]), .document([])])),
    ]

    @Test func whatIsWrittenIsReadAgain() throws {
        #expect(try BSON.decode(BSON.encode(example)[...]) == .document(example))
    }

    @Test func everyTruncationIsRefused() {
        let bytes = BSON.encode(example)
        for length in 0..<bytes.count {
            #expect(throws: BSON.Malformed.self) { try BSON.decode(bytes[..<length]) }
        }
        #expect(throws: BSON.Malformed.self) { try BSON.decode((bytes + [0])[...]) }
    }

    private func filled(_ type: UInt8, _ name: UInt8, _ count: Int) -> [UInt8] {
        [type, name, 0] + [UInt8](repeating: 1, count: count)
    }

    @Test func typesWeDoNotNeedAreSkipped() throws {
        // Binary, object id, date, timestamp, decimal; then an int32 that must still be found.
        let fields: [[UInt8]] = [
            [0x05, 0x61, 0, 2, 0, 0, 0, 0, 9, 9], filled(0x07, 0x62, 12),
            [0x09, 0x63, 0] + [UInt8](repeating: 1, count: 8),
            [0x11, 0x64, 0] + [UInt8](repeating: 1, count: 8),
            [0x10, 0x66, 0, 5, 0, 0, 0],
        ]
        let body: [UInt8] = Array(fields.joined()) + [0]
        let head: [UInt8] = [UInt8(body.count + 4), 0, 0, 0]
        let document = try BSON.decode((head + body)[...])
        #expect(document["f"]?.number == 5)
        #expect(document["a"] == .other(5))
        #expect(throws: BSON.Malformed.self) { try BSON.decode([8, 0, 0, 0, 0x7f, 0x61, 0, 0]) }
    }
}
