internal import Base
internal import Glibc

/// One write on a thread of its own, so that the next events are folded while the server works.
final class BackgroundWrite: Sendable {
    private let outcome = Lock<Result<Void, ProjectionFailure>?>(nil)
    private let body: @Sendable () throws(ProjectionFailure) -> Void
    private let thread = Lock<pthread_t?>(nil)

    /// Starts the write. Where no thread can be had it is done at once.
    init(_ body: @escaping @Sendable () throws(ProjectionFailure) -> Void) {
        self.body = body
        var thread = pthread_t()
        let context = Unmanaged.passRetained(self)
        let status = pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                Unmanaged<BackgroundWrite>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, context.toOpaque())
        if status == 0 {
            self.thread.withLock { $0 = thread }
        } else {
            context.release()
            run()
        }
    }

    private func run() {
        let result: Result<Void, ProjectionFailure>
        do throws(ProjectionFailure) { result = .success(try body()) } catch { result = .failure(error) }
        outcome.withLock { $0 = result }
    }

    /// Waits until it is done; throws why it was not. May be called once.
    func join() throws(ProjectionFailure) {
        if let thread = thread.withLock({ $0 }) { pthread_join(thread, nil) }
        guard let outcome = outcome.withLock({ $0 }) else {
            preconditionFailure("a joined thread has left its outcome")
        }
        try outcome.get()
    }
}
