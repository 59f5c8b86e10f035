internal import Base
import CPosix
import Glibc

/// A blocking closure on a thread of its own. Swift's own pool has as many threads as the machine has
/// cores: one blocking call there stalls everybody, so whatever blocks runs here.
///
/// The thread starts at once and is never cancelled; a closure that should end early looks at a
/// `StopSignal`. Dropping the object does not stop the thread.
package final class OwnThread<Value: Sendable>: Sendable {
    private struct Outcome {
        var result: Result<Value, any Error>?
        var waiting: [CheckedContinuation<Value, any Error>] = []
    }

    private let outcome = Monitor(Outcome())

    /// The thread's name; the system shows its first 15 bytes.
    package let name: String

    /// Starts `body`. `stackBytes` is rounded up to whole pages, 64 KiB at least.
    /// Throws when the system has no thread left to give.
    package init(
        name: String, stackBytes: Int = 1 << 20, _ body: @escaping @Sendable () throws -> Value
    ) throws(SystemFailure) {
        self.name = name
        let outcome = self.outcome
        try startThread(name: name, stackBytes: stackBytes) {
            let result = Result { try body() }
            let waiting = outcome.update { outcome in
                outcome.result = result
                defer { outcome.waiting = [] }
                return outcome.waiting
            }
            for continuation in waiting { continuation.resume(with: result) }
        }
    }

    /// Whether the closure has ended.
    package var isFinished: Bool { outcome.withLock { $0.result != nil } }

    /// Blocks until the closure has ended; gives its value or throws its error. Call on a thread of
    /// your own; may be called any number of times.
    package func join() throws -> Value {
        guard let result = outcome.wait(for: { $0.result }) else {
            preconditionFailure("a wait without a limit ended without an answer")
        }
        return try result.get()
    }

    /// Like `join` with a limit: `false` when the closure still runs after `milliseconds`.
    package func wait(milliseconds: Int) -> Bool {
        if let simulated = Machine.simulated {
            return simulated.wait(milliseconds: milliseconds) { isFinished }
        }
        return outcome.wait(milliseconds: milliseconds, for: { $0.result == nil ? nil : true }) ?? false
    }

    /// The closure's value or error, awaited without blocking a thread.
    package var value: Value {
        get async throws {
            try await withCheckedThrowingContinuation { continuation in
                let result = outcome.withLock { outcome in
                    if outcome.result == nil { outcome.waiting.append(continuation) }
                    return outcome.result
                }
                if let result { continuation.resume(with: result) }
            }
        }
    }
}

private final class ThreadStart {
    let name: String
    let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }
}

/// A detached POSIX thread.
func startThread(
    name: String, stackBytes: Int = 1 << 20, _ body: @escaping @Sendable () -> Void
) throws(SystemFailure) {
    if let simulated = Machine.simulated {
        simulated.startThread(name, body)
        return
    }
    let page = 4096
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
    pthread_attr_setstacksize(&attributes, (max(stackBytes, 1 << 16) + page - 1) / page * page)
    // Retained here, released by the thread; or below when there is no thread.
    let start = Unmanaged.passRetained(ThreadStart(name: name, body: body))
    var thread = pthread_t()
    let code = pthread_create(
        &thread, &attributes,
        { context in
            guard let context else { return nil }
            let start = Unmanaged<ThreadStart>.fromOpaque(context).takeRetainedValue()
            reel_name_thread(start.name)
            start.body()
            return nil
        }, start.toOpaque())
    guard code == 0 else {
        start.release()
        throw SystemFailure("start thread", name, code: code)
    }
}
