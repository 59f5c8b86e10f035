/// Universally unique, lexicographically sortable ids: 48 bits of milliseconds, 80 bits of randomness,
/// in 26 characters of Crockford's base 32 (github.com/ulid/spec).
package enum ULID {
    private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)

    /// A new id for the given time.
    package static func make(
        at time: Timestamp, using generator: inout some RandomNumberGenerator
    ) -> String {
        let milliseconds = UInt64(clamping: time.milliseconds) & 0xFFFF_FFFF_FFFF
        let high = UInt64.random(in: 0..<(1 << 40), using: &generator)
        let low = UInt64.random(in: 0..<(1 << 40), using: &generator)
        return String(unsafeUninitializedCapacity: 26) { out in
            for place in 0..<10 { out[place] = alphabet[Int(milliseconds >> UInt64(45 - 5 * place)) & 31] }
            for place in 0..<8 {
                out[10 + place] = alphabet[Int(high >> UInt64(35 - 5 * place)) & 31]
                out[18 + place] = alphabet[Int(low >> UInt64(35 - 5 * place)) & 31]
            }
            return 26
        }
    }

    /// A new id for the given time, from the system's randomness.
    package static func make(at time: Timestamp) -> String {
        var generator = SystemRandomNumberGenerator()
        return make(at: time, using: &generator)
    }
}
