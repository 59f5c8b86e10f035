package import Base
internal import EventSourcing
internal import Pipeline
package import Recording
package import RedisLog
package import Supervision

/// Leaves records of what a command does, in the name of whoever runs it, or of what the system does by
/// itself. There is no request, no address and no role: whoever can run commands on the data folder may do
/// everything.
package struct CommandTrail {
    private let log: RedisEventLog
    private let actor: AuditActor
    private let source: String
    private let clock: any WallClock
    private var stop = StopSignal()

    /// - Parameter stop: once it is set, a log that is away is not waited for.
    package init(
        _ log: RedisEventLog, user: String = CurrentUser.name, clock: any WallClock = SystemClock(),
        stop: StopSignal = StopSignal()
    ) {
        self.stop = stop
        self.log = log
        self.actor = AuditActor(type: .user, subject: user)
        self.source = "/reel/cli"
        self.clock = clock
    }

    /// - Parameter service: the part of the system that does it without being asked.
    package init(_ log: RedisEventLog, service: String) {
        self.log = log
        self.actor = AuditActor(type: .system, subject: service)
        self.source = "/reel/\(service)"
        self.clock = SystemClock()
    }

    /// Milliseconds for which a log that is away is waited for.
    private static let patience = 10_000

    /// Writes a record; it is durable when this returns.
    package func keep(
        _ action: AuditAction, on resource: AuditResource, session: String? = nil,
        _ outcome: AuditOutcome = .allowed, reason: String? = nil, sessionSequence: UInt64? = nil,
        caseName: String? = nil, details: [String: String] = [:]
    ) throws {
        let record = AuditRecord(
            action, on: resource, session: session, outcome: outcome, reason: reason,
            actor: actor, sessionSequence: sessionSequence, caseName: caseName, details: details)
        let now = clock.now()
        let event = ProposedEvent(
            record, id: ULID.make(at: now), time: now,
            context: EventContext(source: source, actor: record.actor.envelope),
            version: AuditRecord.version(at: log.level))
        try append(event)
    }

    private func append(_ event: ProposedEvent) throws {
        let deadline = ContinuousClock.now + .milliseconds(Self.patience)
        var backoff = Backoff(firstMilliseconds: 50, limitMilliseconds: 1_000)
        var number = 1
        while true {
            do throws(LogFailure) {
                let store = try log.open()
                let key = AuditRecord.historyKey(event.id, number)
                let outcome = try store.append([event], to: key, expecting: .any)
                if case .appended = outcome { return }
                throw LogFailure(.invalid, operation: "append", key: key, text: "answered with \(outcome)")
            } catch {
                // Nothing was written there; another history most likely stands in another partition.
                if error.kind == .lostHistory || error.isOfRecord, number < 100 {
                    number += 1
                    continue
                }
                guard error.isTransient, !stop.isSet, ContinuousClock.now < deadline else { throw error }
                stop.wait(milliseconds: backoff.next())
            }
        }
    }

    /// Does something whose failure is recorded. That this cannot be recorded is no news beside it.
    package func recordingFailure<Answer>(
        of action: AuditAction, on resource: AuditResource, session: String? = nil,
        for purpose: Purpose = Purpose(), _ body: () throws -> Answer
    ) throws -> Answer {
        do { return try body() } catch {
            var details: [String: String] = [:]
            details["given_reason"] = purpose.reason
            try? keep(
                action, on: resource, session: session, .failed, reason: "\(error)",
                caseName: purpose.caseName, details: details)
            throw error
        }
    }
}
