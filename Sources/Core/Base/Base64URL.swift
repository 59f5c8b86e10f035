/// Base 64 for URLs without padding, as JOSE has it (RFC 7515 part 2), and in one form alone: what could
/// be written in two ways would let a token be changed without its signature noticing.
package enum Base64URL {
    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    /// The text of `bytes`.
    package static func encode(_ bytes: some Sequence<UInt8>) -> String {
        var out: [UInt8] = []
        var bits = 0
        var held: UInt32 = 0
        for byte in bytes {
            held = held << 8 | UInt32(byte)
            bits += 8
            while bits >= 6 {
                bits -= 6
                out.append(alphabet[Int(held >> UInt32(bits)) & 63])
            }
        }
        if bits > 0 { out.append(alphabet[Int(held << UInt32(6 - bits)) & 63]) }
        return String(decoding: out, as: UTF8.self)
    }

    /// The bytes of `text`; nil for padding, blanks, other characters, an impossible length, and bits at
    /// the end that aren't zero.
    package static func decode(_ text: some Sequence<UInt8>) -> [UInt8]? {
        var out: [UInt8] = []
        var bits = 0
        var count = 0
        var held: UInt32 = 0
        for character in text {
            let value: UInt8
            switch character {
            case 65...90: value = character - 65
            case 97...122: value = character - 71
            case 48...57: value = character + 4
            case 0x2D: value = 62
            case 0x5F: value = 63
            default: return nil
            }
            held = held << 6 | UInt32(value)
            bits += 6
            count += 1
            if bits >= 8 {
                bits -= 8
                out.append(UInt8(truncatingIfNeeded: held >> UInt32(bits)))
            }
        }
        guard count % 4 != 1, held & (1 << UInt32(bits) - 1) == 0 else { return nil }
        return out
    }
}
