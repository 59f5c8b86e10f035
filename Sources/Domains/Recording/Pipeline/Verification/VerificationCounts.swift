internal import Engine
package import Base
package import EventSourcing
package import Recording

/// Verifications that histories hold, by what they came to, since this process began: those of commands and
/// of the background alike, of the partitions that this process follows. Any thread.
package final class VerificationCounts: Sendable {
    private let began: Timestamp
    private let counts = Lock<[VerificationOutcome: Int]>([:])

    /// Counts from now on: what is older was counted by others.
    package init(clock: any WallClock = SystemClock()) { began = clock.now() }

    /// How many came to this.
    package subscript(outcome: VerificationOutcome) -> Int { counts.withLock { $0[outcome] ?? 0 } }

    /// Takes an event of the log in, of whatever kind it is.
    package func take(_ event: RecordedEvent) {
        guard event.type == "SessionVerified", event.time >= began,
            case .session(.verified(let verified))? = try? RecordingEvent(event)
        else { return }
        counts.withLock { $0[verified.outcome, default: 0] += 1 }
    }
}
