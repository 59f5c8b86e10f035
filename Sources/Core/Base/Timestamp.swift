/// A point in time: whole milliseconds since 1970-01-01T00:00:00Z.
///
/// Inside Reel time is an integer; text (RFC 3339) exists only at the edges. Conversions are plain
/// civil-calendar arithmetic, because formatters cost a hundred times more on the hot path.
package struct Timestamp: Sendable, Hashable, Comparable {
    /// Milliseconds since the Unix epoch.
    package var milliseconds: Int64

    /// Makes a timestamp from milliseconds since the Unix epoch.
    package init(milliseconds: Int64) { self.milliseconds = milliseconds }

    /// Earlier comes first.
    package static func < (a: Timestamp, b: Timestamp) -> Bool { a.milliseconds < b.milliseconds }

    /// The first moment that RFC 3339 has a text for: the year 0000 begins.
    package static let earliest = Timestamp(milliseconds: -62_167_219_200_000)
    /// The last millisecond that RFC 3339 has a text for: the year 9999 ends.
    package static let latest = Timestamp(milliseconds: 253_402_300_799_999)

    /// Makes a timestamp from milliseconds that somebody else wrote; nil outside the years 0000...9999.
    package init?(exactly milliseconds: Int64) {
        self.init(milliseconds: milliseconds)
        guard self >= .earliest, self <= .latest else { return nil }
    }

    /// A moment so much later, or earlier; `latest` or `earliest` where it would lie beyond them.
    package func advanced(byMilliseconds change: Int64) -> Timestamp {
        let moved = Timestamp(milliseconds: milliseconds +| change)
        return min(max(moved, .earliest), .latest)
    }

    /// Milliseconds from another moment to this one; negative where this one is earlier.
    package func milliseconds(since other: Timestamp) -> Int64 { milliseconds -| other.milliseconds }

    /// RFC 3339 in UTC with milliseconds: `2026-01-31T23:59:59.123Z`.
    package var rfc3339: String {
        String(unsafeUninitializedCapacity: 24) { out in
            Self.write(milliseconds, to: out)
            return 24
        }
    }

    /// Writes the 24 bytes of the RFC 3339 text. Years outside 0000...9999 are clamped.
    static func write(_ milliseconds: Int64, to out: UnsafeMutableBufferPointer<UInt8>) {
        let clamped = min(max(milliseconds, earliest.milliseconds), latest.milliseconds)
        var days = clamped / 86_400_000
        var rest = clamped % 86_400_000
        if rest < 0 {
            rest += 86_400_000
            days -= 1
        }
        let (year, month, day) = civil(days)
        func put(_ value: Int64, _ at: Int, _ width: Int) {
            var value = value
            for place in stride(from: at + width - 1, through: at, by: -1) {
                out[place] = 48 + UInt8(value % 10)
                value /= 10
            }
        }
        put(year, 0, 4)
        put(month, 5, 2)
        put(day, 8, 2)
        put(rest / 3_600_000, 11, 2)
        put(rest / 60_000 % 60, 14, 2)
        put(rest / 1000 % 60, 17, 2)
        put(rest % 1000, 20, 3)
        out[4] = 45
        out[7] = 45
        out[10] = 84
        out[13] = 58
        out[16] = 58
        out[19] = 46
        out[23] = 90
    }

    /// Days since the epoch to a civil date (proleptic Gregorian).
    private static func civil(_ days: Int64) -> (Int64, Int64, Int64) {
        let z = days + 719_468
        let era = (z >= 0 ? z : z - 146_096) / 146_097
        let doe = z - era * 146_097
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100)
        let mp = (5 * doy + 2) / 153
        let month = mp < 10 ? mp + 3 : mp - 9
        return (yoe + era * 400 + (month <= 2 ? 1 : 0), month, doy - (153 * mp + 2) / 5 + 1)
    }

    /// Reads RFC 3339 text with `Z` or a numeric offset and any number of fraction digits; digits
    /// beyond milliseconds are cut off. Answers nil for anything else, impossible dates included, and for
    /// moments whose year in UTC is beyond 0000...9999.
    package init?(rfc3339 text: String) {
        var text = text
        guard let time = text.withUTF8({ Timestamp(rfc3339: $0) }) else { return nil }
        self = time
    }

    /// Reads the UTF-8 of RFC 3339 text, as `init(rfc3339:)` of a string does.
    package init?(rfc3339 bytes: UnsafeBufferPointer<UInt8>) {
        guard bytes.count >= 20, bytes.count <= 64 else { return nil }
        func number(_ at: Int, _ width: Int) -> Int64? {
            var value: Int64 = 0
            for byte in bytes[at..<at + width] {
                guard byte >= 48, byte <= 57 else { return nil }
                value = value * 10 + Int64(byte - 48)
            }
            return value
        }
        guard bytes[4] == 45, bytes[7] == 45, bytes[10] == 84 || bytes[10] == 116, bytes[13] == 58,
            bytes[16] == 58, let year = number(0, 4), let month = number(5, 2), let day = number(8, 2),
            let hour = number(11, 2), let minute = number(14, 2), let second = number(17, 2),
            (1...12).contains(month), day >= 1, hour < 24, minute < 60, second < 60
        else { return nil }
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        // Of the 31 days some months lack one; those are the even ones up to July and the odd ones after it.
        let length = month == 2 ? (leap ? 29 : 28) : 30 + (month + month / 8) % 2
        guard day <= length else { return nil }
        var at = 19
        var fraction: Int64 = 0
        if bytes[at] == 46 {
            at += 1
            var digits = 0
            while at < bytes.count, bytes[at] >= 48, bytes[at] <= 57 {
                if digits < 3 { fraction = fraction * 10 + Int64(bytes[at] - 48) }
                digits += 1
                at += 1
            }
            guard digits > 0 else { return nil }
            for _ in min(digits, 3)..<3 { fraction *= 10 }
        }
        guard at < bytes.count else { return nil }
        var offset: Int64 = 0
        if bytes[at] == 90 || bytes[at] == 122 {
            guard at == bytes.count - 1 else { return nil }
        } else {
            guard bytes[at] == 43 || bytes[at] == 45, bytes.count == at + 6, bytes[at + 3] == 58,
                let hours = number(at + 1, 2), let minutes = number(at + 4, 2), hours < 24, minutes < 60
            else { return nil }
            offset = (hours * 60 + minutes) * (bytes[at] == 45 ? -60_000 : 60_000)
        }
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yoe = shifted - era * 400
        let doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy
        let days = era * 146_097 + doe - 719_468
        let time = ((hour * 60 + minute) * 60 + second) * 1000 + fraction
        self.init(exactly: days * 86_400_000 + time - offset)
    }
}

/// Where the current time comes from: the machine's clock in a role, a simulated one in tests.
package protocol WallClock: Sendable {
    /// The current time.
    func now() -> Timestamp
}
