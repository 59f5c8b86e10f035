import Base
import Testing

@Suite("Bytes as text, and digests")
struct TextFormTests {
    @Test("hexadecimal has one form for each array of bytes")
    func hexadecimal() throws {
        for count in 0..<40 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 77 &+ 3) }
            #expect(Hexadecimal.bytes(Hexadecimal.text(bytes)) == bytes)
        }
        #expect(Hexadecimal.text([0x00, 0x0F, 0xA0, 0xFF]) == "000fa0ff")
        for bad in ["0", "000", "0A", "0g", " 0", "0x", "٠٠", "00\n"] {
            #expect(Hexadecimal.bytes(bad) == nil, "\(bad)")
        }
    }

    @Test("Base 64 for URLs has one form for each array of bytes")
    func base64() throws {
        for count in 0..<40 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 77 &+ 3) }
            let text = Base64URL.encode(bytes)
            #expect(Base64URL.decode(text.utf8) == bytes)
        }
        #expect(Base64URL.encode([0xFB, 0xFF]) == "-_8")
        for bad in ["A", "AAAAA", "AB", "-_9", "AA=", "AA==", "A A", "+/8", "AA\n"] {
            #expect(Base64URL.decode(bad.utf8) == nil, "\(bad)")
        }
    }

    @Test("SHA-256 is that of FIPS 180-4, as a whole, in pieces, and once more")
    func sha256() throws {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        #expect(SHA256.hash(Array("abc".utf8)).hex == expected)
        #expect(Hexadecimal.text(SHA256.digest(of: "abc".utf8)) == expected)
        #expect(Hexadecimal.text(SHA256.digest(of: "abc".utf8.lazy.map { $0 })) == expected)
        #expect(SHA256.withDigest(of: "abc") { Hexadecimal.text($0) } == expected)
        let hasher = SHA256()
        for _ in 0..<2 {
            hasher.update(byte: UInt8(ascii: "a"))
            Array("bc".utf8).withUnsafeBytes { hasher.update($0) }
            #expect(hasher.finish().hex == expected)
        }
        #expect(
            SHA256.hash([]).hex == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    }

    @Test("a digest has 32 bytes and 64 lower-case digits")
    func digest() throws {
        let digest = SHA256.hash([1, 2, 3])
        #expect(Digest(bytes: digest.bytes) == digest)
        #expect(Digest(hex: digest.hex) == digest)
        #expect(Digest(bytes: digest.bytes.dropLast()) == nil)
        #expect(Digest(hex: digest.hex.uppercased()) == nil)
        #expect(Digest(hex: digest.hex + "00") == nil)
    }
}
