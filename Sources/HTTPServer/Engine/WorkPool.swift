internal import Glibc
internal import Supervision

/// Threads of our own for what blocks, and a bounded queue before them.
final class WorkPool: @unchecked Sendable {
    // Sendable because everything that changes is only touched with `mutex` held.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var queue: [(@Sendable () -> Void)?] = []
    private var head = 0
    private var idle = 0
    private var isClosed = false
    private var threads: [OwnThread<Void>] = []
    private let queueLimit: Int

    /// Throws when the system has no thread left.
    init(name: String, threads count: Int, queueLimit: Int) throws(SystemFailure) {
        self.queueLimit = queueLimit
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
        do {
            for number in 0..<count {
                threads.append(try OwnThread(name: "\(name)-\(number)") { [self] in work() })
            }
        } catch {
            close()
            throw error
        }
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
        condition.deallocate()
    }

    /// How many wait for a thread.
    var waiting: Int {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return queue.count - head
    }

    /// Queues `job`; false when the queue is full or closed. `always` is for the next step of something
    /// that was let in already.
    func submit(always: Bool = false, _ job: @escaping @Sendable () -> Void) -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        guard !isClosed, always || queue.count - head < queueLimit else { return false }
        queue.append(job)
        if idle > 0 { pthread_cond_signal(condition) }
        return true
    }

    /// No job is taken any more; the threads end when the queue is empty.
    func close() {
        pthread_mutex_lock(mutex)
        isClosed = true
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
    }

    /// Whether every thread has ended, after waiting for at most `milliseconds`.
    func wait(milliseconds: Int64) -> Bool {
        let end = monotonicMilliseconds() + milliseconds
        return threads.allSatisfy { $0.wait(milliseconds: Int(max(0, end - monotonicMilliseconds()))) }
    }

    private func work() {
        while let job = take() { job() }
    }

    private func take() -> (@Sendable () -> Void)? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while head == queue.count {
            if isClosed { return nil }
            idle += 1
            pthread_cond_wait(condition, mutex)
            idle -= 1
        }
        let job = queue[head].take()
        head += 1
        if head == queue.count {
            queue.removeAll(keepingCapacity: true)
            head = 0
        } else if head >= 1024 {
            queue.removeFirst(head)
            head = 0
        }
        return job
    }
}
