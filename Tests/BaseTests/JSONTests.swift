import Base
import Testing

@Suite("JSON")
struct JSONTests {
    private static let sample =
        #"{"a":[1,-2.5e3,true,false,null,"x\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"],"b":{"c":{}},"d":[]}"#

    @Test("every kind of value is read")
    func reads() throws {
        let value = try JSONValue(parsing: Array(Self.sample.utf8))
        #expect(
            value["a"]?.array == [
                .integer(1), .number(-2500), .bool(true), .bool(false), .null,
                .string("x\"\\/\u{8}\u{c}\n\r\té\u{1F600}"),
            ])
        #expect(value["b"]?["c"]?.members?.isEmpty == true)
        #expect(value["d"]?.array?.isEmpty == true)
        #expect(value["e"] == nil)
    }

    @Test("every truncation is refused")
    func truncations() {
        let bytes = Array(Self.sample.utf8)
        for length in 0..<bytes.count {
            #expect(throws: JSONError.self, "\(length)") { try JSONValue(parsing: Array(bytes[..<length])) }
        }
    }

    @Test(
        "what is not JSON, or is not unique, is refused",
        arguments: [
            "01", "-", "+1", "1.", ".5", "1e", "1e+", "0x1", "1e999", "NaN", "Infinity", "tru", "nul", "True",
            "'a'", "{a:1}", "{\"a\":1,}", "[1,]", "[1 2]", "{\"a\" 1}", "{\"a\":1 \"b\":2}",
            "{\"a\":1,\"a\":2}",
            "\"\u{1}\"", "\"\\x\"", "\"\\u12g4\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "1 2",
            "]",
            "{}{}", "\u{feff}{}", "[1]//", "{\"\\u0061\":1,\"a\":2}",
        ])
    func refused(text: String) {
        #expect(throws: JSONError.self) { try JSONValue(parsing: Array(text.utf8)) }
    }

    @Test(
        "bytes that are not UTF-8 are refused",
        arguments: [[0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22]] as [[UInt8]]
    )
    func notUTF8(bytes: [UInt8]) {
        #expect(throws: JSONError.self) { try JSONValue(parsing: bytes) }
    }

    @Test("nesting is bounded: no text overflows the stack")
    func depth() throws {
        func nested(_ depth: Int) -> [UInt8] {
            Array(repeating: 0x5B, count: depth) + Array(repeating: 0x5D, count: depth)
        }
        _ = try JSONValue(parsing: nested(32))
        #expect(throws: JSONError.self) { try JSONValue(parsing: nested(33)) }
        #expect(throws: JSONError.self) { try JSONValue(parsing: Array(repeating: 0x5B, count: 1_000_000)) }
        _ = try JSONValue(parsing: Array("[[[]],[[]],[[]]]".utf8), maximumDepth: 3)
    }

    @Test("integers keep all 64 bits; what is larger becomes a number")
    func integers() throws {
        #expect(try JSONValue(parsing: Array("9223372036854775807".utf8)) == .integer(.max))
        #expect(try JSONValue(parsing: Array("-9223372036854775808".utf8)) == .integer(.min))
        #expect(
            try JSONValue(parsing: Array("9223372036854775808".utf8)) == .number(9_223_372_036_854_775_808))
        #expect(try JSONValue(parsing: Array("1.0".utf8)) == .number(1))
    }

    @Test("numbers are read as the nearest double, short and long ones alike")
    func decimals() throws {
        for _ in 0..<2000 {
            let sign = Bool.random() ? "-" : ""
            let whole = String(Int64.random(in: 0...(Bool.random() ? 999 : 99_999_999_999)))
            let decimals = (0..<Int.random(in: 1...12)).map { _ in String(Int.random(in: 0...9)) }.joined()
            let text = "\(sign)\(whole).\(decimals)"
            let number = try #require(Double(text))
            #expect(
                try JSONValue(parsing: Array(text.utf8)).number?.bitPattern == number.bitPattern, "\(text)")
        }
        #expect(try JSONValue(parsing: Array("-0.0".utf8)).number?.sign == .minus)
        #expect(try JSONValue(parsing: Array("-0".utf8)) == .integer(0))
    }

    @Test("a name that stands twice is found among many")
    func names() throws {
        let names = (0..<200).map { "name-\($0)" }
        func text(_ names: [String]) -> [UInt8] {
            Array("{\(names.map { "\"\($0)\":1" }.joined(separator: ","))}".utf8)
        }
        #expect(try JSONValue(parsing: text(names)).members?.map(\.name) == names)
        for place in names.indices {
            #expect(throws: JSONError.self) { try JSONValue(parsing: text(names + [names[place]])) }
        }
        #expect(throws: JSONError.self) { try JSONValue(parsing: text(["name", "n\\u0061me"])) }
        #expect(throws: JSONError.self) { try JSONValue(parsing: text(["n\\u0061me", "name"])) }
    }

    @Test("the writer sets commas, escapes as RFC 8785 does, and has no words for infinities")
    func writes() {
        var writer = JSONWriter()
        writer.object { json in
            json.member("text", "a\"\\\u{8}\t\n\u{c}\r\u{1}\u{7f}é/\u{1F600}")
            json.member("absent", String?.none)
            json.member("list", ["x", "y"])
            json.key("numbers")
            json.array {
                $0.value(-5)
                $0.value(0.1)
                $0.value(2.0)
                $0.value(Double.infinity)
            }
            json.member("flag", false)
            json.member("time", Timestamp(milliseconds: 0))
            json.member("inner", object: { $0.member("n", 1) })
        }
        #expect(
            writer.text == #"{"text":"a\"\\\b\t\n\f\r\u0001"# + "\u{7f}é/\u{1F600}"
                + #"","list":["x","y"],"numbers":[-5,0.1,2,null],"flag":false,"#
                + #""time":"1970-01-01T00:00:00.000Z","inner":{"n":1}}"#)
        writer.removeAll()
        writer.value(1)
        #expect(writer.text == "1")
    }

    @Test("random values: reading what was written gives the same")
    func roundTrip() throws {
        for _ in 0..<500 {
            let value = random(depth: 4)
            var writer = JSONWriter()
            write(value, &writer)
            #expect(try JSONValue(parsing: writer.bytes) == value, "\(writer.text)")
        }
    }

    private func random(depth: Int) -> JSONValue {
        switch Int.random(in: 0..<(depth > 0 ? 7 : 5)) {
        case 0: return .null
        case 1: return .bool(.random())
        case 2: return .integer(.random(in: .min ... .max))
        case 3: return .number(Double.random(in: -1...1) + 0.123)
        case 4: return .string(text())
        case 5: return .array((0..<Int.random(in: 0...4)).map { _ in random(depth: depth - 1) })
        default:
            var members: [String: JSONValue] = [:]
            for _ in 0..<Int.random(in: 0...4) { members[text()] = random(depth: depth - 1) }
            var writer = JSONWriter()
            writer.object { json in
                for (name, value) in members {
                    json.key(dynamic: name)
                    write(value, &json)
                }
            }
            return (try? JSONValue(parsing: writer.bytes)) ?? .null
        }
    }

    private func text() -> String {
        String(
            String.UnicodeScalarView(
                (0..<Int.random(in: 0...8)).compactMap { _ in
                    Unicode.Scalar(UInt32.random(in: 0...(Bool.random() ? 0x7F : 0x10FFFF)))
                }))
    }

    private func write(_ value: JSONValue, _ writer: inout JSONWriter) {
        switch value {
        case .null: writer.null()
        case .bool(let flag): writer.value(flag)
        case .integer(let integer): writer.value(integer)
        case .number(let number): writer.value(number)
        case .string(let string): writer.value(string)
        case .array(let elements): writer.array { for element in elements { write(element, &$0) } }
        case .object(let members):
            writer.object { json in
                for member in members {
                    json.key(dynamic: member.name)
                    write(member.value, &json)
                }
            }
        }
    }
}
