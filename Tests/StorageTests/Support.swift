import Foundation
import Simulation
import Testing
import Sealing

extension SeededGenerator {
    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }

    /// Words from a small vocabulary: compresses about as well as logs do.
    mutating func text(_ count: Int) -> [UInt8] {
        let words = ["session ", "recorded ", "chunk ", "sealed ", "stored ", "0123 ", "\n"]
        var text: [UInt8] = []
        while text.count < count { text += words[Int(next() % UInt64(words.count))].utf8 }
        return Array(text.prefix(count))
    }
}

/// A seed for one run; printed, so that a failure can be had again.
func newSeed(_ test: String) -> UInt64 {
    let seed = UInt64.random(in: 0...UInt64.max)
    print("seed of \(test): \(seed)")
    return seed
}

/// A folder that is removed with its last owner.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "vault-tests-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func names(_ relative: String = "") throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path + "/" + relative).sorted()
    }

    func write(_ bytes: [UInt8], to relative: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: path + "/" + relative))
    }

    func read(_ relative: String) throws -> [UInt8] {
        try [UInt8](Data(contentsOf: URL(fileURLWithPath: path + "/" + relative)))
    }

    func setMode(_ mode: Int, of relative: String) throws {
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path + "/" + relative)
    }
}

/// Bytes of hexadecimal text, blanks ignored.
func hex(_ text: String) -> [UInt8] {
    let digits = text.filter { !$0.isWhitespace }
    return stride(from: 0, to: digits.count, by: 2).compactMap { offset in
        let start = digits.index(digits.startIndex, offsetBy: offset)
        return UInt8(digits[start..<digits.index(start, offsetBy: 2)], radix: 16)
    }
}

func identity(_ sequence: Int = 1, session: String = "sess-A") throws -> ChunkIdentity {
    try ChunkIdentity(
        chunkID: "\(session)-chunk-00000\(sequence)", sessionID: session, sequenceNumber: sequence)
}

/// The error that `body` throws, as the type expected; nil for no error or another type.
func failure<E: Error>(_ type: E.Type, _ body: () throws -> Void) -> E? {
    do {
        try body()
        return nil
    } catch {
        return error as? E
    }
}
