import Foundation

/// The seed of a random test: `REEL_TEST_SEED`, else a new one. It is printed, so that a failure can be
/// repeated.
package func testSeed(_ name: String) -> UInt64 {
    let given = ProcessInfo.processInfo.environment["REEL_TEST_SEED"].flatMap { UInt64($0) }
    let seed = given ?? UInt64.random(in: .min ... .max)
    FileHandle.standardError.write(Data("\(name): REEL_TEST_SEED=\(seed)\n".utf8))
    return seed
}
