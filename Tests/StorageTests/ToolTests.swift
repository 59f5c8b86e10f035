import Foundation
import Simulation
import Testing
import Files
import Sealing

@Suite("Frames and the tools of others")
struct ToolTests {
    static let tools: [(codec: Codec, path: String)] = [
        (.zstd, "/usr/bin/zstd"), (.lz4, "/usr/bin/lz4"), (.gzip, "/usr/bin/gzip"),
    ].filter { FileManager.default.isExecutableFile(atPath: $0.path) }

    private func run(_ tool: String, _ arguments: [String]) throws -> [UInt8] {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: tool)
        process.arguments = arguments
        process.standardOutput = output
        try process.run()
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return [UInt8](bytes)
    }

    @Test("the codec's own tool restores our frame, and we restore the tool's", arguments: tools)
    func bothWays(codec: Codec, path: String) throws {
        let folder = try TemporaryFolder()
        var generator = SeededGenerator(seed: 41)
        let original = generator.text(700_000)
        let buffer = ScratchBuffer()
        let used = try original.withUnsafeBytes {
            try Compressor(codec: codec).compress($0, into: buffer)
        }
        #expect(used == codec)
        try folder.write(buffer.copyBytes(), to: "frame")
        try folder.write(original, to: "plain")
        // The tools insist on a suffix only when they name the output themselves.
        let suffixes: [Codec: String] = [.gzip: ".gz", .zstd: ".zst", .lz4: ".lz4"]
        let named = "frame" + (suffixes[codec] ?? "")
        try folder.write(buffer.copyBytes(), to: named)
        #expect(try run(path, ["-d", "-c", folder.path + "/" + named]) == original)
        let theirs = try run(path, ["-c", folder.path + "/plain"])
        try theirs.withUnsafeBytes {
            try Decompressor().decompress($0, codec: codec, originalBytes: original.count, into: buffer)
        }
        #expect(buffer.copyBytes() == original)
    }
}
