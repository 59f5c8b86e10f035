internal import Engine
package import Base
package import EventSourcing
package import Recording
internal import Supervision

/// What is known of verifications in a process, for metrics, health and `reel status`. Any thread.
package final class VerificationFigures: Sendable {
    private struct State {
        var isOwner = false
        var oldest_ms: Int64?
        var pace = DiskPace(share: 1)
    }

    private let state = Lock(State())

    /// Nothing is known.
    package init() {}

    /// Seconds since that session was verified, or over, that nobody has looked at for longest; 0 where there
    /// is none, nil in a process that does not look.
    package var oldestSeconds: Double? {
        state.withLock { $0.isOwner ? Double($0.oldest_ms ?? 0) / 1000 : nil }
    }

    /// Seconds that were spent on reading and on comparing.
    package var workedSeconds: Double { state.withLock { Double($0.pace.worked.wholeMilliseconds) / 1000 } }

    /// Seconds that were rested, for the disk's share.
    package var restedSeconds: Double { state.withLock { Double($0.pace.rested.wholeMilliseconds) / 1000 } }

    func isOwner(_ isOwner: Bool) { state.withLock { $0.isOwner = isOwner } }
    func note(oldest_ms: Int64?) { state.withLock { $0.oldest_ms = oldest_ms } }

    func note(_ pace: DiskPace) { state.withLock { $0.pace = pace } }
}

/// A session that somebody has to look after, by its last verification.
package struct FaultySession: Sendable, Hashable {
    /// Its id.
    package var sessionID: String
    /// What the verification came to.
    package var outcome: VerificationOutcome
    /// How many findings there were.
    package var findingCount: Int
    /// When, by the clock of the log's server.
    package var at: Timestamp
}

/// The faulty sessions, as the log says it. Looked up anew when what is known is some seconds old, because
/// many may ask. Any thread.
package final class FaultySessions: Sendable {
    /// The most that are named; all are counted.
    package static let maximumNamed = 20

    /// What there is.
    package struct Found: Sendable, Hashable {
        /// How many there are.
        package var count = 0
        /// The first of them, by their ids.
        package var named: [FaultySession] = []
    }

    private struct Kept {
        var found: Found
        var at: ContinuousClock.Instant
    }

    private let log: any EventLog
    private let lifetime: Duration
    private let kept = Lock<Kept?>(nil)

    /// - Parameter lifetimeMilliseconds: how old what is answered may be.
    package init(_ log: any EventLog, lifetimeMilliseconds: Int = 5_000) {
        self.log = log
        lifetime = .milliseconds(lifetimeMilliseconds)
    }

    /// The faulty sessions.
    package func find() throws -> Found {
        try kept.withLock { kept in
            if let kept, Machine.now - kept.at < lifetime { return kept.found }
            let found = try look()
            kept = Kept(found: found, at: Machine.now)
            return found
        }
    }

    private func look() throws -> Found {
        let index = try FactIndex<VerificationFacts>(log)
        var found = Found()
        for partition in 0..<(try log.open().partitioning.count) {
            try index.scan(partition, in: VerificationFacts.faultsIndexName) { session, facts in
                guard let outcome = facts.outcome, outcome.isFault else { return }
                found.count += 1
                found.named.append(
                    FaultySession(
                        sessionID: session, outcome: outcome, findingCount: facts.findingCount,
                        at: Timestamp(milliseconds: Int64(clamping: facts.since_ms))))
            }
            found.named.sort { $0.sessionID < $1.sessionID }
            found.named.removeLast(max(0, found.named.count - Self.maximumNamed))
        }
        return found
    }
}
