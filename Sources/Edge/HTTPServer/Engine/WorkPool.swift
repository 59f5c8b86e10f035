internal import Glibc
internal import Supervision

/// Threads of our own for what blocks, and a bounded queue before them.
///
/// Most handlers take microseconds, and waking a thread costs more than that: so a job wakes a thread only
/// while fewer than `eager` are awake, and those go through the queue. When they are held up, a ticker
/// wakes as many more as there are jobs, within a millisecond or so.
final class WorkPool: @unchecked Sendable {
    // Sendable because everything that changes is only touched with `mutex` held.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var queue: [(@Sendable () -> Void)?] = []
    private var head = 0
    private let tick: UnsafeMutablePointer<pthread_cond_t>
    private var idle = 0
    /// Of those that are idle, how many were woken and have not come to run.
    private var woken = 0
    private var isTicking = false
    private let eager: Int
    private var isClosed = false
    private var threads: [OwnThread<Void>] = []
    private let queueLimit: Int

    /// Throws when the system has no thread left.
    init(name: String, threads count: Int, eager: Int, queueLimit: Int) throws(SystemFailure) {
        self.queueLimit = queueLimit
        self.eager = eager
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
        tick = .allocate(capacity: 1)
        pthread_cond_init(tick, nil)
        do {
            threads.append(try OwnThread(name: "\(name)-tick") { [self] in keepTicking() })
            for number in 0..<count {
                threads.append(try OwnThread(name: "\(name)-\(number)") { [self] in work() })
            }
        } catch {
            close()
            throw error
        }
    }

    deinit {
        pthread_cond_destroy(tick)
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
        condition.deallocate()
        tick.deallocate()
    }

    /// Queues `job`; false when the queue is full or closed. `always` is for the next step of something
    /// that was let in already.
    func submit(always: Bool = false, _ job: @escaping @Sendable () -> Void) -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        guard !isClosed, always || queue.count - head < queueLimit else { return false }
        queue.append(job)
        guard idle > woken else { return true }
        if awake < eager {
            wake()
        } else if !isTicking {
            isTicking = true
            pthread_cond_signal(tick)
        }
        return true
    }

    // The ticker is one of the threads.
    private var awake: Int { threads.count - 1 - idle + woken }

    private func wake() {
        woken += 1
        pthread_cond_signal(condition)
    }

    private func keepTicking() {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while !isClosed {
            guard isTicking else {
                pthread_cond_wait(tick, mutex)
                continue
            }
            pthread_mutex_unlock(mutex)
            usleep(1000)
            pthread_mutex_lock(mutex)
            for _ in 0..<max(0, min(queue.count - head, idle - woken)) { wake() }
            isTicking = head < queue.count
        }
    }

    /// No job is taken any more; the threads end when the queue is empty.
    func close() {
        pthread_mutex_lock(mutex)
        isClosed = true
        pthread_cond_broadcast(condition)
        pthread_cond_signal(tick)
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
            if woken > 0 { woken -= 1 }
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
