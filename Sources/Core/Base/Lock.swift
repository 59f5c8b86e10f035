#if REEL_THREAD_SANITIZER
    internal import Glibc

    /// A value that threads take turns with, over a pthread mutex: the thread sanitizer does not see into the
    /// standard library's `Mutex`, and would take each use of it for a race.
    package struct Lock<Value: ~Copyable>: ~Copyable, @unchecked Sendable {
        // Sendable because the value is touched with the mutex held alone.
        private let state: State

        private final class State {
            let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
            var value: Value

            init(_ value: consuming sending Value) {
                self.value = value
                pthread_mutex_init(mutex, nil)
            }

            deinit {
                pthread_mutex_destroy(mutex)
                mutex.deallocate()
            }
        }

        /// A lock over a value that nobody else has.
        package init(_ value: consuming sending Value) { state = State(value) }

        /// Runs `body` with the value to itself.
        package borrowing func withLock<Answer: ~Copyable, Failure: Error>(
            _ body: (inout sending Value) throws(Failure) -> sending Answer
        ) throws(Failure) -> sending Answer {
            pthread_mutex_lock(state.mutex)
            defer { pthread_mutex_unlock(state.mutex) }
            return try body(&state.value)
        }
    }
#else
    package import Synchronization

    /// A value that threads take turns with. For short work that waits for nothing.
    package struct Lock<Value: ~Copyable>: ~Copyable, Sendable {
        @usableFromInline let mutex: Mutex<Value>

        /// A lock over a value that nobody else has.
        @inlinable
        package init(_ value: consuming sending Value) { mutex = Mutex(value) }

        /// Runs `body` with the value to itself.
        @inlinable
        package borrowing func withLock<Answer: ~Copyable, Failure: Error>(
            _ body: (inout sending Value) throws(Failure) -> sending Answer
        ) throws(Failure) -> sending Answer {
            try mutex.withLock(body)
        }
    }
#endif
