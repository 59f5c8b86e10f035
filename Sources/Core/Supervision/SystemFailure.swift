import Glibc

/// A system call that failed: which one, on what, and the C library's code and text.
package struct SystemFailure: Error, Equatable, CustomStringConvertible {
    /// The call or the action, such as `open`.
    package let operation: String
    /// What it was done to: a path, a program, an address.
    package let subject: String
    /// The `errno` value.
    package let code: Int32

    /// Keeps `code`, by default the calling thread's current `errno`.
    package init(_ operation: String, _ subject: String, code: Int32? = nil) {
        self.operation = operation
        self.subject = subject
        self.code = code ?? errno
    }

    /// The operation, its subject and the C library's text.
    package var description: String {
        let text = strerror(code).map { String(cString: $0) } ?? "unknown error"
        return "\(operation) \(subject): \(text) (errno \(code))"
    }
}

/// Milliseconds of a clock that never jumps; only differences mean something.
func monotonicMilliseconds() -> Int {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec * 1000 + now.tv_nsec / 1_000_000
}
