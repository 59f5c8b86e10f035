import Base
import Testing

@Suite("Timestamps")
struct TimestampTests {
    @Test(
        "known values, both ways",
        arguments: [
            ("1970-01-01T00:00:00.000Z", 0), ("2000-02-29T23:59:59.000Z", 951_868_799_000),
            ("2026-11-21T00:00:00.000Z", 1_795_219_200_000), ("1969-12-31T23:59:59.000Z", -1000),
            ("1969-12-31T23:59:59.999Z", -1), ("0001-01-01T00:00:00.000Z", -62_135_596_800_000),
            ("9999-12-31T23:59:59.000Z", 253_402_300_799_000),
            ("1900-03-01T00:00:00.000Z", -2_203_891_200_000),
            ("2100-02-28T12:00:00.000Z", 4_107_499_200_000), ("2400-02-29T00:00:00.000Z", 13_574_563_200_000),
        ] as [(String, Int64)])
    func known(text: String, milliseconds: Int64) {
        #expect(Timestamp(milliseconds: milliseconds).rfc3339 == text)
        #expect(Timestamp(rfc3339: text)?.milliseconds == milliseconds)
    }

    @Test("other spellings of one moment are read")
    func spellings() {
        let moment = Timestamp(rfc3339: "2026-01-31T23:59:59.120Z")
        #expect(moment != nil)
        for text in [
            "2026-01-31T23:59:59.12Z", "2026-01-31t23:59:59.120999z", "2026-02-01T05:29:59.12+05:30",
            "2026-01-31T15:59:59.1200-08:00", "2026-01-31T23:59:59.120+00:00",
        ] { #expect(Timestamp(rfc3339: text) == moment, "\(text)") }
    }

    @Test(
        "everything else is refused",
        arguments: [
            "", "2026-01-31", "2026-01-31 23:59:59Z", "2026-01-31T23:59:59", "2026-01-31T23:59:59.Z",
            "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-00-10T00:00:00Z", "2026-13-10T00:00:00Z",
            "2026-01-00T00:00:00Z", "2026-04-31T00:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31T23:60:00Z",
            "2026-01-31T23:59:60Z", "2026-01-31T23:59:59Zx", "2026-01-31T23:59:59+0530",
            "2026-01-31T23:59:59+24:00", "2026-01-31T23:59:59+05:60", "２026-01-31T23:59:59Z",
        ])
    func refused(text: String) { #expect(Timestamp(rfc3339: text) == nil) }

    @Test("every truncation is refused")
    func truncations() {
        for text in ["2026-01-31T23:59:59.123Z", "2026-01-31T23:59:59.123+05:30"] {
            for length in 0..<text.count {
                #expect(Timestamp(rfc3339: String(text.prefix(length))) == nil, "\(text.prefix(length))")
            }
        }
    }

    @Test("random times: reading what was written gives the same, and text sorts as time does")
    func roundTrip() {
        var last: (Int64, String)?
        for _ in 0..<5000 {
            let milliseconds = Int64.random(in: -62_167_219_200_000...253_402_300_799_999)
            let text = Timestamp(milliseconds: milliseconds).rfc3339
            #expect(Timestamp(rfc3339: text)?.milliseconds == milliseconds, "\(milliseconds)")
            if let last { #expect((last.0 < milliseconds) == (last.1 < text), "\(milliseconds)") }
            last = (milliseconds, text)
        }
    }

    @Test("times beyond the calendar's years are clamped, not crashed on")
    func clamped() {
        #expect(Timestamp(milliseconds: .max).rfc3339 == "9999-12-31T23:59:59.999Z")
        #expect(Timestamp(milliseconds: .min).rfc3339 == "0000-01-01T00:00:00.000Z")
    }
}
