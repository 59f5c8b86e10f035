import Simulation
import Testing

@testable import Files
@testable import Sealing

@Suite("Codecs")
struct CodecTests {
    static let sizes = [0, 1, 2, 15, 16, 255, 4095, 4096, 65_537, 300_001, 4_200_000]

    private func compress(_ input: [UInt8], _ codec: Codec) throws -> (Codec, [UInt8]) {
        let output = ScratchBuffer()
        let used = try input.withUnsafeBytes { try Compressor(codec: codec).compress($0, into: output) }
        return (used, used == .none ? input : output.copyBytes())
    }

    private func restore(_ payload: [UInt8], _ codec: Codec, _ size: Int) throws -> [UInt8] {
        let output = ScratchBuffer()
        do {
            try payload.withUnsafeBytes {
                try Decompressor().decompress($0, codec: codec, originalBytes: size, into: output)
            }
        } catch {
            #expect(output.isEmpty, "an error leaves no bytes behind")
            throw error
        }
        return output.copyBytes()
    }

    @Test("gives back what it was given, at every size, and never grows", arguments: Codec.allCases, sizes)
    func roundTrip(codec: Codec, size: Int) throws {
        let seed = newSeed("codec round trip, \(codec.rawValue), \(size)")
        var generator = SeededGenerator(seed: seed)
        for input in [generator.text(size), generator.bytes(size), [UInt8](repeating: 7, count: size)] {
            let (used, payload) = try compress(input, codec)
            #expect(used == codec || used == .none, "seed \(seed)")
            #expect(payload.count <= input.count, "seed \(seed)")
            #expect(used == .none || payload.count < input.count, "seed \(seed)")
            #expect(try restore(payload, used, size) == input, "seed \(seed)")
        }
    }

    @Test("text shrinks and random bytes stay as they are", arguments: [Codec.zstd, .lz4, .gzip])
    func shrinking(codec: Codec) throws {
        var generator = SeededGenerator(seed: 1)
        #expect(try compress(generator.text(500_000), codec).0 == codec)
        #expect(try compress(generator.bytes(500_000), codec).0 == .none)
        #expect(try compress([], codec).0 == .none)
    }

    @Test("the gzip probe finds repetitions of random bytes, and text behind random bytes")
    func gzipProbe() throws {
        var generator = SeededGenerator(seed: 2)
        let repeated = (0..<20).flatMap { _ in
            let block = generator.bytes(16_000)
            return block + block
        }
        #expect(try compress(repeated, .gzip).0 == .gzip)
        let mixed = generator.bytes(300_000) + generator.text(60_000) + generator.bytes(300_000)
        #expect(try compress(mixed, .gzip).0 == .gzip)
    }

    @Test("frames are the standard ones")
    func frames() throws {
        var generator = SeededGenerator(seed: 3)
        let input = generator.text(100_000)
        #expect(Array(try compress(input, .zstd).1.prefix(4)) == [0x28, 0xb5, 0x2f, 0xfd])
        #expect(Array(try compress(input, .lz4).1.prefix(4)) == [0x04, 0x22, 0x4d, 0x18])
        // gzip, deflate, no flags, no time.
        #expect(Array(try compress(input, .gzip).1.prefix(8)) == [0x1f, 0x8b, 8, 0, 0, 0, 0, 0])
    }

    @Test("a reused compressor gives the same bytes as a new one", arguments: [Codec.zstd, .lz4, .gzip])
    func reuse(codec: Codec) throws {
        var generator = SeededGenerator(seed: 4)
        let compressor = try Compressor(codec: codec)
        let output = ScratchBuffer()
        for size in [90_000, 1000, 200_000] {
            let input = generator.text(size)
            let used = try input.withUnsafeBytes { try compressor.compress($0, into: output) }
            #expect(used == codec)
            #expect(try compress(input, codec).1 == output.copyBytes())
        }
    }

    @Test("refuses every truncation and every byte behind the frame", arguments: [Codec.zstd, .lz4, .gzip])
    func truncation(codec: Codec) throws {
        var generator = SeededGenerator(seed: 5)
        let input = generator.text(3000)
        let payload = try compress(input, codec).1
        for length in 0..<payload.count {
            #expect(throws: CodecFailure.self, "length \(length)") {
                try restore(Array(payload.prefix(length)), codec, input.count)
            }
        }
        for extra in [[0], [UInt8](payload), [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]] as [[UInt8]] {
            #expect(
                failure(CodecFailure.self) { _ = try restore(payload + extra, codec, input.count) }
                    == .trailingBytes(codec, count: extra.count))
        }
    }

    @Test("refuses a frame of another size than declared", arguments: Codec.allCases)
    func wrongSize(codec: Codec) throws {
        var generator = SeededGenerator(seed: 6)
        let input = generator.text(70_000)
        let payload = try compress(input, codec).1
        for declared in [-1, 0, 1, 69_999, 70_001, 1_000_000] {
            #expect(throws: CodecFailure.self, "declared \(declared)") {
                try restore(payload, codec, declared)
            }
        }
    }

    @Test(
        "a frame that would fill the memory writes no more than was declared",
        arguments: [Codec.zstd, .lz4, .gzip])
    func bomb(codec: Codec) throws {
        let payload = try compress([UInt8](repeating: 0, count: 20_000_000), codec).1
        let output = ScratchBuffer()
        #expect(throws: CodecFailure.self) {
            try payload.withUnsafeBytes {
                try Decompressor().decompress($0, codec: codec, originalBytes: 1000, into: output)
            }
        }
        #expect(output.isEmpty)
        #expect(output.capacity < 1_000_000)
    }

    @Test("a skippable zstd frame is no chunk of zero bytes")
    func skippable() {
        #expect(throws: CodecFailure.self) {
            try restore([0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9], .zstd, 0)
        }
    }

    @Test("levels outside the codec's are refused")
    func levels() throws {
        for (codec, level) in [(Codec.zstd, 0), (.zstd, 20), (.gzip, 0), (.gzip, 10), (.lz4, 1), (.none, 1)] {
            #expect(
                failure(CodecFailure.self) { _ = try Compressor(codec: codec, level: level) }
                    == .unknownLevel(codec, level: level))
        }
        #expect(try Compressor(codec: .zstd).level == 3)
        #expect(try Compressor(codec: .gzip).level == 6)
        #expect(try Compressor(codec: .zstd, level: 19).level == 19)
    }

    @Test("a buffer keeps its bytes while it grows, and its storage when emptied")
    func scratch() {
        let buffer = ScratchBuffer()
        buffer.append([1, 2, 3])
        buffer.reserve(10_000_000)
        #expect(buffer.copyBytes() == [1, 2, 3])
        let capacity = buffer.capacity
        buffer.removeAll()
        #expect(buffer.isEmpty && buffer.capacity == capacity)
        #expect(
            buffer.appendUninitialized(4) {
                $0.copyBytes(from: [9, 8]); return 2
            } == 2)
        #expect(buffer.copyBytes() == [9, 8])
    }
}
