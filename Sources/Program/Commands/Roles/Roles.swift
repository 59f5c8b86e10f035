import Engine
import Base
import Console
import RedisLog
import EventSourcing
import MongoViews
import Pipeline
import RecordingMongo
import Recording
import Supervision
import Hosting

/// The work of the roles, each part built on the thread that runs it. What needs a server to be built is
/// built in `build`.
enum Roles {
    /// The work of the chosen roles; chunks go through consecutive stages in memory.
    static func make(_ system: OpenSystem) throws -> [Role] {
        let names = system.choice.names
        var roles = try stageWorkers(system)
        if names.contains(.processor) { roles += try hostedStages(system) }
        if names.contains(.pipeline) { roles += [try completion(system), recorderWatch(system)] }
        if names.contains(.storage) {
            roles += [archiver(system), try removal(system), retention(system), holdTags(system)]
            roles += [verificationIndex(system), verification(system)]
        }
        if names.contains(.projector) {
            roles += [projector(system), sessionFacts(system), rebuilder(system)]
        }
        return roles
    }

    /// For every chain as many members of its group as there are workers. A chunk that was handed over half
    /// way, by a process with other stages, comes in at the later chains.
    private static func stageWorkers(_ system: OpenSystem) throws -> [Role] {
        guard !system.choice.stages.isEmpty else { return [] }
        let vault = try system.vault()
        let chains = StageName.chains(of: system.choice.stages, chaining: system.chaining)
        let gate = ProcessingGate(log: system.log, report: system.report.roles)
        let workers = chains.enumerated().flatMap { place, chain in
            (0..<system.workers).map { index in
                let consumer = ConsumerName(
                    instance: system.instance, number: place * system.workers + index)
                return Role(name: "\(chain[0].rawValue)-\(index)") {
                    let clock = SystemClock()
                    let stage = try ChunkStage(
                        chain: chain, log: system.log, vault: vault, levels: system.levels,
                        clock: clock)
                    let worker = StageWorker(
                        stage: stage, log: system.log, consumer: consumer, policy: RetryPolicy(),
                        clock: clock,
                        report: system.report.roles, gate: gate,
                        parkedEvents: { delivery, reason throws(LogFailure) in
                            try ParkedChunk.events(for: delivery, reason, clock: clock, at: system.log.level)
                        })
                    return { try worker.run(stop: $0) }
                }
            }
        }
        return [Role(name: "holds") { try gate.run(stop: $0) }] + workers
    }

    /// The stages of the hosted domains, each with as many members of its group as there are workers.
    private static func hostedStages(_ system: OpenSystem) throws -> [Role] {
        let stages = Domains.all.flatMap { domain in domain.stages.map { (domain.category, $0) } }
        guard !stages.isEmpty else { return [] }
        let host = try Domains.host(on: system.log, system.views)
        return stages.flatMap { category, stage in
            (0..<system.workers).map { number in
                Role(name: "\(stage.name)-\(number)") {
                    let worker = StageWorker(
                        stage: stage.make(host, in: category), log: system.log,
                        consumer: ConsumerName(instance: system.instance, number: number),
                        policy: RetryPolicy(), clock: host.clock, report: system.report.roles,
                        parkedEvents: { _, _ in [] })
                    return { try worker.run(stop: $0) }
                }
            }
        }
    }

    private static func completion(_ system: OpenSystem) throws -> Role {
        let spool = try system.vault().spool
        return Role(name: SessionCompletion.subscription.name) { stop in
            let report = system.report.roles
            let handler = SessionCompletion(spool: spool, clock: SystemClock(), report: report)
            try OrderedWorker(handler: handler, log: system.log, member: member(of: system), report: report)
                .run(stop: stop)
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

    private static func archiver(_ system: OpenSystem) -> Role {
        Role(name: "archiver") { stop in try ArchiverRole(system).run(stop: stop) }
    }

    private static func retention(_ system: OpenSystem) -> Role {
        Role(name: RetentionSweep.leaseName) { stop in try RetentionRole(system).run(stop: stop) }
    }

    private static func verificationIndex(_ system: OpenSystem) -> Role {
        Role(name: VerificationFacts.subscription.name) { stop in
            let worker = FactWorker(
                VerificationFacts.self, log: system.log, member: member(of: system),
                report: system.report.roles, hear: system.verificationCounts.take)
            try worker.run(stop: stop)
        }
    }

    private static func verification(_ system: OpenSystem) -> Role {
        Role(name: VerificationSweep.leaseName) { stop in try VerificationRole(system).run(stop: stop) }
    }

    private static func holdTags(_ system: OpenSystem) -> Role {
        Role(name: HoldTagTakeover.name + "-by-tag") { stop in try HoldTagRole(system).run(stop: stop) }
    }

    private static func removal(_ system: OpenSystem) throws -> Role {
        let places = SessionRemoval.Places(try system.vault(), passwords: system.vaultDatabase.passwords)
        return Role(name: SessionRemoval.subscription.name) { stop in
            let report = system.report.roles
            let handler = SessionRemoval(places, clock: SystemClock(), report: report)
            try OrderedWorker(handler: handler, log: system.log, member: member(of: system), report: report)
                .run(stop: stop)
        }
    }

    private static func projector(_ system: OpenSystem) -> Role {
        Role(name: MongoReadModels.subscription.name) {
            var limits = MongoProjection.Limits()
            limits.eventsHeld = 40_000
            // With the log at hand it reads a session again whose history has a gap in the read model.
            let projection = system.views.projection(
                epoch: system.log.epoch, log: try system.log.open(), limits: limits)
            let worker = ProjectionWorker(
                projection: projection, log: system.log, member: member(of: system),
                report: system.report.roles)
            return { try worker.run(stop: $0) }
        }
    }

    private static func sessionFacts(_ system: OpenSystem) -> Role {
        Role(name: SessionFacts.subscription.name) { stop in
            let worker = FactWorker(
                SessionFacts.self, log: system.log, member: member(of: system), report: system.report.roles)
            try worker.run(stop: stop)
        }
    }

    private static func rebuilder(_ system: OpenSystem) -> Role {
        Role(name: "rebuilder") { stop in RebuilderRole(system).run(stop: stop) }
    }

    /// Each process is one member of an ordered subscription.
    private static func member(of system: OpenSystem) -> String {
        ConsumerName(instance: system.instance, number: 0).description
    }
}
