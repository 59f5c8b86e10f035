internal import Base

/// Numbers as people read them.
package enum Quantity {
    /// Bytes with a binary unit: `0 B`, `9.8 KiB`, `120 MiB`.
    package static func bytes(_ count: Int) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
        var value = Double(count)
        var unit = 0
        while value >= 1024, unit + 1 < units.count {
            value /= 1024
            unit += 1
        }
        if unit == 0 { return "\(count) B" }
        return "\(value < 100 ? oneDigit(value) : String(Int(saturating: value.rounded()))) \(units[unit])"
    }

    /// Seconds as a clock shows them: `0:07`, `12:31`, `3:05:09`.
    package static func clock(seconds: Int) -> String {
        let seconds = max(0, seconds)
        let minutes = seconds / 60 % 60
        let tail = twoDigits(seconds % 60)
        return seconds < 3600 ? "\(minutes):\(tail)" : "\(seconds / 3600):\(twoDigits(minutes)):\(tail)"
    }

    /// How long something is ago or lasts, in its largest fitting unit: `0.4 s`, `12 s`, `3 min`, `5 h`.
    package static func age(milliseconds: Int) -> String {
        let milliseconds = max(0, milliseconds)
        switch milliseconds {
        case ..<10_000: return "\(oneDigit(Double(milliseconds) / 1000)) s"
        case ..<120_000: return "\(milliseconds / 1000) s"
        case ..<7_200_000: return "\(milliseconds / 60_000) min"
        case ..<172_800_000: return "\(milliseconds / 3_600_000) h"
        default: return "\(grouped(milliseconds / 86_400_000)) d"
        }
    }

    /// A number with commas between groups of three digits.
    package static func grouped(_ number: Int) -> String {
        var digits = String(number.magnitude)
        var groups: [String] = []
        while digits.count > 3 {
            groups.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        groups.insert(digits, at: 0)
        return (number < 0 ? "-" : "") + groups.joined(separator: ",")
    }

    /// With one digit behind the point.
    static func oneDigit(_ value: Double) -> String {
        let tenths = Int(saturating: (max(0, value) * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }

    private static func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
