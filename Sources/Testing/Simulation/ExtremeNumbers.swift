package import Base

/// Numbers that somebody may write where a reasonable one belongs, as JSON text.
package enum ExtremeNumbers {
    /// At the ends of the types that numbers are read into, and beyond.
    package static let texts: [String] =
        [
            "-9223372036854775808", "-9223372036854775809", "9223372036854775807", "9223372036854775808",
            "18446744073709551615", "9007199254740991", "9007199254740992", "9007199254740993",
            "-9007199254740993", "4294967296", "2147483648", "2147483647", "-2147483649", "-1", "0", "-0",
            "-0.0", "0.5", "3.0", "1e2", "1e308", "-1e308", "1.7976931348623157e308", "1e999", "-1e999",
            "2.2250738585072014e-308", "5e-324", "1e-400", "1e9223372036854775807",
            "9223372036854774784", "9.223372036854776e18",
        ] + [String(repeating: "9", count: 400), "0." + String(repeating: "3", count: 400)]

    /// With the bounds of a schema, and what lies beside them.
    package static func texts(around schema: JSONValue) -> [String] {
        var all = texts
        for name in ["minimum", "maximum"] {
            guard let bound = schema[name]?.whole else { continue }
            all += [bound - 1, bound, bound + 1].map { "\($0)" } + ["\(bound).5"]
        }
        return all
    }

    /// Whether a schema of a number allows what the text says.
    package static func isLawful(_ text: String, by schema: JSONValue) -> Bool {
        guard let value = try? JSONValue(parsing: Array(text.utf8)) else { return false }
        let number: Double
        switch schema["type"]?.string {
        case "integer":
            guard let whole = value.whole else { return false }
            let (least, most) = (schema["minimum"]?.whole, schema["maximum"]?.whole)
            return whole >= least ?? .min && whole <= most ?? .max
        case "number": number = value.number ?? .nan
        default: return false
        }
        return number >= schema["minimum"]?.number ?? -.infinity
            && number <= schema["maximum"]?.number ?? .infinity
    }
}
