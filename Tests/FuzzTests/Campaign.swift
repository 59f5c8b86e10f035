import Base
import Foundation
import Testing

/// Many cases, each with a seed of its own that is the campaign's plus its number.
///
/// `REEL_FUZZ_SEED` repeats a campaign, `REEL_FUZZ_FIRST` from a case on, `REEL_FUZZ_CASES` says how many
/// cases it has, `REEL_FUZZ_SECONDS` that it ends after a time. A case that takes more than ten seconds ends
/// the process, with its seed said: nothing that is read makes Reel hang.
struct Campaign {
    let name: String
    let seed: UInt64
    private let first: Int
    private let cases: Int
    private let seconds: Double?
    private static let hangSeconds: UInt64 = 10

    init(_ name: String) {
        let environment = ProcessInfo.processInfo.environment
        self.name = name
        seed = environment["REEL_FUZZ_SEED"].flatMap { UInt64($0) } ?? .random(in: 0...UInt64.max)
        seconds = environment["REEL_FUZZ_SECONDS"].flatMap { Double($0) }
        first = environment["REEL_FUZZ_FIRST"].flatMap { Int($0) } ?? 0
        cases = environment["REEL_FUZZ_CASES"].flatMap { Int($0) } ?? (seconds == nil ? 300 : 1 << 40)
        print("fuzz \(name): seed \(seed)")
    }

    /// Runs the cases until one fails.
    /// - Parameter body: makes one case of a seed; answers what is wrong, or nil, and whether anything that
    /// was
    ///   changed was accepted or refused.
    func run(_ body: (UInt64) throws -> Verdict) throws {
        let watch = Watch(name, seed)
        defer { watch.stop() }
        let began = ContinuousClock.now
        var counts = [0, 0, 0]
        for number in first..<(first + cases) {
            if let seconds, ContinuousClock.now - began > .seconds(seconds) { break }
            watch.begin(number)
            switch try body(seed &+ UInt64(number)) {
            case .refused: counts[0] += 1
            case .right: counts[1] += 1
            case .unchanged: counts[2] += 1
            case .wrong(let text):
                Issue.record(
                    """
                    fuzz \(name): \(text); REEL_FUZZ_SEED=\(seed) REEL_FUZZ_FIRST=\(number) \
                    REEL_FUZZ_CASES=1 shows it again
                    """)
                return
            }
        }
        let total = counts.reduce(0, +)
        print(
            "fuzz \(name): \(total) cases, \(counts[0]) refused, \(counts[1]) gave what was written, "
                + "\(counts[2]) changed nothing")
        // A campaign in which nothing is refused has tried nothing.
        #expect(total == 1 || counts[0] * 4 > total, "refused \(counts[0]) of \(total)")
    }

    /// How a case ended.
    enum Verdict {
        /// What was changed was refused.
        case refused
        /// It was read, and what came out is what was written.
        case right
        /// The change made no difference to the bytes.
        case unchanged
        /// Something came out that nobody wrote, or was lost.
        case wrong(String)
    }

    /// Ends the process when a case hangs.
    private final class Watch: Sendable {
        private let ended = DispatchSemaphore(value: 0)
        private let current = Lock<(number: Int, began: UInt64)?>(nil)

        init(_ name: String, _ seed: UInt64) {
            let thread = Thread { [self] in
                while ended.wait(timeout: .now() + 0.5) == .timedOut {
                    guard let (number, began) = current.withLock({ $0 }) else { return }
                    guard Self.now() - began > Campaign.hangSeconds * 1_000_000_000 else { continue }
                    print("fuzz \(name): case \(number) of seed \(seed) hangs")
                    exit(1)
                }
            }
            current.withLock { $0 = (0, Self.now()) }
            thread.start()
        }

        func begin(_ number: Int) { current.withLock { $0 = (number, Self.now()) } }

        func stop() { ended.signal() }

        private static func now() -> UInt64 { DispatchTime.now().uptimeNanoseconds }
    }
}

/// A folder that is removed with its last owner.
final class ScratchFolder {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "fuzz-tests-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Puts bytes into a file in place, whatever stood there.
    func put(_ bytes: [UInt8], at relative: String, mode: mode_t = 0o600) throws {
        let file = path + "/" + relative
        remove(relative)
        let descriptor = open(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode)
        try #require(descriptor >= 0, "\(file): \(String(cString: strerror(errno)))")
        defer { close(descriptor) }
        fchmod(descriptor, mode)
        let written = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        try #require(written == bytes.count)
    }

    func remove(_ relative: String) {
        if unlink(path + "/" + relative) != 0, errno == EISDIR || errno == EPERM {
            try? FileManager.default.removeItem(atPath: path + "/" + relative)
        }
    }

    func get(_ relative: String) -> [UInt8]? {
        (try? Data(contentsOf: URL(fileURLWithPath: path + "/" + relative))).map { [UInt8]($0) }
    }

    /// Names in a folder.
    func names(_ relative: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path + "/" + relative)
    }

    /// Kind and permissions of what stands there.
    func mode(_ relative: String) -> UInt32 {
        var status = stat()
        return lstat(path + "/" + relative, &status) == 0 ? UInt32(status.st_mode) : 0
    }

    /// Whether a link, a pipe or a folder stands there.
    func isSpecial(_ relative: String) -> Bool {
        var status = stat()
        return lstat(path + "/" + relative, &status) == 0 && status.st_mode & S_IFMT != S_IFREG
    }

    /// Something else than a regular file with these bytes: what a link, a pipe or a folder is taken for.
    func putSpecial(at relative: String, kind: Int, bytes: [UInt8]) throws {
        let file = path + "/" + relative
        remove(relative)
        switch kind {
        case 0: try #require(mkfifo(file, 0o600) == 0)
        case 1: try #require(mkdir(file, 0o700) == 0)
        default:
            try put(bytes, at: "elsewhere")
            try #require(symlink(path + "/elsewhere", file) == 0)
        }
    }
}
