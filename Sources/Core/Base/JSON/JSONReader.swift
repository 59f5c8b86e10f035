extension JSONValue {
    /// Reads one JSON text, UTF-8. Refuses everything RFC 8259 does, and also duplicate names, lone
    /// surrogates, nesting beyond `maximumDepth` and anything behind the value.
    package init(parsing bytes: [UInt8], maximumDepth: Int = 32) throws(JSONError) {
        self = try bytes.withUnsafeBufferPointer { (bytes) throws(JSONError) in
            var reader = JSONReader(bytes: bytes, depthLeft: maximumDepth)
            reader.skipSpace()
            let value = try reader.value()
            reader.skipSpace()
            guard reader.at == bytes.count else { throw reader.error("something follows the value") }
            return value
        }
    }
}

private struct JSONReader {
    let bytes: UnsafeBufferPointer<UInt8>
    var at = 0
    var depthLeft: Int

    init(bytes: UnsafeBufferPointer<UInt8>, depthLeft: Int) {
        self.bytes = bytes
        self.depthLeft = depthLeft
    }

    func error(_ text: String) -> JSONError { JSONError(offset: at, text: text) }

    var next: UInt8? { at < bytes.count ? bytes[at] : nil }

    mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { at += 1 }
    }

    mutating func value() throws(JSONError) -> JSONValue {
        switch next {
        case 0x7B: return try object()
        case 0x5B: return try array()
        case 0x22: return .string(try string())
        case 0x74: return try word("true", .bool(true))
        case 0x66: return try word("false", .bool(false))
        case 0x6E: return try word("null", .null)
        case .some(let byte) where byte == 0x2D || (0x30...0x39).contains(byte): return try number()
        case .some: throw error("a value was expected")
        case .none: throw error("the text ends too early")
        }
    }

    mutating func word(_ word: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        let length = word.utf8CodeUnitCount
        guard bytes.count - at >= length else { throw error("the text ends too early") }
        for offset in 0..<length where bytes[at + offset] != word.utf8Start[offset] {
            throw error("an unknown word")
        }
        at += length
        return value
    }

    mutating func descend() throws(JSONError) {
        guard depthLeft > 0 else { throw error("nested too deeply") }
        depthLeft -= 1
        at += 1
        skipSpace()
    }

    mutating func object() throws(JSONError) -> JSONValue {
        try descend()
        var members: [JSONValue.Member] = []
        if next == 0x7D {
            at += 1
            depthLeft += 1
            return .object(members)
        }
        members.reserveCapacity(16)
        // A bit for each name that occurred: only names that share one are compared. Many, which only a
        // stranger sends, must not take the square.
        var marks: UInt64 = 0
        var seen: Set<String> = []
        while true {
            guard next == 0x22 else { throw error("a member name was expected") }
            let start = at
            let name = try string()
            let mark = mark(from: start)
            if members.count == 32 { seen = Set(members.map(\.name)) }
            let isKnown =
                members.count < 32
                ? marks & mark != 0 && members.contains { $0.name == name } : !seen.insert(name).inserted
            guard !isKnown else { throw error("the name \(name) stands twice") }
            marks |= mark
            skipSpace()
            guard next == 0x3A else { throw error("a colon was expected") }
            at += 1
            skipSpace()
            members.append(JSONValue.Member(name: name, value: try value()))
            if try closes(with: 0x7D) { return .object(members) }
        }
    }

    /// One bit of 64 for the name that was just read. One with an escape or a letter beyond ASCII may be
    /// spelled in two ways: it has all of them, so that it is compared with every other.
    func mark(from start: Int) -> UInt64 {
        var hash: UInt64 = 0
        for byte in bytes[start..<at] {
            if byte == 0x5C || byte >= 0x80 { return .max }
            hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
        }
        return 1 << (hash >> 58)
    }

    mutating func array() throws(JSONError) -> JSONValue {
        try descend()
        var elements: [JSONValue] = []
        if next == 0x5D {
            at += 1
            depthLeft += 1
            return .array(elements)
        }
        while true {
            elements.append(try value())
            if try closes(with: 0x5D) { return .array(elements) }
        }
    }

    /// After an element: true at the closing bracket, false behind a comma.
    mutating func closes(with bracket: UInt8) throws(JSONError) -> Bool {
        skipSpace()
        switch next {
        case bracket:
            at += 1
            depthLeft += 1
            return true
        case 0x2C:
            at += 1
            skipSpace()
            return false
        case .none: throw error("the text ends too early")
        case .some: throw error("a comma or a closing bracket was expected")
        }
    }

    mutating func number() throws(JSONError) -> JSONValue {
        let start = at
        var isInteger = true
        if next == 0x2D { at += 1 }
        guard let first = next, (0x30...0x39).contains(first) else { throw error("a digit was expected") }
        at += 1
        if first != 0x30 { skipDigits() }
        if next == 0x2E {
            isInteger = false
            at += 1
            try requireDigits()
        }
        if next == 0x65 || next == 0x45 {
            isInteger = false
            at += 1
            if next == 0x2B || next == 0x2D { at += 1 }
            try requireDigits()
        }
        let digits = UnsafeBufferPointer(rebasing: bytes[start..<at])
        if isInteger, let integer = Self.integer(digits) { return .integer(integer) }
        if let number = Self.shortDecimal(digits) { return .number(number) }
        let text = String(decoding: digits, as: UTF8.self)
        guard let number = Double(text), number.isFinite else { throw error("the number is too large") }
        return .number(number)
    }

    /// The integer of digits that may have a sign; nil when it does not fit.
    static func integer(_ digits: UnsafeBufferPointer<UInt8>) -> Int64? {
        let isNegative = digits.first == 0x2D
        var value: Int64 = 0
        for byte in digits.dropFirst(isNegative ? 1 : 0) {
            let (tens, isTooLarge) = value.multipliedReportingOverflow(by: 10)
            // Downwards, because there is one more number below zero than above.
            let (sum, isAlsoTooLarge) = tens.subtractingReportingOverflow(Int64(byte - 0x30))
            if isTooLarge || isAlsoTooLarge { return nil }
            value = sum
        }
        if isNegative { return value }
        return value == .min ? nil : -value
    }

    /// Powers of ten that a double holds exactly.
    private static let powers: [Double] = (0...15).map { exponent in
        Double((0..<exponent).reduce(Int64(1)) { power, _ in power * 10 })
    }

    /// A number of at most 15 digits and without exponent: digits and power of ten are exact, so that one
    /// division rounds as it must. Nil for any other.
    static func shortDecimal(_ text: UnsafeBufferPointer<UInt8>) -> Double? {
        guard text.count <= 17 else { return nil }
        var mantissa: Int64 = 0
        var (digits, decimals) = (0, 0)
        var isBehindPoint = false
        for byte in text {
            switch byte {
            case 0x2D where digits == 0: continue
            case 0x2E: isBehindPoint = true
            case 0x30...0x39:
                mantissa = mantissa * 10 + Int64(byte - 0x30)
                digits += 1
                if isBehindPoint { decimals += 1 }
            default: return nil
            }
        }
        guard digits <= 15 else { return nil }
        let value = Double(mantissa) / powers[decimals]
        return text.first == 0x2D ? -value : value
    }

    mutating func skipDigits() {
        while let byte = next, (0x30...0x39).contains(byte) { at += 1 }
    }

    mutating func requireDigits() throws(JSONError) {
        guard let byte = next, (0x30...0x39).contains(byte) else { throw error("a digit was expected") }
        skipDigits()
    }

    mutating func string() throws(JSONError) -> String {
        at += 1
        let start = at
        while let byte = next, byte != 0x22, byte != 0x5C, byte >= 0x20 { at += 1 }
        if next == 0x22 {
            let text = try utf8(UnsafeBufferPointer(rebasing: bytes[start..<at]))
            at += 1
            return text
        }
        var unescaped = Array(bytes[start..<at])
        while true {
            switch next {
            case 0x22:
                at += 1
                return try utf8(unescaped)
            case 0x5C:
                at += 1
                try escape(into: &unescaped)
            case .some(let byte) where byte >= 0x20:
                unescaped.append(byte)
                at += 1
            case .some: throw error("a control character in a string")
            case .none: throw error("the text ends too early")
            }
        }
    }

    func utf8(_ bytes: some Collection<UInt8>) throws(JSONError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw error("not UTF-8") }
        return text
    }

    mutating func escape(into out: inout [UInt8]) throws(JSONError) {
        guard let byte = next else { throw error("the text ends too early") }
        at += 1
        switch byte {
        case 0x22, 0x5C, 0x2F: out.append(byte)
        case 0x62: out.append(0x08)
        case 0x66: out.append(0x0C)
        case 0x6E: out.append(0x0A)
        case 0x72: out.append(0x0D)
        case 0x74: out.append(0x09)
        case 0x75:
            var scalar = try hex()
            if (0xD800...0xDBFF).contains(scalar) {
                guard next == 0x5C, at + 1 < bytes.count, bytes[at + 1] == 0x75 else {
                    throw error("a lone surrogate")
                }
                at += 2
                let low = try hex()
                guard (0xDC00...0xDFFF).contains(low) else { throw error("a lone surrogate") }
                scalar = 0x10000 + (scalar - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let unicode = Unicode.Scalar(scalar) else { throw error("a lone surrogate") }
            out.append(contentsOf: String(Character(unicode)).utf8)
        default: throw error("an unknown escape")
        }
    }

    mutating func hex() throws(JSONError) -> UInt32 {
        guard bytes.count - at >= 4, let digits = String(validating: bytes[at..<at + 4], as: UTF8.self),
            digits.allSatisfy(\.isHexDigit), let value = UInt32(digits, radix: 16)
        else { throw error("four hexadecimal digits were expected") }
        at += 4
        return value
    }
}
