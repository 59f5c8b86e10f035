internal import Base

/// What a value must look like: how it is read, and the rule in words for whoever broke it.
package struct Rule<Value: Sendable>: Sendable {
    /// The rule as the end of a sentence: `must be a whole number from 1 to 9`.
    package let text: String
    /// Reads a value; nil when it breaks the rule.
    package let parse: @Sendable (String) -> Value?

    /// A rule from its words and its parser.
    package init(_ text: String, parse: @escaping @Sendable (String) -> Value?) {
        self.text = text
        self.parse = parse
    }
}

extension Rule where Value == String {
    /// Text of 1 to `limit` characters in one line.
    package static func text(upTo limit: Int) -> Rule {
        Rule("must have 1 to \(limit) characters, no control characters among them") { text in
            (1...limit).contains(text.unicodeScalars.count) && text.isOneLine ? text : nil
        }
    }

    /// Text of 1 to `limit` characters in any number of lines.
    package static func lines(upTo limit: Int) -> Rule {
        Rule("must have 1 to \(limit) characters, no control characters among them but tabs and line ends") {
            (1...limit).contains($0.unicodeScalars.count) && $0.isLines ? $0 : nil
        }
    }

    /// One of a few words.
    package static func oneOf(_ words: [String]) -> Rule {
        Rule("must be one of: \(words.joined(separator: ", "))") { words.contains($0) ? $0 : nil }
    }

    /// A path in the file system; not empty, without control characters, which messages would repeat.
    package static let path = Rule("must be a path without control characters") { text in
        text.isEmpty || !text.isOneLine ? nil : text
    }

    /// A URL with one of the schemes and something behind it.
    package static func url(_ schemes: [String]) -> Rule {
        let forms = schemes.map { "\($0)://…" }.joined(separator: " or ")
        return Rule("must be a URL: \(forms)") { text in
            let fits = schemes.contains { text.hasPrefix("\($0)://") && text.count > $0.count + 3 }
            let isClean = text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7F }
            return fits && isClean ? text : nil
        }
    }

    /// 1 to 100 letters, digits, hyphens and underscores.
    package static let identifier = Rule("must have 1 to 100 letters, digits, hyphens and underscores") {
        text in
        let isClean = text.utf8.allSatisfy {
            switch $0 {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x5F: true
            default: false
            }
        }
        return isClean && (1...100).contains(text.utf8.count) ? text : nil
    }
}

extension Rule where Value == Int {
    /// A whole number in decimal digits.
    package static func integer(_ range: ClosedRange<Int>) -> Rule {
        Rule("must be a whole number from \(range.lowerBound) to \(range.upperBound)") { text in
            guard isDecimal(text, withFraction: false), let number = Int(text) else { return nil }
            return range.contains(number) ? number : nil
        }
    }

    /// A length of time as a whole number and its unit: `90s`, `15m`, `1h`, `2d`; the value is in
    /// milliseconds.
    package static let duration = Rule("must be a number with its unit, such as 90s, 15m, 1h or 2d") { text in
        let units: [Character: Int] = ["s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000]
        guard let unit = text.last.flatMap({ units[$0] }),
            isDecimal(String(text.dropLast()), withFraction: false),
            let number = Int(text.dropLast()), number <= 36_500 * 86_400_000 / unit
        else { return nil }
        return number * unit
    }

    /// A size in megabytes of 1,048,576 bytes, with a fraction or without; the value is in bytes.
    package static func megabytes(atLeastBytes least: Int, atMostMegabytes most: Int) -> Rule {
        Rule("must be above 0 and at most \(most) MB, and at least \(least) bytes (1 MB is 1048576 bytes)") {
            guard isDecimal($0, withFraction: true), let number = Double($0), number > 0,
                number <= Double(most)
            else { return nil }
            let bytes = Int(number * 1_048_576)
            return bytes >= least ? bytes : nil
        }
    }
}

extension Rule where Value == UInt16 {
    /// A TCP port.
    package static let port = Rule("must be a port from 1 to 65535") { text in
        guard isDecimal(text, withFraction: false), let number = UInt16(text), number > 0 else { return nil }
        return number
    }
}

/// Digits, and where allowed a point with digits on both sides: no sign, exponent, `inf` or `0x`.
private func isDecimal(_ text: String, withFraction: Bool) -> Bool {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    return (1...(withFraction ? 2 : 1)).contains(parts.count)
        && parts.allSatisfy { part in
            (1...18).contains(part.utf8.count) && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
        }
}
