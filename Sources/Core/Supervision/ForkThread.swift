import CPosix
import Glibc

/// The one thread that forks. The kernel's parent-death signal is bound to the thread that forked, not
/// to the process: children forked by a worker that ends would be killed with it. This thread lives as
/// long as the process.
enum ForkThread {
    private typealias Job = @Sendable () -> Void

    private static let started: Result<Monitor<[Job]>, SystemFailure> = start()

    private static func start() -> Result<Monitor<[Job]>, SystemFailure> {
        let jobs = Monitor<[Job]>([])
        do throws(SystemFailure) {
            try startThread(name: "fork", stackBytes: 1 << 18) {
                while let job = jobs.wait(for: { $0.isEmpty ? nil : $0.removeFirst() }) { job() }
            }
        } catch {
            return .failure(error)
        }
        return .success(jobs)
    }

    /// Runs `body` on that thread and waits for its answer.
    static func run<Answer: Sendable>(
        _ body: @escaping @Sendable () -> Answer
    ) throws(SystemFailure) -> Answer {
        let jobs = try started.get()
        let answer = Monitor<Answer?>(nil)
        jobs.update { jobs in
            jobs.append {
                let value = body()
                answer.update { $0 = value }
            }
        }
        guard let value = answer.wait(for: { $0 }) else {
            preconditionFailure("a wait without a limit ended without an answer")
        }
        return value
    }
}

/// Lends `strings` as a NULL-terminated C array.
func withCStrings<Answer>(
    _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Answer
) -> Answer {
    let array = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: strings.count + 1)
    for (index, string) in strings.enumerated() { (array + index).initialize(to: strdup(string)) }
    (array + strings.count).initialize(to: nil)
    defer {
        for index in strings.indices { free(array[index]) }
        array.deallocate()
    }
    return body(array)
}
