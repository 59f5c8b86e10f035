import Base
import Simulation
import Testing

@testable import Sealing

@Suite("Sealed headers")
struct HeaderTests {
    private func decode(_ text: String) throws -> SealedHeader {
        try [UInt8](text.utf8).withUnsafeBytes { try SealedHeader(decoding: $0) }
    }

    private func sample() throws -> SealedHeader {
        try SealedHeader(
            chunk: identity(7), codec: .lz4, cipher: .xchacha20poly1305, originalBytes: 10_485_760,
            keyID: "key-1", keyCommitment: String(repeating: "ab", count: 32))
    }

    @Test("decodes what it encodes, over random headers")
    func roundTrip() throws {
        let seed = newSeed("header round trip")
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let letters = Array("abcXYZ019_-")
            func id() -> String {
                String(
                    (0..<Int.random(in: 1...100, using: &generator)).map { _ in
                        letters[Int.random(in: 0..<letters.count, using: &generator)]
                    })
            }
            let header = try SealedHeader(
                chunk: ChunkIdentity(
                    chunkID: id(), sessionID: id(),
                    sequenceNumber: Int.random(in: 1...99_999_999, using: &generator)),
                codec: Codec.allCases[Int.random(in: 0..<4, using: &generator)], cipher: .xchacha20poly1305,
                originalBytes: Int.random(in: 0...9_007_199_254_740_991, using: &generator), keyID: id(),
                keyCommitment: SHA256.hash(generator.bytes(8)).hex)
            let bytes = header.encoded()
            #expect(bytes.count <= SealedHeader.maximumBytes)
            #expect(try bytes.withUnsafeBytes { try SealedHeader(decoding: $0) } == header, "seed \(seed)")
        }
    }

    @Test("every truncation is refused")
    func truncation() throws {
        let text = String(decoding: try sample().encoded(), as: UTF8.self)
        #expect(try decode(text) == sample())
        for length in 0..<text.count {
            #expect(throws: SealFailure.self, "length \(length)") {
                _ = try decode(String(text.prefix(length)))
            }
        }
    }

    @Test("anything but the canonical bytes is refused")
    func strictness() throws {
        let text = String(decoding: try sample().encoded(), as: UTF8.self)
        let changes = [
            ("{\"chunk_id\"", "{ \"chunk_id\""), ("}", "} "), ("}", ",\"extra\":1}"),
            ("\"codec\":\"lz4\",", ""), ("\"codec\":\"lz4\",", "\"codec\":\"lz4\",\"codec\":\"lz4\","),
            ("lz4", "brotli"), ("xchacha20poly1305", "aes"), ("10485760", "010485760"),
            ("10485760", "10485760.0"), ("10485760", "1.048576e7"), ("10485760", "-1"),
            ("10485760", "9007199254740992"), ("10485760", "99999999999999999999"), ("10485760", "\"1\""),
            (":7,", ":0,"), ("sess-A\"}", "../etc\"}"), ("sess-A\"}", "\"}"), ("key-1", "k\\u0065y"),
            ("abab", "ABAB"), ("abab", "ab"), ("key-1", ""), ("\"chunk_id\"", "\"chunk_ID\""),
        ]
        for (old, new) in changes {
            let changed = text.replacing(old, with: new, maxReplacements: 1)
            #expect(changed != text)
            #expect(throws: SealFailure.self, "\(old) -> \(new)") { _ = try decode(changed) }
        }
    }

    @Test("ids keep to their alphabet and length")
    func ids() {
        for id in ["a", "sess-01", "A_b-9", String(repeating: "x", count: 100)] {
            #expect(Identifier.isValid(id))
        }
        for id in ["", ".", "..", "a/b", "a b", "ä", "a\0", "a\n", String(repeating: "x", count: 101)] {
            #expect(!Identifier.isValid(id))
            #expect(throws: SealFailure.self) {
                try ChunkIdentity(chunkID: "c", sessionID: id, sequenceNumber: 1)
            }
        }
        #expect(throws: SealFailure.self) {
            try ChunkIdentity(chunkID: "c", sessionID: "s", sequenceNumber: 0)
        }
    }
}
