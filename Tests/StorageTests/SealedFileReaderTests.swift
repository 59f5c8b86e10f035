import Base
import Foundation
import Glibc
import Testing

@testable import ChunkFiles
@testable import Files
@testable import Sealing

/// A store, a session's key, and chunks as the log describes them.
private struct Scene {
    let folder: TemporaryFolder
    let store: ChunkStore
    let key: SessionKey
    let reader = SealedFileReader()
    let image = ScratchBuffer()
    let original = ScratchBuffer()

    init() throws {
        folder = try TemporaryFolder()
        store = try ChunkStore(root: folder.path + "/chunks")
        key = try SessionKey.generate(sessionID: "sess-A", keyID: "key-1")
    }

    static let bytes = Array(repeating: [UInt8]("what was on the screen ".utf8), count: 20).flatMap { $0 }

    func recorded(
        _ number: Int = 1, _ bytes: [UInt8] = Scene.bytes, cipher: Cipher = .xchacha20poly1305,
        session: String = "sess-A", key: SessionKey? = nil
    ) throws -> RecordedChunk {
        let key = key ?? self.key
        let digest = bytes.withUnsafeBytes { key.contentDigester().authenticate($0) }
        return try RecordedChunk(
            sessionID: session, chunkID: "\(session)-chunk-00000\(number)", sequenceNumber: number,
            sizeBytes: bytes.count, contentDigest: digest.hex, keyID: key.keyID, cipher: cipher.rawValue)
    }

    /// A sealed file, as somebody with that key makes it.
    func seal(
        _ recorded: RecordedChunk, _ bytes: [UInt8] = Scene.bytes, codec: Codec = .zstd,
        cipher: Cipher? = nil,
        key: SessionKey? = nil
    ) throws -> (file: [UInt8], sealed: SealedImage) {
        let image = ScratchBuffer()
        let sealed = try bytes.withUnsafeBytes {
            try Sealer().compressAndSeal(
                $0, of: recorded.identity, with: try Compressor(codec: codec),
                cipher: cipher ?? recorded.cipher, key: key ?? self.key, into: image)
        }
        return (image.copyBytes(), sealed)
    }

    /// A file put together by hand.
    func handMade(_ header: SealedHeader, _ rest: [UInt8]) -> [UInt8] {
        let encoded = header.encoded()
        let length = withUnsafeBytes(of: UInt32(encoded.count).littleEndian) { [UInt8]($0) }
        return [UInt8]("REELCHK1".utf8) + length + encoded + rest
    }

    /// What a log that was rewritten to fit the file says of it.
    func described(_ file: [UInt8], _ recorded: RecordedChunk, codec: Codec, payload: Int) -> SealedChunk {
        SealedChunk(
            recorded, codec: codec, compressedBytes: payload, sealedBytes: file.count,
            merkleHash: file.withUnsafeBytes { LeafHasher().hash($0) })
    }

    func put(_ file: [UInt8], _ number: Int = 1, session: String = "sess-A") throws {
        _ = try store.removeSession(session)
        _ = try file.withUnsafeBytes { try store.store($0, session: session, sequence: number) }
    }

    func stored(
        _ number: Int = 1, codec: Codec = .zstd, cipher: Cipher = .xchacha20poly1305
    ) throws -> (file: [UInt8], chunk: SealedChunk) {
        let recorded = try recorded(number, cipher: cipher)
        let (file, sealed) = try seal(recorded, codec: codec)
        try put(file, number)
        return (
            file,
            described(file, recorded, codec: sealed.header.codec, payload: sealed.payloadBytes)
        )
    }

    /// Opens a chunk; what fails leaves no byte behind.
    func open(_ chunk: SealedChunk, key: SessionKey? = nil) -> SealedFileFault? {
        failure(SealedFileFault.self) {
            do {
                try reader.open(chunk, from: store, key: key ?? self.key, image: image, into: original)
            } catch {
                #expect(original.isEmpty)
                throw error
            }
            #expect(original.copyBytes() == Scene.bytes)
        }
    }
}

@Suite("The one way to open sealed files", .timeLimit(.minutes(1)))
struct SealedFileReaderTests {
    @Test("what was sealed and described comes back", arguments: Codec.allCases, Cipher.allCases)
    func roundTrip(codec: Codec, cipher: Cipher) throws {
        let scene = try Scene()
        let (file, chunk) = try scene.stored(codec: codec, cipher: cipher)
        #expect(scene.open(chunk) == nil)
        #expect(scene.image.copyBytes() == file)
        try scene.reader.read(chunk, from: scene.store, into: scene.image)
        #expect(scene.image.copyBytes() == file)
        let (fresh, sealed) = try scene.seal(chunk.recorded, codec: codec)
        scene.image.removeAll()
        scene.image.append(fresh)
        try scene.reader.open(
            scene.image, sealedAs: sealed, of: chunk.recorded, key: scene.key, into: scene.original)
        #expect(scene.original.copyBytes() == Scene.bytes)
    }

    @Test("every bit of a file, its end and what is behind it are checked without a key too")
    func damage() throws {
        let scene = try Scene()
        let (file, chunk) = try scene.stored()
        let path = scene.folder.path + "/chunks/sess-A/00000001.reel"
        func check(_ bytes: [UInt8]) throws -> SealedFileFault.Check? {
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            let found = failure(SealedFileFault.self) {
                try scene.reader.read(chunk, from: scene.store, into: scene.image)
            }
            #expect(found == nil || scene.image.isEmpty)
            #expect(scene.open(chunk)?.check == found?.check)
            return found?.check
        }
        for index in file.indices {
            var damaged = file
            damaged[index] ^= 1 << UInt8(index % 8)
            let found = try check(damaged)
            #expect(found == .damaged || found == .swapped, "byte \(index)")
        }
        for length in [0, 5, 8, 11, 12, 100, file.count - 1] {
            #expect(try check(Array(file.prefix(length))) == .truncated, "\(length) bytes")
        }
        #expect(try check(file + [0]) == .extended)
        #expect(try check(file) == nil)
        unlink(path)
        #expect(scene.open(chunk)?.check == .missing)
        try #require(mkfifo(path, 0o600) == 0)
        #expect(scene.open(chunk)?.check == .special)
    }

    @Test("files of other chunks are named as what they are, whatever their length")
    func others() throws {
        let scene = try Scene()
        let (_, chunk) = try scene.stored()
        for bytes in [Scene.bytes, Array(Scene.bytes.dropLast()), Scene.bytes + Scene.bytes] {
            let other = try scene.seal(try scene.recorded(2, bytes), bytes).file
            try scene.put(other)
            #expect(scene.open(chunk)?.check == .swapped)
            let key = try SessionKey.generate(sessionID: "sess-B", keyID: "key-2")
            let foreign = try scene.recorded(1, bytes, session: "sess-B", key: key)
            try scene.put(try scene.seal(foreign, bytes, key: key).file)
            let fault = scene.open(chunk)
            #expect(fault?.check == .foreign && fault?.text.contains("sess-B") == true)
        }
    }

    /// What somebody without the session's key puts in place, with the log rewritten to fit.
    @Test("a log that was rewritten to fit a forged file makes no file of the session of it")
    func rewritten() throws {
        let scene = try Scene()
        let recorded = try scene.recorded()
        let forged = Array(repeating: UInt8(ascii: "x"), count: Scene.bytes.count)
        let size = forged.count
        func header(
            codec: Codec = .none, cipher: Cipher = .none, bytes: Int = Scene.bytes.count, keyID: String = "",
            commitment: String = "", number: Int = 1
        ) throws -> SealedHeader {
            try SealedHeader(
                chunk: identity(number), codec: codec, cipher: cipher, originalBytes: bytes, keyID: keyID,
                keyCommitment: commitment)
        }
        let commitment = scene.key.commitment.hex
        let other = try SessionKey.generate(sessionID: "sess-A", keyID: "key-1")
        let nonce = [UInt8](repeating: 0, count: 24)
        let tag = [UInt8](repeating: 0, count: 16)
        let cases: [(String, [UInt8], SealedFileFault.Check)] = [
            ("plain, without a key", scene.handMade(try header(), forged), .header),
            (
                "plain, with the key's commitment",
                scene.handMade(try header(keyID: "key-1", commitment: commitment), forged), .header
            ),
            (
                "a cipher without a key of the session",
                scene.handMade(
                    try header(cipher: .xchacha20poly1305, keyID: "key-2", commitment: commitment),
                    nonce + forged + tag), .header
            ),
            (
                "the right key's name, another commitment",
                try scene.seal(recorded, forged, codec: .none, key: other).file, .key
            ),
            (
                "the right commitment, and no such ciphertext",
                scene.handMade(
                    try header(cipher: .xchacha20poly1305, keyID: "key-1", commitment: commitment),
                    nonce + forged + tag), .payload
            ),
            (
                "another number",
                scene.handMade(
                    try header(cipher: .xchacha20poly1305, keyID: "key-1", commitment: commitment, number: 2),
                    nonce + forged + tag), .header
            ),
            (
                "a smaller original",
                scene.handMade(
                    try header(
                        cipher: .xchacha20poly1305, bytes: size - 1, keyID: "key-1", commitment: commitment),
                    nonce + forged + tag), .header
            ),
        ]
        for (what, file, check) in cases {
            try scene.put(file)
            for payload in [size, size - 1] {
                let chunk = scene.described(file, recorded, codec: .none, payload: payload)
                let fault = scene.open(chunk)
                #expect(fault?.check == check || payload != size && fault != nil, "\(what): \(fault as Any)")
            }
        }
    }

    @Test(
        "what is authentic and not what was recorded is refused: an older chunk, another length, another digest"
    )
    func content() throws {
        let scene = try Scene()
        let other = Array(Scene.bytes.reversed())
        let recorded = try scene.recorded()
        let (file, sealed) = try scene.seal(recorded, other)
        try scene.put(file)
        let chunk = scene.described(
            file, recorded, codec: sealed.header.codec, payload: sealed.payloadBytes)
        #expect(scene.open(chunk)?.check == .content)
        // Without a cipher the digest alone binds the content to the key.
        let plain = try scene.recorded(cipher: .none)
        let (plainFile, plainSealed) = try scene.seal(plain, other)
        try scene.put(plainFile)
        let forged = scene.described(
            plainFile, plain, codec: plainSealed.header.codec, payload: plainSealed.payloadBytes)
        #expect(scene.open(forged)?.check == .content)
        // The session's key is needed, not just any.
        let stranger = try SessionKey.generate(sessionID: "sess-B")
        let (_, sound) = try scene.stored()
        #expect(scene.open(sound, key: stranger)?.check == .key)
        let renamed = try SessionKey.generate(sessionID: "sess-A", keyID: "key-1")
        #expect(scene.open(sound, key: renamed)?.check == .key)
    }

    @Test("facts of the log that can't be checked by are errors, never checks that are left out")
    func malformed() throws {
        let scene = try Scene()
        let digest = String(repeating: "0a", count: 32)
        for bad in ["", "ABC", String(repeating: "0A", count: 32), digest + "0", String(digest.dropLast())] {
            #expect(
                failure(SealedFileFault.self) {
                    _ = try RecordedChunk(
                        sessionID: "s", chunkID: "c", sequenceNumber: 1, sizeBytes: 1, contentDigest: bad,
                        keyID: "k", cipher: "none")
                }?.check == .malformed, "content_digest \(bad)")
            #expect(
                failure(SealedFileFault.self) {
                    _ = try SealedChunk(
                        try scene.recorded(), codec: "none", compressedBytes: 1, sealedBytes: 1,
                        merkleHash: bad)
                }?.check == .malformed, "merkle_hash \(bad)")
        }
        for (key, cipher, size) in [
            ("", "none", 1), ("../k", "none", 1), ("k", "", 1), ("k", "NONE", 1), ("k", "aes", 1),
            ("k", "none", -1), ("k", "none", Int.max),
        ] {
            #expect(
                failure(SealedFileFault.self) {
                    _ = try RecordedChunk(
                        sessionID: "s", chunkID: "c", sequenceNumber: 1, sizeBytes: size,
                        contentDigest: digest, keyID: key, cipher: cipher)
                }?.check == .malformed, "\(key) \(cipher) \(size)")
        }
        for (session, chunk, number) in [("", "c", 1), ("a/b", "c", 1), ("s", "", 1), ("s", "c", 0)] {
            #expect(
                failure(SealedFileFault.self) {
                    _ = try RecordedChunk(
                        sessionID: session, chunkID: chunk, sequenceNumber: number, sizeBytes: 1,
                        contentDigest: digest, keyID: "k", cipher: "none")
                }?.check == .malformed)
        }
        for (codec, compressed, sealed) in [("", 1, 1), ("brotli", 1, 1), ("none", -1, 1), ("none", 1, .max)]
        {
            #expect(
                failure(SealedFileFault.self) {
                    _ = try SealedChunk(
                        try scene.recorded(), codec: codec, compressedBytes: compressed, sealedBytes: sealed,
                        merkleHash: digest)
                }?.check == .malformed)
        }
    }

    @Test("a file that the log does not describe yet is adopted only when it gives back what was recorded")
    func adoption() throws {
        let scene = try Scene()
        let recorded = try scene.recorded()
        func adopt(_ file: [UInt8]) throws -> Result<SealedChunk, SealedFileFault> {
            try scene.put(file)
            return Result { () throws(SealedFileFault) in
                try scene.reader.adopt(
                    recorded, from: scene.store, key: scene.key, image: scene.image, into: scene.original)
            }
        }
        for codec in Codec.allCases {
            let (file, sealed) = try scene.seal(recorded, codec: codec)
            let found = try adopt(file).get()
            #expect(found.merkleHash == sealed.leafHash && found.codec == sealed.header.codec)
            #expect(found.compressedBytes == sealed.payloadBytes && found.sealedBytes == file.count)
            #expect(scene.original.copyBytes() == Scene.bytes)
        }
        func refused(_ file: [UInt8]) throws -> SealedFileFault.Check? {
            guard case .failure(let fault) = try adopt(file) else { return nil }
            #expect(scene.original.isEmpty)
            return fault.check
        }
        #expect(try refused(try scene.seal(recorded, cipher: .some(.none)).file) == .header)
        #expect(try refused(try scene.seal(try scene.recorded(2)).file) == .header)
        #expect(try refused(try scene.seal(recorded, Array(Scene.bytes.reversed())).file) == .content)
        #expect(try refused([]) == .header)
        #expect(try refused(Array(repeating: 0, count: 1 << 20)) == .extended)
        var damaged = try scene.seal(recorded).file
        damaged[damaged.count - 1] ^= 1
        #expect(try refused(damaged) == .payload)
    }
}
