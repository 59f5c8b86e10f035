internal import Base

/// The header field `Content-Digest` (RFC 9530).
enum ContentDigest {
    /// The SHA-256 in it, hexadecimal; nil when it holds none.
    static func sha256(in header: String) -> String? {
        for element in header.split(separator: ",") {
            let text = String(element).trimmingBlanks
            guard text.lowercased().hasPrefix("sha-256=:"), text.hasSuffix(":"), text.utf8.count > 10 else {
                continue
            }
            guard let bytes = base64(text.dropFirst(9).dropLast()), bytes.count == 32 else { return nil }
            return Hexadecimal.text(bytes)
        }
        return nil
    }

    /// The bytes of base64 text with padding (RFC 4648 part 4); nil when it is none.
    private static func base64(_ text: Substring) -> [UInt8]? {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        let digits = text.utf8.prefix { $0 != 0x3D }
        guard text.utf8.count.isMultiple(of: 4), text.utf8.count - digits.count <= 2,
            text.utf8.dropFirst(digits.count).allSatisfy({ $0 == 0x3D })
        else { return nil }
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        for digit in digits {
            guard let value = letters.firstIndex(of: digit) else { return nil }
            bits = bits << 6 | UInt32(value)
            count += 6
            guard count >= 8 else { continue }
            count -= 8
            bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
        }
        return bytes
    }
}
