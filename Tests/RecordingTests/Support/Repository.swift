import Foundation
import Recording
import Simulation
import Testing

extension Repository {
    /// The lines of a golden file, each one CloudEvent.
    static func goldenLines(of type: String, version: Int = 1) throws -> [[UInt8]] {
        let file = golden.appendingPathComponent("\(type).v\(version).json")
        let bytes = Array(try Data(contentsOf: file))
        try #require(bytes.last == 0x0A, "\(type): a golden file ends with a newline")
        return bytes.dropLast().split(separator: 0x0A, omittingEmptySubsequences: false).map(Array.init)
    }
}
