import Operations
import Base
import Console
import EventSourcing
import Metrics
import Pipeline
import Recording
import RedisLog
import SessionContent
import Supervision

/// Verifies sessions in the background, each at least as often as was asked for.
struct VerificationRole {
    private let system: OpenSystem

    init(_ system: OpenSystem) { self.system = system }

    func run(stop: StopSignal) throws {
        guard system.verification.period_ms > 0 else {
            system.report(.info, "verification", "switched off: no session is verified by itself")
            return stop.wait()
        }
        let log = system.log
        let vault = try system.vault()
        let groups = log.groups()
        let parts = VerificationSweep.Parts(
            chunks: vault.chunks, keys: { try vault.openKeys() }, now: { try groups.time() },
            onVerified: { try CommandTrail(log, service: VerificationSweep.actor).keep($0, .background) })
        let sweep = VerificationSweep(
            log: log, parts: parts, policy: system.verification, clock: SystemClock(),
            member: ConsumerName(instance: system.instance, number: 0).description,
            figures: system.verificationFigures, report: system.report.roles)
        try sweep.run(stop: stop)
    }

    /// Adds figures to what the port of whoever verifies answers.
    static func addFigures(_ system: OpenSystem, to metrics: MetricsRegistry) {
        let (counts, figures) = (system.verificationCounts, system.verificationFigures)
        for outcome in VerificationOutcome.lasting {
            metrics.reading(
                "reel_session_verifications",
                "Verifications that were recorded since this process began, by what they came to.",
                [Label("outcome", outcome.rawValue)]
            ) { Double(counts[outcome]) }
        }
        let faulty = FaultySessions(system.log)
        metrics.reading(
            "reel_sessions_faulty", "Sessions whose last verification found damage, or no key."
        ) { (try? faulty.find()).map { Double($0.count) } ?? .nan }
        metrics.reading(
            "reel_verification_oldest_seconds",
            "Since when the session was not looked at that waits for longest; no number where others look."
        ) { figures.oldestSeconds ?? .nan }
        metrics.reading("reel_verification_worked_seconds", "Time that verifying in the background took.") {
            figures.workedSeconds
        }
        metrics.reading("reel_verification_rested_seconds", "Time that it rested for the disk's sake.") {
            figures.restedSeconds
        }
    }
}

extension CommandTrail {
    /// The record of a verification.
    func keep(_ verified: VerifiedSession, _ trigger: VerificationTrigger) throws {
        let record = VerificationRecord(verified.report, trigger)
        let session = verified.report.sessionID
        try keep(
            .sessionVerify, on: AuditResource(.session, id: session), session: session, record.outcome,
            reason: record.reason, details: record.details)
    }
}
