internal import Dispatch
internal import Foundation
internal import Glibc
internal import Synchronization

/// Counters that several threads add to.
final class Tally: Sendable {
    private let values: Mutex<[Int]>

    init(_ count: Int) { values = Mutex(Array(repeating: 0, count: count)) }

    func add(_ index: Int) { values.withLock { $0[index] += 1 } }

    var counts: [Int] { values.withLock { $0 } }
}

/// Runs `body` on this many threads at once and waits for them; throws the first error of any.
func concurrently(_ threads: Int, _ body: @escaping @Sendable (Int) throws -> Void) throws {
    let errors = Mutex<[any Error]>([])
    let group = DispatchGroup()
    for number in 0..<threads {
        group.enter()
        // Threads of their own: a dispatch queue would run no more of them than there are cores.
        Thread {
            do { try body(number) } catch { errors.withLock { $0.append(error) } }
            group.leave()
        }.start()
    }
    group.wait()
    if let error = errors.withLock({ $0.first }) { throw error }
}

/// Lets other threads run.
func spinPause() { sched_yield() }
