internal import Base
internal import CPosix
internal import CSandbox
internal import Glibc
package import Recording
package import Supervision

/// Looks into a film before it is recorded. What reads the stranger's bytes is a short-lived process of its
/// own, which the kernel confines to what it has open, with bounds on time and memory: a film that breaks it
/// leaves nothing behind but that nothing is known of it.
package final class MediaProbe {
    /// What came of a look.
    package enum Outcome: Sendable, Hashable {
        /// It is a film, and says this.
        case film(MediaFacts)
        /// It is none that is known.
        case unknown
        /// Nobody knows: why.
        case failed(String)
    }

    /// The argument that makes the program look into a film; whatever comes behind it are descriptors.
    package static let argument = "internal-look-into-film"

    /// Milliseconds that a look may take.
    private static let limit_ms = 5_000
    private static let answerBytes = 4_096

    private let child: ChildProcess
    private let answer: Int32

    /// Begins to look.
    /// - Parameters:
    ///   - descriptor: an open file, whose offset stays where it is.
    ///   - program: path of this program.
    package init(_ descriptor: Int32, program: String) throws(SystemFailure) {
        var ends: [Int32] = [-1, -1]
        guard reel_pipe(&ends) == 0 else { throw SystemFailure("pipe", program) }
        defer { close(ends[1]) }
        do throws(SystemFailure) {
            child = try ChildProcess(
                ChildProcess.Command(
                    program, [Self.argument, "\(descriptor)", "\(ends[1])"],
                    environment: ["SWIFT_BACKTRACE": "enable=no"], folder: "/", logFile: "/dev/null",
                    inherited: [descriptor, ends[1]], deathSignal: SIGKILL))
        } catch {
            close(ends[0])
            throw error
        }
        answer = ends[0]
    }

    deinit {
        child.send(SIGKILL)
        close(answer)
    }

    /// What it found. Blocks until it has, for some seconds at most.
    package func outcome() -> Outcome {
        guard let status = child.wait(milliseconds: Self.limit_ms) else {
            child.send(SIGKILL)
            return .failed("it took longer than \(Self.limit_ms / 1000) s")
        }
        guard status == .exited(0) else {
            return status == .exited(Self.notInstalled)
                ? .failed("libavformat is not installed") : .failed("reading it ended with \(status)")
        }
        var bytes = [UInt8](repeating: 0, count: Self.answerBytes)
        let count = read(answer, &bytes, bytes.count)
        guard count > 0 else { return .unknown }
        do {
            let json = try JSONValue(parsing: Array(bytes.prefix(count)))
            return .film(try MediaFacts(from: try FieldReader(type: "film", json)))
        } catch { return .failed("reading it brought no facts: \(error)") }
    }

    // MARK: - In the process of its own

    private static let notInstalled: Int32 = 4
    private static let unconfined: Int32 = 5

    /// What the process does that `init` starts; its exit status.
    /// - Parameter arguments: behind `argument`.
    package static func look(_ arguments: some Sequence<String?>) -> Int32 {
        let descriptors = arguments.compactMap { $0.flatMap { Int32($0) } }
        guard descriptors.count == 2 else { return 2 }
        let (film, answer) = (descriptors[0], descriptors[1])
        guard let reader = FilmReader() else { return notInstalled }
        var status = stat()
        guard fstat(film, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return 2 }
        guard confine() else { return unconfined }
        guard let facts = reader.read(film, size: Int64(status.st_size)) else { return 0 }
        var writer = JSONWriter()
        facts.encode(into: &writer)
        let bytes = writer.bytes
        return write(answer, bytes, bytes.count) == bytes.count ? 0 : 1
    }

    /// Bounds what may be used from here on, and what may be done.
    static func confine() -> Bool {
        // Seconds of the processor, bytes of memory, bytes of a file, open files, bytes of a core dump.
        let limits: [(__rlimit_resource, rlim_t)] = [
            (RLIMIT_CPU, 3), (RLIMIT_AS, 2 << 30), (RLIMIT_FSIZE, 0), (RLIMIT_NOFILE, 0), (RLIMIT_CORE, 0),
        ]
        for (resource, most) in limits {
            var limit = rlimit(rlim_cur: most, rlim_max: most)
            guard setrlimit(__rlimit_resource_t(resource.rawValue), &limit) == 0 else { return false }
        }
        return reel_confine() == 0
    }
}
