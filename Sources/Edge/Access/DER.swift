/// The little of ASN.1's distinguished encoding that JOSE's forms have to be brought into.
enum DER {
    private static func wrap(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        var length: [UInt8] = []
        if content.count < 128 {
            length = [UInt8(content.count)]
        } else {
            var rest = content.count
            while rest > 0 {
                length.insert(UInt8(rest & 0xFF), at: 0)
                rest >>= 8
            }
            length.insert(0x80 | UInt8(length.count), at: 0)
        }
        return [tag] + length + content
    }

    private static func sequence(_ parts: [UInt8]...) -> [UInt8] { wrap(0x30, parts.flatMap { $0 }) }

    /// A positive number of any size, big endian.
    private static func integer(_ bytes: some Collection<UInt8>) -> [UInt8] {
        var digits = Array(bytes.drop { $0 == 0 })
        if digits.first.map({ $0 & 0x80 != 0 }) ?? true { digits.insert(0, at: 0) }
        return wrap(0x02, digits)
    }

    /// JOSE's form of an ECDSA signature, two numbers of 32 bytes, in ASN.1's; nil for another length.
    static func signature(_ raw: [UInt8]) -> [UInt8]? {
        guard raw.count == 64 else { return nil }
        return sequence(integer(raw[..<32]), integer(raw[32...]))
    }

    /// A SubjectPublicKeyInfo with an RSA key.
    static func rsa(modulus: [UInt8], exponent: [UInt8]) -> [UInt8] {
        let algorithm: [UInt8] = [
            0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00,
        ]
        return sequence(algorithm, wrap(0x03, [0] + sequence(integer(modulus), integer(exponent))))
    }

    /// A SubjectPublicKeyInfo with a point of P-256.
    static func p256(x: [UInt8], y: [UInt8]) -> [UInt8] {
        let algorithm: [UInt8] = [
            0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48,
            0xCE, 0x3D, 0x03, 0x01, 0x07,
        ]
        return sequence(algorithm, wrap(0x03, [0, 4] + x + y))
    }

    /// A SubjectPublicKeyInfo with an Ed25519 key.
    static func ed25519(_ key: [UInt8]) -> [UInt8] {
        sequence([0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70], wrap(0x03, [0] + key))
    }
}
