import Console
import RedisLog
import EventSourcing
import MongoViews
import Pipeline
import Supervision

/// What a process can be there for; `reel up` is all of them that there are.
enum RoleName: String, CaseIterable {
    case pipeline, recorder, processor, storage, api, projector

    /// Stages that the role works on unless it is told others.
    var stages: [StageName] {
        switch self {
        case .processor: [.compress, .encrypt, .validate]
        case .storage: [.store]
        case .pipeline, .recorder, .api, .projector: []
        }
    }

    /// Why there is nothing to run for a role yet, and what to do instead; nil for one that there is.
    var missing: String? {
        switch self {
        case .recorder:
            "the recorder's own service (desktops over RDP, told by HTTP) is not there yet; record a file or "
                + "a stream with 'reel record', on any machine that reaches the servers and the spool"
        case .api:
            "the HTTP gateway is not there yet; the command line and MongoDB's database reel answer "
                + "what it will"
        case .pipeline, .processor, .storage, .projector: nil
        }
    }
}

/// The work of the roles, each part built on the thread that runs it.
enum Roles {
    /// Everything that there is.
    static func all(_ system: OpenSystem) -> [Role] {
        make([.pipeline, .projector], stages: Set(StageName.allCases), system)
    }

    /// The work of some roles; chunks are worked on in `stages`, consecutive ones chained.
    static func make(_ names: Set<RoleName>, stages: Set<StageName>, _ system: OpenSystem) -> [Role] {
        var roles = stageWorkers(stages, system)
        if names.contains(.pipeline) { roles += [completion(system), recorderWatch(system)] }
        if names.contains(.projector) { roles.append(projector(system)) }
        return roles
    }

    /// For every chain as many members of its group as there are workers. A chunk that was handed over half
    /// way, by a process with other stages, comes in at the later chains.
    private static func stageWorkers(_ stages: Set<StageName>, _ system: OpenSystem) -> [Role] {
        let chains = StageName.chains(of: stages, chaining: system.chaining)
        return chains.enumerated().flatMap { place, chain in
            (0..<system.workers).map { index in
                let consumer = ConsumerName(
                    instance: system.instance, number: place * system.workers + index)
                return Role(name: "\(chain[0].rawValue)-\(index)") { stop in
                    let clock = SystemClock()
                    let stage = try ChunkStage(
                        chain: chain, log: system.log, vault: system.vault, levels: system.levels,
                        clock: clock)
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

    private static func completion(_ system: OpenSystem) -> Role {
        Role(name: "completion") { stop in
            let report = system.report.roles
            let handler = SessionCompletion(spool: system.vault.spool, clock: SystemClock(), report: report)
            try OrderedWorker(handler: handler, log: system.log, report: report).run(stop: stop)
        }
    }

    private static func recorderWatch(_ system: OpenSystem) -> Role {
        Role(name: "recorder-watch") { stop in
            let watch = RecorderWatch(
                log: system.log, sessions: { ReadModelSessions(system.views.queries) }, clock: SystemClock(),
                report: system.report.roles)
            try watch.run(stop: stop)
        }
    }

    private static func projector(_ system: OpenSystem) -> Role {
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
