package import Base
package import EventSourcing
package import Supervision

/// What keeps loops of this process from working at the moment: for health and metrics. Any thread.
package final class Outages: Sendable {
    /// One loop that waits.
    package struct Outage: Sendable, Hashable {
        /// Name of the role, the stage or the subscription.
        package var role: String
        /// What it waits for; names no history.
        package var text: String
        /// What can end it.
        package var remedy: Remedy
        /// When it began.
        package var since: ContinuousClock.Instant
    }

    /// A failure that lasts is told again after this many seconds, and no loop tells more often than that
    /// what another one has told.
    static let quietSeconds = 60
    /// Failures that are remembered as told.
    private static let maximumTold = 200

    private struct State {
        var outages: [String: Outage] = [:]
        var told: [String: ContinuousClock.Instant] = [:]
    }

    private let state = Lock(State())

    /// Nothing waits.
    package init() {}

    /// What waits, by the name of who does.
    package var current: [Outage] {
        state.withLock { $0.outages.values.sorted { ($0.role, $0.since) < ($1.role, $1.since) } }
    }

    /// Notes that a loop can't go on.
    /// - Parameters:
    ///   - loop: tells loops of one role apart.
    ///   - cause: what is the same for everybody whom the same trouble meets.
    /// - Returns: whether it is to be told: nobody has, of late.
    package func began(_ loop: String, _ role: String, _ error: any Error, cause: String) -> Bool {
        let now = Machine.now
        return state.withLock { state in
            let since = state.outages[loop]?.since ?? now
            state.outages[loop] = Outage(
                role: role, text: (error as? LogFailure)?.text ?? "\(error)", remedy: error.knownRemedy,
                since: since)
            if let told = state.told[cause], now - told < .seconds(Self.quietSeconds) { return false }
            if state.told.count >= Self.maximumTold { state.told.removeAll() }
            state.told[cause] = now
            return true
        }
    }

    /// Notes that a loop goes on.
    /// - Returns: how long it could not; nil when it could all the time.
    package func ended(_ loop: String) -> Duration? {
        let now = Machine.now
        return state.withLock { state in
            guard let outage = state.outages.removeValue(forKey: loop) else { return nil }
            // The same trouble, when it comes back, is news again.
            state.told.removeAll()
            return now - outage.since
        }
    }
}

/// Waits between the tries of one loop that must never end, and says why: at once, then rarely.
struct OutageWait {
    private let role: String
    private let loop: String
    private let report: RoleLog
    private var backoff: Backoff
    private var isFailing = false

    /// - Parameters:
    ///   - loop: tells it from other loops of the role; by default there is one.
    init(
        _ role: String, loop: String? = nil, report: RoleLog,
        backoff: Backoff = Backoff(firstMilliseconds: 100)
    ) {
        self.role = role
        self.loop = loop ?? role
        self.report = report
        self.backoff = backoff
    }

    /// Waits for the next try, or until `stop` is set.
    mutating func failed(_ error: any Error, _ stop: StopSignal) {
        isFailing = true
        let delay = backoff.next()
        if report.outages.began(loop, role, error, cause: Self.cause(error)) {
            let isLasting = backoff.failures > 5 || error.knownRemedy != .time
            report(isLasting ? .error : .warning, "\(role): \(error); trying again until it works")
        } else {
            report(.debug, "\(role): \(error); trying again in \(delay) ms")
        }
        stop.wait(milliseconds: delay)
    }

    /// Says that it works. Costs next to nothing while it does.
    mutating func succeeded() {
        guard isFailing else { return }
        isFailing = false
        backoff.reset()
        if let time = report.outages.ended(loop) {
            report(.info, "\(role): works again after \(time.components.seconds) s")
        }
    }

    /// The loop ends: what kept it from working concerns nobody any more.
    func end() { if isFailing { _ = report.outages.ended(loop) } }

    /// What several loops have in common that one trouble meets.
    private static func cause(_ error: any Error) -> String {
        (error as? LogFailure).map { "\($0.kind) \($0.text)" } ?? "\(error)"
    }
}

/// Runs `body` again and again, with growing pauses, until `stop` is set. What must neither skip an event
/// nor end silently waits every error out, and says it.
/// - Parameter isEnd: failures that end it all the same.
package func waitingOutFailures(
    of name: String, loop: String? = nil, stop: StopSignal, report: RoleLog,
    backoff: Backoff = Backoff(firstMilliseconds: 100), unless isEnd: (any Error) -> Bool = { _ in false },
    _ body: (_ succeeded: () -> Void) throws -> Void
) throws {
    var outage = OutageWait(name, loop: loop, report: report, backoff: backoff)
    defer { outage.end() }
    while !stop.isSet {
        do {
            try body { outage.succeeded() }
        } catch {
            if isEnd(error) { throw error }
            outage.failed(error, stop)
        }
    }
}

/// What a role works with: built again and again, with growing pauses, while time or an operator may end what
/// keeps it from being built. A server that goes away in the middle of a start is none that starts badly.
/// - Returns: nil when `stop` was set meanwhile.
package func waitingOut<Value>(
    startOf role: String, stop: StopSignal, report: RoleLog, _ build: () throws -> Value
) throws -> Value? {
    var outage = OutageWait(role, loop: "start of \(role)", report: report)
    defer { outage.end() }
    repeat {
        do {
            let value = try build()
            outage.succeeded()
            return value
        } catch  where error.mayEnd {
            outage.failed(error, stop)
        }
    } while !stop.isSet
    return nil
}
