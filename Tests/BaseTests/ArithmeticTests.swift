import Base
import Testing

/// Values at and around every bound that matters.
private let wholes: [Int64] = [
    .min, .min + 1, -(1 << 53) - 1, -(1 << 53), -4_294_967_297, -1, 0, 1, 2, 3, 4_294_967_297, (1 << 53) - 1,
    1 << 53, (1 << 53) + 1, .max - 1, .max,
]
private let doubles: [Double] = [
    0, -0.0, 1, -1, 0.5, .leastNonzeroMagnitude, -.leastNonzeroMagnitude, 1e308, -1e308,
    .greatestFiniteMagnitude, 0x1p63, -0x1p63, 0x1p62, .infinity, -.infinity, .nan, .signalingNaN,
]

/// The bound that a result, computed with twice the bits, is brought to.
private func clamped(_ exact: Int128) -> Int64 { Int64(clamping: exact) }

@Suite("Arithmetic on what was read")
struct ArithmeticTests {
    @Test("sums, differences and products are exact, or the bound that they lie beyond")
    func saturating() {
        for a in wholes {
            for b in wholes {
                let (x, y) = (Int128(a), Int128(b))
                #expect(a +| b == clamped(x + y), "\(a) +| \(b)")
                #expect(a -| b == clamped(x - y), "\(a) -| \(b)")
                #expect(a *| b == clamped(x * y), "\(a) *| \(b)")
                var (sum, difference) = (a, a)
                sum +|= b
                difference -|= b
                #expect([sum, difference] == [a +| b, a -| b])
            }
        }
        #expect(UInt64.max +| 1 == .max)
        #expect(UInt64(3) -| 5 == 0)
        #expect(UInt64.max *| 2 == .max)
        #expect(UInt8(200) +| 100 == 255)
    }

    @Test("numbers with fractions become whole ones, or the bound, and NaN is 0")
    func whole() {
        for number in doubles {
            let expected: Int64 =
                number.isNaN
                ? 0 : number >= 0x1p63 ? .max : number < -0x1p63 ? .min : Int64(number.rounded(.towardZero))
            #expect(Int64(saturating: number) == expected, "\(number)")
        }
        #expect(UInt8(saturating: -3) == 0)
        #expect(UInt8(saturating: 255.9) == 255)
        #expect(Int(saturating: 1e308) == .max)
    }

    @Test("quotients and sums are finite, whatever their parts are")
    func finite() {
        for a in doubles {
            for b in doubles {
                #expect(Double.quotient(a, by: b).isFinite, "\(a) / \(b)")
                #expect((a +| b).isFinite, "\(a) +| \(b)")
            }
        }
        #expect(Double.quotient(18_000, by: 600) == 30)
        #expect(Double.quotient(1, by: 0) == 0)
        #expect(Double.quotient(-1, by: .leastNonzeroMagnitude) == -.greatestFiniteMagnitude)
    }

    @Test("moments stay within the years that have a text")
    func moments() {
        for a in wholes + [Timestamp.earliest.milliseconds, Timestamp.latest.milliseconds] {
            let moment = Timestamp(exactly: a)
            #expect((moment == nil) == (a < -62_167_219_200_000 || a > 253_402_300_799_999), "\(a)")
            for change in wholes {
                let moved = Timestamp(milliseconds: a).advanced(byMilliseconds: change)
                let bounds = Timestamp.earliest...Timestamp.latest
                #expect(bounds.contains(moved), "\(a) \(change)")
                if let exact = Timestamp(exactly: clamped(Int128(a) + Int128(change))) {
                    #expect(moved == exact, "\(a) \(change)")
                }
                let since = Timestamp(milliseconds: a).milliseconds(since: Timestamp(milliseconds: change))
                #expect(since == clamped(Int128(a) - Int128(change)), "\(a) \(change)")
            }
            #expect(Timestamp(milliseconds: a).rfc3339.count == 24)
        }
    }

    @Test(
        "an offset cannot lead out of the years that have a text",
        arguments: [
            ("0000-01-01T00:00:00+00:01", false), ("0000-01-01T00:00:00Z", true),
            ("9999-12-31T23:59:59.999-00:01", false), ("9999-12-31T23:59:59.999Z", true),
        ])
    func offsets(text: String, isRead: Bool) { #expect((Timestamp(rfc3339: text) != nil) == isRead) }

    @Test(
        "whole numbers are read however they are written, if 64 bits hold them",
        arguments: [
            ("30", 30), ("30.0", 30), ("3e1", 30), ("-0.0", 0), ("9223372036854775807", .max),
            ("-9223372036854775808", .min), ("9223372036854775808", nil), ("1e308", nil), ("1e-320", nil),
            ("0.5", nil), (String(repeating: "9", count: 400), nil), ("\"30\"", nil), ("null", nil),
        ] as [(String, Int64?)])
    func written(text: String, whole: Int64?) throws {
        #expect((try? JSONValue(parsing: Array("[\(text)]".utf8)))?.array?.first?.whole == whole)
    }
}
