import Console
import RedisLog
import EventSourcing
import MongoViews
import Pipeline
import Supervision

/// The roles of a running system, each built on the thread that runs it.
enum Roles {
    static func all(_ system: UpSystem, _ plan: UpPlan) -> [Role] {
        stageWorkers(system, plan) + [completion(system), recorderWatch(system), projector(system)]
    }

    /// For every chain `plan.workers` members of its group. A chunk that was handed over half way, by a
    /// process with other stages, comes in at the later chains.
    private static func stageWorkers(_ system: UpSystem, _ plan: UpPlan) -> [Role] {
        let chains = StageName.chains(of: Set(StageName.allCases), chaining: plan.chaining)
        return chains.enumerated().flatMap { place, chain in
            (0..<plan.workers).map { index in
                let consumer = ConsumerName(
                    instance: system.instance, number: place * plan.workers + index)
                return Role(name: "\(chain[0].rawValue)-\(index)") { stop in
                    let clock = SystemClock()
                    let stage = try ChunkStage(
                        chain: chain, log: system.log, vault: system.vault, levels: plan.levels, clock: clock)
                    let worker = StageWorker(
                        stage: stage, log: system.log, consumer: consumer, policy: RetryPolicy(),
                        clock: clock,
                        report: system.report.roles,
                        parkedEvents: { ParkedChunk.events(for: $0, $1, clock: clock) })
                    try worker.run(stop: stop)
                }
            }
        }
    }

    private static func completion(_ system: UpSystem) -> Role {
        Role(name: "completion") { stop in
            let report = system.report.roles
            let handler = SessionCompletion(spool: system.vault.spool, clock: SystemClock(), report: report)
            try OrderedWorker(handler: handler, log: system.log, report: report).run(stop: stop)
        }
    }

    private static func recorderWatch(_ system: UpSystem) -> Role {
        Role(name: "recorder-watch") { stop in
            let watch = RecorderWatch(
                log: system.log, sessions: { ReadModelSessions(system.views.queries) }, clock: SystemClock(),
                report: system.report.roles)
            try watch.run(stop: stop)
        }
    }

    private static func projector(_ system: UpSystem) -> Role {
        Role(name: "projector") { stop in
            var limits = MongoProjection.Limits()
            limits.eventsHeld = 40_000
            // With the log at hand it reads a session again whose history has a gap in the read model.
            let projection = system.views.projection(
                epoch: system.log.epoch, log: try system.log.open(), limits: limits)
            try ProjectionWorker(
                projection: projection, log: system.log, report: system.report.roles
            ).run(stop: stop)
        }
    }
}
