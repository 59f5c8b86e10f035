internal import Engine
package import Base
package import EventSourcing
package import Recording
package import SessionContent
package import Supervision
package import ChunkFiles

/// Verifies sessions and keeps the results in their histories: the same for command line, requests and
/// background. One thread.
package final class SessionVerifier {
    private let store: any EventStore
    private let chunks: ChunkStore
    private let keys: () throws -> SessionKeys?
    private let clock: any WallClock

    /// - Parameters:
    ///   - keys: makes what opens contents, anew for each session: a key that was kept says nothing of one
    ///     that is gone. Nil where hashes alone are to be looked at.
    package init(
        store: any EventStore, chunks: ChunkStore, keys: @escaping () throws -> SessionKeys?,
        clock: any WallClock
    ) {
        self.store = store
        self.chunks = chunks
        self.keys = keys
        self.clock = clock
    }

    /// Verifies a session, and keeps the result where it lasts; nil when the log has no such session.
    /// - Parameters:
    ///   - context: who asks, for the event.
    ///   - stop: once it is set, a log that is away is not waited for.
    ///   - patienceMilliseconds: how long to wait for a log that takes nothing.
    ///   - progress: called after every chunk; what it throws ends the look.
    package func verify(
        _ session: String, _ trigger: VerificationTrigger, context: EventContext, stop: StopSignal,
        patienceMilliseconds: Int = 10_000, progress: (Int, Int) throws -> Void = { _, _ in }
    ) throws -> VerifiedSession? {
        let began = Machine.now
        let auditor = SessionAuditor(store: store, chunks: chunks, keys: try keys())
        guard let report = try auditor.audit(session, progress: progress) else { return nil }
        var verified = VerifiedSession(
            report: report, durationMilliseconds: (Machine.now - began).wholeMilliseconds)
        guard report.outcome.isLasting else { return verified }
        let event = report.event(trigger, durationMilliseconds: verified.durationMilliseconds)
        do {
            verified.isRecorded = try record(event, context, stop, patienceMilliseconds)
        } catch {
            // Whatever keeps it from being kept, it was found.
            verified.refusal = "\(error)"
        }
        return verified
    }

    private func record(
        _ event: SessionEvent.Verified, _ context: EventContext, _ stop: StopSignal, _ patience: Int
    ) throws -> Bool {
        let mark = "\(event.sessionID)/verify/\(ULID.make(at: clock.now()))"
        let handler = CommandHandler(session: event.sessionID, store: store, clock: clock)
        let deadline = Machine.now + .milliseconds(patience)
        var backoff = Backoff(firstMilliseconds: 50, limitMilliseconds: 1_000)
        while true {
            do throws(CommandError<SessionRejection>) {
                try handler.catchUp()
                return try !handler.handle(.recordVerification(event), id: mark, context: context).isEmpty
            } catch {
                switch error {
                // Deleted since.
                case .rejected(.notFound): return false
                case .failed(let failure)
                where failure.isTransient && failure.kind != .levelTooLow && !stop.isSet
                    && Machine.now < deadline:
                    stop.wait(milliseconds: backoff.next())
                default: throw error
                }
            }
        }
    }
}

extension VerifiedSession {
    /// Tells operators what was found, where that is worth a line.
    func tell(_ log: RoleLog) {
        let text = "verification: session=\(report.sessionID) \(report.outcome.rawValue)"
        if let refusal { log(.error, "\(text); the result could not be kept: \(refusal)") }
        guard report.outcome.isFault else { return log(.debug, text) }
        let first = report.findings.first { !$0.kind.isNote }.map { ", the first: \($0)" } ?? ""
        log(.error, "\(text), \(report.findingCount - report.noteCount) findings\(first)")
    }
}

extension Duration {
    /// Whole milliseconds of it.
    var wholeMilliseconds: Int {
        let (seconds, attoseconds) = components
        return Int(seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000)
    }
}
