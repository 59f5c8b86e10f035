import Testing

@testable import MongoViews
import ReadModels

@Suite("BSON")
struct BSONTests {
    @Test("a document reads back as it was written")
    func roundTrip() throws {
        let document = BSONDocument { builder in
            builder.append("text", "Zürich \u{0} end")
            builder.append("narrow", int32: -7)
            builder.append("wide", int64: .min)
            builder.append("ratio", double: 0.375)
            builder.append("flag", true)
            builder.append("when", date_ms: Int64(1_700_000_000_123))
            builder.appendNull("nothing")
            builder.append("bytes", binary: [0, 255, 7])
            builder.append("inner") { $0.append("deep", "x") }
            builder.append("tags", array: ["a", ""])
        }
        let fields = try document.fields()
        #expect(try fields.string("text") == "Zürich \u{0} end")
        #expect(fields["narrow"] == .int32(-7))
        #expect(try fields.int("wide") == .min)
        #expect(try fields.double("ratio") == 0.375)
        #expect(try fields.bool("flag"))
        #expect(try fields.date_ms("when") == 1_700_000_000_123)
        #expect(fields.isNull("nothing") && fields.isNull("absent"))
        #expect(try fields.binary("bytes") == [0, 255, 7])
        #expect(try fields.document("inner").string("deep") == "x")
        #expect(try fields.strings("tags") == ["a", ""])
    }

    /// The worked example of bsonspec.org: `{"BSON": ["awesome", 5.05, 1986]}`.
    @Test("the bytes are those of the specification's example")
    func specificationExample() {
        let document = BSONDocument { builder in
            builder.append("BSON", array: [0, 1, 2]) { builder, key, index in
                switch index {
                case 0: builder.append(key, "awesome")
                case 1: builder.append(key, double: 5.05)
                default: builder.append(key, int32: 1986)
                }
            }
        }
        let expected: [UInt8] =
            [0x31, 0, 0, 0, 0x04] + Array("BSON".utf8) + [0, 0x26, 0, 0, 0, 0x02, 0x30, 0, 8, 0, 0, 0]
            + Array("awesome".utf8) + [0, 0x01, 0x31, 0, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x14, 0x40]
            + [0x10, 0x32, 0, 0xC2, 0x07, 0, 0, 0, 0]
        #expect(document.bytes == expected)
    }

    @Test("every truncation and every wrong length is refused")
    func damaged() {
        let whole = BSONDocument { builder in
            builder.append("s", "text")
            builder.append("b", binary: [1, 2, 3])
            builder.append("d", array: ["x", "y"])
            builder.append("n", int64: 5)
        }
        for count in 0..<whole.bytes.count {
            let cut = BSONDocument(bytes: Array(whole.bytes.prefix(count)))
            #expect(throws: BSONError.self) { try cut.fields() }
        }
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2_000 {
            var bytes = whole.bytes
            let place = Int.random(in: 0..<bytes.count, using: &generator)
            bytes[place] = UInt8.random(in: 0...255, using: &generator)
            // Any answer but a crash is right: most damage is refused, some only changes a value.
            _ = try? BSONDocument(bytes: bytes).fields()
        }
    }

    @Test("a field of another type is named")
    func wrongType() throws {
        let fields = try BSONDocument { $0.append("count", "three") }.fields()
        #expect(throws: BSONError.field("count")) { try fields.int("count") }
        #expect(throws: BSONError.field("absent")) { try fields.string("absent") }
    }
}
