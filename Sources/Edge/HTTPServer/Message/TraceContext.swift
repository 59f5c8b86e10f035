/// Where a request stands in a trace (W3C Trace Context, header `traceparent`).
package struct TraceContext: Sendable, Hashable {
    /// 32 small hexadecimal digits, not all zero.
    package let traceID: String
    /// The caller's span; 16 small hexadecimal digits, not all zero.
    package let parentID: String
    /// Whether the caller records the trace.
    package let isSampled: Bool

    /// Reads a header value; nil when it isn't one. Later versions may have more behind the flags.
    package init?(parsing text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count >= 55, bytes.count <= 256, bytes[2] == 0x2D, bytes[35] == 0x2D, bytes[52] == 0x2D
        else { return nil }
        func hex(_ range: Range<Int>) -> String? {
            guard bytes[range].allSatisfy({ (48...57).contains($0) || (97...102).contains($0) }) else {
                return nil
            }
            return String(decoding: bytes[range], as: UTF8.self)
        }
        guard let version = hex(0..<2), version != "ff", let trace = hex(3..<35), let parent = hex(36..<52),
            let flags = hex(53..<55), let bits = UInt8(flags, radix: 16),
            trace.utf8.contains(where: { $0 != 48 }), parent.utf8.contains(where: { $0 != 48 })
        else { return nil }
        if bytes.count > 55 { guard version != "00", bytes[55] == 0x2D else { return nil } }
        traceID = trace
        parentID = parent
        isSampled = bits & 1 == 1
    }

    /// A new trace, not sampled.
    package init(from ids: inout IDSource) {
        traceID = ids.hex(2)
        parentID = ids.hex(1)
        isSampled = false
    }

    /// The header value for what comes after this request, and the value that events carry.
    package var traceparent: String { "00-\(traceID)-\(parentID)-\(isSampled ? "01" : "00")" }
}

/// Ids that are unique, not secret: random 64-bit words from a generator that is seeded once
/// (SplitMix64).
package struct IDSource: Sendable {
    private var state: UInt64

    /// Seeds from the system.
    package init() { state = UInt64.random(in: 0...UInt64.max) }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// `words` × 16 small hexadecimal digits, never all zero.
    mutating func hex(_ words: Int) -> String {
        String(unsafeUninitializedCapacity: 16 * words) { out in
            for word in 0..<words {
                var bits = max(next(), 1)
                for place in 0..<16 {
                    let digit = UInt8(bits >> 60)
                    out[16 * word + place] = digit < 10 ? 48 + digit : 87 + digit
                    bits <<= 4
                }
            }
            return 16 * words
        }
    }
}

/// The id that a client gives its request: 1 to 100 letters, digits, `-`, `.` and `_` of ASCII, so that it is
/// harmless wherever it goes. It stands whole in the answer's header and body, in the log, in events and in
/// the audit trail. Whoever gives none, another text or several gets an id of ours.
enum RequestID {
    static func given(by fields: HeaderFields) -> String? {
        guard let bytes = fields.only(.requestID), (1...100).contains(bytes.count),
            bytes.allSatisfy(isAllowed)
        else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 97...122, 0x2D, 0x2E, 0x5F: true
        default: false
        }
    }
}
