import Base
import CSodium
import Simulation
import Testing

@testable import Files
@testable import Sealing

@Suite("Sealed chunk files")
struct SealTests {
    /// The digest of what was sealed last.
    private final class Recorded { var digest = SHA256.hash([]) }

    let key: SessionKey
    let image = ScratchBuffer()
    let output = ScratchBuffer()
    private let recorded = Recorded()

    init() throws { key = try SessionKey.generate(sessionID: "sess-A") }

    private func seal(
        _ original: [UInt8], codec: Codec = .zstd, cipher: Cipher = .xchacha20poly1305, sequence: Int = 1
    ) throws -> SealedImage {
        let compressor = try Compressor(codec: codec)
        recorded.digest = original.withUnsafeBytes { key.contentDigester().authenticate($0) }
        return try original.withUnsafeBytes {
            try Sealer().compressAndSeal(
                $0, of: identity(sequence), with: compressor, cipher: cipher, key: key, into: image)
        }
    }

    private func open(
        _ file: [UInt8], key: SessionKey, chunk: ChunkIdentity? = nil, digest: Digest? = nil
    ) throws -> [UInt8] {
        do {
            try file.withUnsafeBytes {
                _ = try Opener().open(
                    $0, key: key, expecting: try chunk ?? identity(),
                    contentDigest: digest ?? recorded.digest, maximumOriginalBytes: 1 << 30, into: output)
            }
        } catch {
            #expect(output.isEmpty, "an error leaves no bytes behind")
            throw error
        }
        return output.copyBytes()
    }

    @Test("draft-irtf-cfrg-xchacha-03, A.3.1")
    func knownAnswer() {
        let text =
            "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
            + "future, sunscreen would be it."
        let expected = hex(
            """
            bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39
            ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9
            21f9664c97637da9768812f615c68b13b52e c0875924c1c7987947deafd8780acf49
            """)
        let secret = [UInt8](0x80...0x9f).withUnsafeBytes { SecretBytes(copying: $0) }
        #expect(
            encrypt([UInt8](text.utf8), secret, [UInt8](0x40...0x57), hex("50515253c0c1c2c3c4c5c6c7"))
                == expected)
    }

    @Test("the same bytes as libsodium, at every size and number of pieces")
    func libsodiumEquality() {
        let seed = newSeed("libsodium equality")
        var generator = SeededGenerator(seed: seed)
        for size in [0, 1, 15, 16, 17, 63, 64, 65, 255, 1000, 4096, 100_003] {
            let message = generator.bytes(size)
            let bound = generator.bytes(Int(generator.next() % 200))
            let nonce = generator.bytes(24)
            let raw = generator.bytes(32)
            var reference = [UInt8](repeating: 0, count: size + 16)
            _ = crypto_aead_xchacha20poly1305_ietf_encrypt(
                &reference, nil, message, UInt64(size), bound, UInt64(bound.count), nil, nonce, raw)
            let secret = raw.withUnsafeBytes { SecretBytes(copying: $0) }
            #expect(encrypt(message, secret, nonce, bound) == reference, "seed \(seed), size \(size)")
        }
    }

    private func encrypt(
        _ message: [UInt8], _ key: SecretBytes, _ nonce: [UInt8], _ bound: [UInt8]
    ) -> [UInt8] {
        let context = XChaCha20Poly1305()
        var result = [UInt8](repeating: 0, count: message.count + 16)
        nonce.withUnsafeBytes { nonce in
            bound.withUnsafeBytes {
                context.begin(.sealing, key: key, nonce: nonce, associatedData: $0)
            }
        }
        result.withUnsafeMutableBytes { target in
            guard let start = target.baseAddress else { return }
            message.withUnsafeBytes { source in
                var offset = 0
                while offset < source.count {
                    let size = min(333, source.count - offset)
                    let piece = UnsafeRawBufferPointer(rebasing: source[offset..<offset + size])
                    context.update(piece, into: start + offset)
                    offset += size
                }
            }
            context.writeTag(into: start + message.count)
        }
        return result
    }

    @Test(
        "opens to the original, with the leaf hash of the file, for all codecs, ciphers and sizes",
        arguments: Codec.allCases, Cipher.allCases)
    func roundTrip(codec: Codec, cipher: Cipher) throws {
        let seed = newSeed("seal round trip, \(codec.rawValue), \(cipher.rawValue)")
        var generator = SeededGenerator(seed: seed)
        for size in [0, 1, 1000, 131_072, 131_073, 700_000] {
            for original in [generator.text(size), generator.bytes(size)] {
                let sealed = try seal(original, codec: codec, cipher: cipher)
                let file = image.copyBytes()
                #expect(sealed.fileBytes == file.count)
                #expect(sealed.header.originalBytes == size)
                #expect(sealed.compressionRatio <= 1)
                #expect(sealed.leafHash == SHA256.hash([0] + file))
                #expect(sealed.leafHash == image.withBytes { LeafHasher().hash($0) })
                #expect(try file.withUnsafeBytes { try SealedParts(inspecting: $0).header } == sealed.header)
                let digest = original.withUnsafeBytes { key.contentDigester().authenticate($0) }
                #expect(
                    try open(file, key: key, chunk: identity(), digest: digest) == original, "seed \(seed)")
            }
        }
    }

    @Test("two steps give the same payload as one", arguments: Codec.allCases)
    func chaining(codec: Codec) throws {
        var generator = SeededGenerator(seed: 11)
        for original in [generator.text(90_000), generator.bytes(90_000)] {
            let one = try seal(original, codec: codec, cipher: .none)
            let oneFile = image.copyBytes()
            let compressed = ScratchBuffer()
            let used = try original.withUnsafeBytes {
                try Compressor(codec: codec).compress($0, into: compressed)
            }
            let payload = used == .none ? original : compressed.copyBytes()
            let two = try payload.withUnsafeBytes {
                try Sealer().seal(
                    $0, of: identity(), codec: used, originalBytes: original.count, cipher: .none, key: key,
                    into: image)
            }
            #expect(one.header == two.header)
            #expect(one.payloadBytes == two.payloadBytes)
            #expect(one.leafHash == two.leafHash)
            #expect(image.copyBytes() == oneFile)
        }
    }

    @Test("an outsider with libsodium and the format's description reads it")
    func layout() throws {
        let original = [UInt8]("what was seen".utf8)
        _ = try seal(original, codec: .none)
        let file = image.copyBytes()
        #expect(Array(file[..<8]) == [UInt8]("REELCHK1".utf8))
        let length = Int(file[8]) | Int(file[9]) << 8
        let header = String(decoding: file[12..<12 + length], as: UTF8.self)
        #expect(
            header == """
                {"chunk_id":"sess-A-chunk-000001","cipher":"xchacha20poly1305","codec":"none",\
                "key_commitment":"\(key.commitment.hex)","key_id":"\(key.keyID)","original_bytes":13,\
                "sequence_number":1,"session_id":"sess-A"}
                """)
        var raw = [UInt8](repeating: 0, count: 32)
        let dataKey = key.withDataKey { [UInt8]($0) }
        #expect(crypto_kdf_derive_from_key(&raw, 32, 1, "reelchnk", dataKey) == 0)
        let start = 12 + length + 24
        var plain = [UInt8](repeating: 0, count: original.count)
        let status = crypto_aead_xchacha20poly1305_ietf_decrypt(
            &plain, nil, nil, Array(file[start...]), UInt64(file.count - start), Array(file[..<start]),
            UInt64(start), Array(file[(12 + length)..<start]), raw)
        #expect(status == 0)
        #expect(plain == original)
    }

    @Test("every truncation is refused, and every byte behind the end", arguments: Cipher.allCases)
    func truncation(cipher: Cipher) throws {
        var generator = SeededGenerator(seed: 12)
        _ = try seal(generator.text(300), cipher: cipher)
        let file = image.copyBytes()
        for length in 0..<file.count {
            #expect(throws: SealFailure.self, "length \(length)") {
                _ = try open(Array(file.prefix(length)), key: key)
            }
        }
        #expect(throws: SealFailure.self) { _ = try open(file + [0], key: key) }
    }

    @Test("every single bit is protected")
    func bitFlips() throws {
        var generator = SeededGenerator(seed: 13)
        _ = try seal(generator.text(300))
        let file = image.copyBytes()
        let parts = try file.withUnsafeBytes { try SealedParts(inspecting: $0) }
        for index in file.indices {
            for bit in 0..<8 {
                var changed = file
                changed[index] ^= 1 << bit
                let found = failure(SealFailure.self) { _ = try open(changed, key: key) }
                #expect(found != nil, "bit \(bit) of byte \(index)")
                if index < 8 { #expect(found == .notASealedFile) }
                if index >= parts.headerEnd { #expect(found == .authenticationFailed) }
            }
        }
    }

    @Test("names what is wrong with key, session, chunk and content")
    func wrongKeys() throws {
        let original = [UInt8]("secret".utf8)
        _ = try seal(original)
        let file = image.copyBytes()
        let other = try SessionKey.generate(sessionID: "sess-A")
        let same = try SessionKey.generate(sessionID: "sess-A", keyID: key.keyID)
        let foreign = try SessionKey.generate(sessionID: "sess-B")
        let digest = SHA256.hash(original)
        let found = original.withUnsafeBytes { key.contentDigester().authenticate($0) }
        func error(_ key: SessionKey, _ chunk: ChunkIdentity? = nil, _ digest: Digest? = nil) -> SealFailure?
        {
            failure(SealFailure.self) { _ = try open(file, key: key, chunk: chunk, digest: digest) }
        }
        #expect(error(other) == .wrongKey(expected: key.keyID, found: other.keyID))
        #expect(error(same) == .wrongKey(expected: key.keyID, found: key.keyID))
        #expect(error(foreign) == .otherSession(expected: "sess-A", found: "sess-B"))
        #expect(error(key, try identity(2)) == .otherChunk(expected: try identity(2), found: try identity(1)))
        #expect(error(key, nil, digest) == .digestMismatch(expected: digest, found: found))
        #expect(error(key) == nil)
        #expect(throws: SealFailure.otherSession(expected: "sess-A", found: "sess-B")) {
            try original.withUnsafeBytes {
                _ = try Sealer().seal(
                    $0, of: identity(), codec: .none, originalBytes: 6, cipher: .xchacha20poly1305,
                    key: foreign, into: image)
            }
        }
    }

    @Test("an original over the limit, or larger than declared, is refused")
    func limits() throws {
        let sealed = try seal([UInt8](repeating: 0, count: 5_000_000))
        #expect(sealed.fileBytes < 2000)
        _ = image.withBytes { file in
            #expect(throws: SealFailure.tooLarge(bytes: 5_000_000, limit: 4_999_999)) {
                try Opener().open(
                    file, key: key, expecting: identity(), contentDigest: recorded.digest,
                    maximumOriginalBytes: 4_999_999, into: output)
            }
        }
        let bomb = try [UInt8](repeating: 0, count: 5_000_000).withUnsafeBytes { original in
            let payload = ScratchBuffer()
            _ = try Compressor(codec: .gzip).compress(original, into: payload)
            return payload.copyBytes()
        }
        _ = try bomb.withUnsafeBytes {
            try Sealer().seal(
                $0, of: identity(), codec: .gzip, originalBytes: 10, cipher: .xchacha20poly1305, key: key,
                into: image)
        }
        #expect(throws: SealFailure.payload(.wrongSize(.gzip, declared: 10, found: nil))) {
            _ = try open(image.copyBytes(), key: key)
        }
    }

    @Test("a header without a key is one of the format's, and no key opens the file")
    func keyless() throws {
        let header = try SealedHeader(
            chunk: identity(), codec: .none, cipher: .none, originalBytes: 6, keyID: "", keyCommitment: "")
        let encoded = header.encoded()
        let length = withUnsafeBytes(of: UInt32(encoded.count).littleEndian) { [UInt8]($0) }
        let file = [UInt8]("REELCHK1".utf8) + length + encoded + [UInt8]("public".utf8)
        #expect(try file.withUnsafeBytes { try SealedParts(inspecting: $0).header } == header)
        let digest = [UInt8]("public".utf8).withUnsafeBytes { key.contentDigester().authenticate($0) }
        #expect(throws: SealFailure.wrongKey(expected: "", found: key.keyID)) {
            _ = try open(file, key: key, digest: digest)
        }
    }
}
