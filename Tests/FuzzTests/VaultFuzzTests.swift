import Base
import Testing

@testable import ChunkFiles
@testable import Files
@testable import Sealing

/// Two sealed files of each codec and cipher, one of which is changed.
private final class Chunks {
    let folder: ScratchFolder
    let store: ChunkStore
    let key: SessionKey
    let reader = SealedFileReader()
    let image = ScratchBuffer()
    let original = ScratchBuffer()
    private(set) var samples: [Sample] = []

    struct Sample {
        var plain: [UInt8]
        var file: [UInt8]
        var chunk: SealedChunk
    }

    static let path = "chunks/sess-A/00000001.reel"

    init(_ mutator: inout Mutator) throws {
        folder = try ScratchFolder()
        store = try ChunkStore(root: folder.path + "/chunks")
        key = try SessionKey.generate(sessionID: "sess-A", keyID: "key-1")
        for codec in Codec.allCases {
            for cipher in Cipher.allCases {
                for text in [true, false] { samples.append(try sample(codec, cipher, text, &mutator)) }
            }
        }
        // The folder, which the store makes itself.
        _ = try samples[0].file.withUnsafeBytes { try store.store($0, session: "sess-A", sequence: 1) }
    }

    private func sample(
        _ codec: Codec, _ cipher: Cipher, _ isText: Bool, _ mutator: inout Mutator
    ) throws -> Sample {
        let plain =
            isText
            ? Array("what was on the screen \(mutator.below(1000)) ".utf8) * (1 + mutator.below(100))
            : mutator.bytes(mutator.below(600))
        let digest = plain.withUnsafeBytes { key.contentDigester().authenticate($0) }
        let recorded = try RecordedChunk(
            sessionID: "sess-A", chunkID: "sess-A-chunk-000001", sequenceNumber: 1, sizeBytes: plain.count,
            contentDigest: digest.hex, keyID: key.keyID, cipher: cipher.rawValue)
        let sealed = try plain.withUnsafeBytes {
            try Sealer().compressAndSeal(
                $0, of: recorded.identity, with: try Compressor(codec: codec), cipher: cipher, key: key,
                into: image)
        }
        return Sample(
            plain: plain, file: image.copyBytes(),
            chunk: try SealedChunk(
                recorded, codec: sealed.header.codec.rawValue, compressedBytes: sealed.payloadBytes,
                sealedBytes: sealed.fileBytes, merkleHash: sealed.leafHash.hex))
    }

    /// What a log says that was rewritten to fit a file, as far as the file can be read.
    func rewritten(_ file: [UInt8], _ chunk: SealedChunk, _ mutator: inout Mutator) throws -> SealedChunk {
        let parts = file.withUnsafeBytes { try? SealedParts(inspecting: $0) }
        var payload = parts?.payloadBytes(inFileOf: file.count) ?? chunk.compressedBytes
        if mutator.oneIn(8) { payload = Int(mutator.number() & ((1 << 53) - 1)) }
        return try SealedChunk(
            chunk.recorded, codec: (parts?.header.codec ?? chunk.codec).rawValue,
            compressedBytes: max(0, payload), sealedBytes: file.count,
            merkleHash: file.withUnsafeBytes { LeafHasher().hash($0) }.hex)
    }
}

private func * (piece: [UInt8], count: Int) -> [UInt8] { (0..<count).flatMap { _ in piece } }

private let words = [
    "REELCHK1", "none", "zstd", "lz4", "gzip", "xchacha20poly1305", "\"", "{", "}", ",", ":", "sess-B",
    "sess-A-chunk-000002", "key-2", "9007199254740991", "9007199254740992", "18446744073709551615", "-1",
    "\"cipher\":\"none\"", "\"key_id\":\"\"", "\"key_commitment\":\"\"", "\\u0000", "\u{0}", "00",
]

@Suite("Sealed files that were changed at random", .serialized)
struct VaultFuzzTests {
    /// A file with another header, its length right.
    private func withHeader(_ file: [UInt8], _ mutator: inout Mutator, other: [UInt8]) -> [UInt8] {
        let length = Int(file[8]) | Int(file[9]) << 8
        let header = mutator.mutate(Array(file[12..<12 + length]), other: other)
        let count = UInt32(header.count)
        return file[..<8] + (0..<4).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) } + header
            + file[(12 + length)...]
    }

    @Test("give what was recorded, or are refused, whoever rewrote the log to fit them")
    func sealedFiles() throws {
        let campaign = Campaign("vault")
        var maker = Mutator(seed: campaign.seed)
        let chunks = try Chunks(&maker)
        try campaign.run { seed in
            var mutator = Mutator(seed: seed, dictionary: words)
            let sample = mutator.pick(chunks.samples)
            let other = mutator.pick(chunks.samples).file
            let file =
                mutator.oneIn(3)
                ? withHeader(sample.file, &mutator, other: other)
                : mutator.oneIn(20) ? other : mutator.mutate(sample.file, other: other)
            if mutator.oneIn(50) {
                try chunks.folder.putSpecial(at: Chunks.path, kind: mutator.below(3), bytes: sample.file)
            } else {
                try chunks.folder.put(file, at: Chunks.path)
            }
            let isSpecial = chunks.folder.isSpecial(Chunks.path)
            let isSame = file == sample.file && !isSpecial
            let log = mutator.oneIn(2) ? sample.chunk : try chunks.rewritten(file, sample.chunk, &mutator)
            let adopts = mutator.oneIn(4)
            do throws(SealedFileFault) {
                if adopts {
                    _ = try chunks.reader.adopt(
                        sample.chunk.recorded, from: chunks.store, key: chunks.key, image: chunks.image,
                        into: chunks.original)
                } else {
                    try chunks.reader.open(
                        log, from: chunks.store, key: chunks.key, image: chunks.image,
                        into: chunks.original)
                }
            } catch {
                if isSame, adopts || log == sample.chunk {
                    return .wrong("what is sound is refused: \(error)")
                }
                guard chunks.original.isEmpty else {
                    return .wrong("\(chunks.original.count) bytes are handed out although \(error)")
                }
                return .refused
            }
            guard chunks.original.copyBytes() == sample.plain else {
                return .wrong("other bytes come out than were recorded")
            }
            if isSpecial { return .wrong("something else than a regular file is read") }
            if !isSame, !adopts, log == sample.chunk {
                return .wrong("a file is taken that is not the one in the log")
            }
            return isSame ? .unchanged : .right
        }
    }
}
