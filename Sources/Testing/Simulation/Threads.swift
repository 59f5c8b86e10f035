internal import Base
internal import Glibc

/// Counters that several threads add to.
final class Tally: Sendable {
    private let values: Lock<[Int]>

    init(_ count: Int) { values = Lock(Array(repeating: 0, count: count)) }

    func add(_ index: Int) { values.withLock { $0[index] += 1 } }

    var counts: [Int] { values.withLock { $0 } }
}

/// Runs `body` on this many threads at once and waits for them; throws the first error of any.
package func concurrently(_ threads: Int, _ body: @escaping @Sendable (Int) throws -> Void) throws {
    let errors = Lock<[any Error]>([])
    var started: [pthread_t] = []
    for number in 0..<threads {
        // Threads of their own: a dispatch queue would run no more of them than there are cores.
        let work = Unmanaged.passRetained(
            ThreadBody { do { try body(number) } catch { errors.withLock { $0.append(error) } } })
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { context in
                if let context { Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().run() }
                return nil
            }, work.toOpaque())
        guard code == 0 else {
            work.release()
            for thread in started { pthread_join(thread, nil) }
            throw ContractViolation(description: "no thread could be started (code \(code))")
        }
        started.append(thread)
    }
    for thread in started { pthread_join(thread, nil) }
    if let error = errors.withLock({ $0.first }) { throw error }
}

/// Starts `body` on a thread that nobody waits for.
func startDetachedThread(_ body: @escaping @Sendable () -> Void) {
    let work = Unmanaged.passRetained(ThreadBody(body))
    var thread = pthread_t()
    let code = pthread_create(
        &thread, nil,
        { context in
            if let context { Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().run() }
            return nil
        }, work.toOpaque())
    precondition(code == 0, "no thread could be started (code \(code))")
    pthread_detach(thread)
}

private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void

    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// Lets other threads run.
func spinPause() { sched_yield() }

/// A value that threads take turns with and can wait on.
///
/// Sendable because `value` is touched only with `mutex` held.
final class Monitor<Value>: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var value: Value

    init(_ value: sending Value) {
        self.value = value
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(changed, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    /// Runs `body` with the value to itself, and wakes those that wait.
    func with<R, E: Error>(_ body: (inout Value) throws(E) -> R) throws(E) -> R {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_broadcast(changed)
            pthread_mutex_unlock(mutex)
        }
        return try body(&value)
    }

    /// Runs `body` until it answers something, each time the value may have changed and at least every
    /// 20 ms (time itself makes things due), for `milliseconds` at most.
    func wait<R>(milliseconds: Int, _ body: (inout Value) -> R?) -> R? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        let deadline = Self.now() + max(0, milliseconds)
        while true {
            if let result = body(&value) {
                pthread_cond_broadcast(changed)
                return result
            }
            let now = Self.now()
            guard now < deadline else { return nil }
            let until = min(deadline, now + 20)
            var time = timespec(tv_sec: until / 1000, tv_nsec: until % 1000 * 1_000_000)
            pthread_cond_timedwait(changed, mutex, &time)
        }
    }

    private static func now() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }
}
