internal import CPosix
internal import Glibc
package import Supervision

/// An HTTP client for measuring servers on this machine: one thread, any number of open connections, and
/// few instructions for a request, since it shares the cores with the server.
///
/// The connection that has rested longest sends the next request, so that all of them are used in turn
/// while few requests are under way. For one thread; calls block.
package final class LoadClient {
    private struct Connection {
        var file: CInt
        var reader = ResponseReader()
        /// When the request under way was due, nanoseconds; nil for none.
        var sentAt: UInt64?
    }

    private struct Run {
        let plan: LoadPlan
        let began: UInt64
        let end: UInt64
        var result = LoadResult()
        var sent = 0
        var underWay = 0

        mutating func fail(_ status: Int) {
            result.failed += 1
            result.failures[status, default: 0] += 1
        }

        /// When the next request is due, nanoseconds; nil where that is as soon as possible.
        var dueTime: UInt64? {
            plan.perSecond.map { began + UInt64(Double(sent) / Double($0) * 1e9) }
        }

        /// How many requests are due by now, of those that are due at all.
        func due(_ now: UInt64) -> Int {
            let most = plan.count ?? Int.max
            guard let rate = plan.perSecond else { return now < end ? most : 0 }
            return min(most, Int(Double(min(now, end - 1) - began) / 1e9 * Double(rate)) + 1)
        }

        /// Whether there is nothing more to send.
        func isOver(_ now: UInt64) -> Bool {
            now >= end && sent >= due(now) || sent >= plan.count ?? Int.max
        }
    }

    private static let answerMilliseconds: UInt64 = 30_000
    private static let receiveBytes = 256 << 10
    private static let eventsAtOnce = 256

    private let port: UInt16
    private let poller: CInt
    private var connections: [Connection] = []
    /// Resting connections, as a ring: the first one has rested longest.
    private var resting: [Int] = []
    private var firstResting = 0
    private var restingCount = 0
    private var nextRequest = 0
    private let buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: LoadClient.receiveBytes, alignment: 16)
    /// Connections that the server has closed and that were opened again.
    package private(set) var reopened = 0

    /// Opens connections to 127.0.0.1.
    package init(port: UInt16, connections count: Int) throws(SystemFailure) {
        self.port = port
        poller = epoll_create1(CInt(EPOLL_CLOEXEC))
        guard poller >= 0 else { throw SystemFailure("make", "an epoll descriptor") }
        connections.reserveCapacity(count)
        resting = Array(repeating: 0, count: count)
        for index in 0..<count {
            connections.append(Connection(file: try open(index)))
            rest(index)
        }
    }

    deinit {
        for connection in connections { Self.drop(connection.file) }
        if poller >= 0 { close(poller) }
        buffer.deallocate()
    }

    /// How many connections are open.
    package var count: Int { connections.count }

    /// Sends requests until the plan's time is up, and waits for the last answers.
    package func run(_ plan: LoadPlan) throws(SystemFailure) -> LoadResult {
        let began = Self.now()
        var run = Run(plan: plan, began: began, end: began + UInt64(plan.milliseconds) * 1_000_000)
        var times: [UInt32] = []
        times.reserveCapacity(1 << 16)
        var events = [epoll_event](repeating: epoll_event(), count: Self.eventsAtOnce)
        var last = began
        while true {
            let now = Self.now()
            try send(&run, now)
            if run.underWay == 0, run.isOver(now) { break }
            if now > last + Self.answerMilliseconds * 1_000_000, run.underWay > 0 {
                try giveUp(&run)
                break
            }
            var pause = pause(run, now)
            let found = epoll_pwait2(poller, &events, CInt(events.count), &pause, nil)
            guard found >= 0 || errno == EINTR else { throw SystemFailure("wait for", "answers") }
            for event in events.prefix(Int(max(0, found))) {
                if try receive(Int(event.data.u64), &run, &times) { last = Self.now() }
            }
        }
        run.result.seconds = Double(last - began) / 1e9
        times.sort()
        run.result.microseconds = times
        return run.result
    }

    /// How long until something has to be sent.
    private func pause(_ run: Run, _ now: UInt64) -> timespec {
        let longest: UInt64 = 100_000_000
        let isFree = run.underWay < run.plan.inFlight && restingCount > 0
        guard isFree, !run.isOver(now), let next = run.dueTime else {
            return timespec(tv_sec: 0, tv_nsec: Int(longest))
        }
        return timespec(tv_sec: 0, tv_nsec: next <= now ? 0 : Int(min(longest, next - now)))
    }

    private func send(_ run: inout Run, _ now: UInt64) throws(SystemFailure) {
        let due = run.due(now)
        while run.sent < due, run.underWay < run.plan.inFlight, restingCount > 0 {
            let index = takeResting()
            // What was held up because too much was under way has waited since it was due.
            let time = run.dueTime ?? Self.now()
            run.sent += 1
            let request = run.plan.requests[nextRequest % run.plan.requests.count]
            nextRequest += 1
            let count = request.withUnsafeBytes {
                Glibc.send(connections[index].file, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            guard count == request.count else {
                run.fail(0)
                try reopen(index)
                continue
            }
            connections[index].sentAt = time
            run.underWay += 1
        }
    }

    /// Takes what has come on a connection; whether that was an answer.
    private func receive(
        _ index: Int, _ run: inout Run, _ times: inout [UInt32]
    ) throws(SystemFailure) -> Bool {
        let count = recv(connections[index].file, buffer.baseAddress, buffer.count, 0)
        if count < 0, errno == EAGAIN || errno == EINTR { return false }
        let sentAt = connections[index].sentAt
        guard count > 0, let sentAt else {
            if sentAt != nil {
                run.underWay -= 1
                run.fail(0)
                try reopen(index)
            } else {
                // It rests, and keeps its place among those that do.
                try replace(index)
            }
            return false
        }
        switch connections[index].reader.take(UnsafeRawBufferPointer(rebasing: buffer[..<count])) {
        case .incomplete: return false
        case .malformed:
            run.underWay -= 1
            run.fail(0)
            try reopen(index)
        case .complete(let status, let bodyBytes):
            run.underWay -= 1
            connections[index].sentAt = nil
            if connections[index].reader.isLast { try reopen(index) } else { rest(index) }
            guard status == run.plan.status else {
                run.fail(status)
                return true
            }
            run.result.answered += 1
            run.result.bodyBytes = bodyBytes
            times.append(UInt32(clamping: (Self.now() &- sentAt) / 1000))
        }
        return true
    }

    private func giveUp(_ run: inout Run) throws(SystemFailure) {
        for index in connections.indices where connections[index].sentAt != nil {
            run.underWay -= 1
            run.fail(0)
            try reopen(index)
        }
    }

    // MARK: - Connections

    private func rest(_ index: Int) {
        resting[(firstResting + restingCount) % resting.count] = index
        restingCount += 1
    }

    private func takeResting() -> Int {
        defer {
            firstResting = (firstResting + 1) % resting.count
            restingCount -= 1
        }
        return resting[firstResting]
    }

    private func reopen(_ index: Int) throws(SystemFailure) {
        try replace(index)
        rest(index)
    }

    private func replace(_ index: Int) throws(SystemFailure) {
        Self.drop(connections[index].file)
        connections[index].file = -1
        connections[index] = Connection(file: try open(index))
        reopened += 1
    }

    private func open(_ index: Int) throws(SystemFailure) -> CInt {
        let file = try Loopback.connect(to: port)
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.u64 = UInt64(index)
        guard epoll_ctl(poller, EPOLL_CTL_ADD, file, &event) == 0 else {
            let failure = SystemFailure("wait for", "a connection")
            close(file)
            throw failure
        }
        return file
    }

    /// Closes at once, so that ten thousand connections leave no ports behind that can't be used for a while.
    private static func drop(_ file: CInt) {
        guard file >= 0 else { return }
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(file, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close(file)
    }

    private static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
