import Operations
import Base
import EventSourcing
import Pipeline
import Recording
import RedisLog
import Supervision

extension RedisEventLog {
    /// Whether sessions that were held by their tag are held by events.
    var holdTagTakeover: OneTimeWork { oneTimeWork(HoldTagTakeover.name) }
}

/// Holds, once, the sessions that had the tag `legal-hold` when holds became events of their own.
struct HoldTagRole {
    private let system: OpenSystem

    init(_ system: OpenSystem) { self.system = system }

    func run(stop: StopSignal) throws {
        let log = system.log
        let work = log.holdTagTakeover
        let trail = CommandTrail(log, service: HoldTagTakeover.name)
        let takeover = HoldTagTakeover(
            log: log, isDone: { try work.isDone() }, markDone: { try work.markDone(at: SystemClock().now()) },
            clock: SystemClock(), member: ConsumerName(instance: system.instance, number: 0).description,
            report: system.report.roles,
            onTaken: { session in
                try trail.keep(
                    .holdSet, on: AuditResource(.session, id: session), session: session,
                    reason: HoldTag.reason)
            })
        try takeover.run(stop: stop)
    }
}
