package import Base
package import EventSourcing

/// Counts beside the log, so that limits hold over all gateways: one hash for each subject and rule, one
/// server-side call. The time is the server's, so that gateways' clocks need not agree.
///
/// Any thread may call; each call borrows a connection, and there are at most as many as calls at once.
package final class RedisRateCounter: RateCounter {
    private struct Idle: @unchecked Sendable {
        // Sendable because a client is either in here, or with the one thread that took it out.
        var clients: [RedisClient] = []
    }

    private let idle = Lock(Idle())
    private let log: RedisEventLog
    private let options: RedisEventLog.Options
    private let clock: (any WallClock)?

    /// Connections that are kept when nobody uses them.
    private static let kept = 16
    /// Milliseconds to connect, and to wait for an answer: a request must not wait longer for its limit than
    /// for its work.
    private static let patience = 300

    /// - Parameter clock: time to count by instead of the server's, for tests.
    init(_ log: RedisEventLog, clock: (any WallClock)?) {
        self.log = log
        self.clock = clock
        var options = log.options
        options.connectMilliseconds = min(options.connectMilliseconds, Self.patience)
        options.commandMilliseconds = min(options.commandMilliseconds, Self.patience)
        options.notify = { _ in }
        self.options = options
    }

    /// Takes up to `count` of what a subject may do.
    package func take(_ count: Int, of subject: String, under rule: RateRule) throws(LogFailure) -> RateGrant
    {
        let key = LogKeys.rate(rule.name, subject)
        let client = borrow()
        let reply = try client.call(
            "count", key, "reel_rate", [key],
            [
                String(max(1, count)), String(rule.limit), String(RateRule.slotMilliseconds),
                String(RateRule.slots), clock.map { String($0.now().milliseconds) } ?? "",
            ])
        // A client that failed is dropped, so that the next call doesn't wait out its pause.
        giveBack(client)
        let numbers = reply.elements.compactMap(\.quantity)
        guard numbers.count == 3 else {
            throw LogFailure(.corrupt, operation: "count", key: key, text: "an answer of another form")
        }
        // No window is longer, and more than was asked for is nobody's to give, whatever the key holds.
        let longest = RateRule.windowMilliseconds + RateRule.slotMilliseconds
        return RateGrant(
            granted: min(numbers[0], max(1, count)), remaining: min(numbers[1], rule.limit),
            resetMilliseconds: min(numbers[2], longest))
    }

    private func borrow() -> RedisClient {
        let found = idle.withLock { $0.clients.popLast() }
        return found ?? RedisClient(log.address, options: options, epoch: nil, name: "reel/rates")
    }

    private func giveBack(_ client: RedisClient) {
        let box = Idle(clients: [client])
        idle.withLock { idle in
            if idle.clients.count < Self.kept { idle.clients += box.clients }
        }
    }
}

extension RedisEventLog {
    /// Counts of what subjects do, kept beside the log.
    /// - Parameter clock: time to count by instead of the server's, for tests.
    package func rateCounter(clock: (any WallClock)? = nil) -> RedisRateCounter {
        RedisRateCounter(self, clock: clock)
    }
}
