import Base
import Testing

@testable import Sealing

@Suite("SHA-256 and HMAC against published vectors")
struct HashTests {
    @Test(
        "FIPS 180-4 examples",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
        ])
    func sha256(text: String, expected: String) {
        #expect(SHA256.hash([UInt8](text.utf8)).hex == expected)
        let hasher = SHA256()
        for _ in 0..<2 {
            for byte in text.utf8 { hasher.update(byte: byte) }
            #expect(hasher.finish().hex == expected)
        }
    }

    @Test(
        "RFC 4231 cases 1, 2, 3, 6 and 7",
        arguments: [
            (
                [UInt8](repeating: 0x0b, count: 20), [UInt8]("Hi There".utf8),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
            ),
            (
                [UInt8]("Jefe".utf8), [UInt8]("what do ya want for nothing?".utf8),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
            ),
            (
                [UInt8](repeating: 0xaa, count: 20), [UInt8](repeating: 0xdd, count: 50),
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
            ),
            (
                [UInt8](repeating: 0xaa, count: 131),
                [UInt8]("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
            ),
            (
                [UInt8](repeating: 0xaa, count: 131),
                [UInt8](
                    ("This is a test using a larger than block-size key and a larger than block-size "
                        + "data. The key needs to be hashed before being used by the HMAC algorithm.").utf8),
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"
            ),
        ])
    func hmac(key: [UInt8], message: [UInt8], expected: String) {
        let hmac = key.withUnsafeBytes { HMACSHA256(key: $0) }
        #expect(message.withUnsafeBytes { hmac.authenticate($0) }.hex == expected)
        message.withUnsafeBytes { whole in
            hmac.update(UnsafeRawBufferPointer(rebasing: whole[..<5]))
            hmac.update(UnsafeRawBufferPointer(rebasing: whole[5...]))
        }
        #expect(hmac.finish().hex == expected)
    }

    @Test("a digest reads only what it writes")
    func digestText() throws {
        let digest = SHA256.hash([1, 2, 3])
        #expect(Digest(hex: digest.hex) == digest)
        #expect(Digest(bytes: digest.bytes) == digest)
        #expect(Digest(hex: digest.hex.uppercased()) == nil)
        #expect(Digest(hex: digest.hex.dropLast()) == nil)
        #expect(Digest(hex: digest.hex + "00") == nil)
        #expect(Digest(bytes: [UInt8](repeating: 0, count: 31)) == nil)
        #expect(Digest(hex: SHA256.hash([]).hex) != digest)
    }
}
