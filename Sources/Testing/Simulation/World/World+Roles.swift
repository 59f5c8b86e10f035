internal import Engine
internal import EventSourcing
internal import Pipeline
internal import Recording
internal import Supervision

/// What the world's processes are made of.
extension World {
    func addRoles(_ layout: Layout) {
        for (index, chains) in layout.processors.enumerated() {
            roles.append(Role(name: "processor\(index)") { [self] in bootProcessor(chains, $0) })
        }
        for index in 0..<layout.completions {
            roles.append(Role(name: "completion\(index)") { [self] in bootCompletion($0) })
        }
        for index in 0..<layout.projectors {
            roles.append(Role(name: "projector\(index)") { [self] in bootProjector($0) })
        }
        for index in 0..<layout.ledgers {
            roles.append(Role(name: "ledger\(index)") { [self] in bootLedger($0) })
        }
        for index in 0..<layout.gateways where !streams.isEmpty {
            roles.append(
                Role(name: "gateway\(index)") { [self] in
                    bootGateway(index, layout.chunkMilliseconds, $0)
                })
        }
        roles.append(Role(name: "operator") { [self] in bootOperator($0) })
        roles.append(Role(name: "watch") { [self] in bootWatch($0) })
        roles.append(Role(name: "sweep") { [self] in bootSweep($0) })
    }

    /// Runs a role on a thread of the process; an error that the role does not wait out ends the process.
    func run(
        _ name: String, _ process: SimulatedProcess, _ body: @escaping () throws -> Void
    ) {
        let work = Work(body)
        process.start(name) { [scheduler] in
            do { try work.body() } catch {
                if !process.isDead { scheduler.remark("\(process.name)/\(name): \(error)") }
            }
            process.kill()
        }
    }

    /// Longer than the usual times, which spares many turns in which nothing happens.
    private static var timing: LeaseTiming {
        var timing = LeaseTiming()
        timing.leaseMilliseconds = 12_000
        timing.beatMilliseconds = 3000
        timing.balanceMilliseconds = 4000
        timing.marginMilliseconds = 2000
        return timing
    }

    private var report: RoleLog { RoleLog { [scheduler] _, text in scheduler.remark(text) } }

    private func bootProcessor(_ chains: [[StageName]], _ process: SimulatedProcess) {
        let log = log(for: process)
        let clock = ProcessClock(process: process)
        run("beat", process) {
            let liveness = try log.liveness()
            while !process.stop.isSet {
                try? liveness.beat(ConsumerName.mark(ofInstance: process.instance), forMilliseconds: 10_000)
                process.stop.wait(milliseconds: 3000)
            }
        }
        for (index, chain) in chains.enumerated() {
            run("\(chain[0].rawValue)", process) { [self] in
                let vault = try vault(for: process)
                let stage = try ChunkStage(chain: chain, log: log, vault: vault, levels: [:], clock: clock)
                let worker = StageWorker(
                    stage: PoisonedStage(variations.stage(stage, vault), poison), log: log,
                    consumer: ConsumerName(instance: process.instance, number: index), policy: RetryPolicy(),
                    clock: clock, report: report,
                    parkedEvents: { delivery, reason throws(LogFailure) in
                        try ParkedChunk.events(for: delivery, reason, clock: clock, at: log.level)
                    })
                try worker.run(stop: process.stop)
            }
        }
    }

    private func bootCompletion(_ process: SimulatedProcess) {
        run("completion", process) { [self] in
            let handler = SessionCompletion(
                spool: try vault(for: process).spool, clock: ProcessClock(process: process), report: report)
            try OrderedWorker(
                handler: PoisonedHandler(handler, poison), log: log(for: process),
                member: "\(process.instance)/0",
                timing: Self.timing, report: report
            ).run(stop: process.stop)
        }
    }

    private func bootProjector(_ process: SimulatedProcess) {
        run("projector", process) { [self] in
            let log = log(for: process)
            let projection = InMemoryProjection(
                database, log: try log.open(), process: process, poison: poison)
            try ProjectionWorker(
                projection: projection, log: log, member: "\(process.instance)/0", timing: Self.timing,
                report: report
            ).run(stop: process.stop)
        }
    }

    private func bootLedger(_ process: SimulatedProcess) {
        run("ledger", process) { [self] in
            try OrderedWorker(
                handler: PoisonedHandler(LedgerHandler(ledger, process), poison), log: log(for: process),
                member: "\(process.instance)/0", timing: Self.timing, report: report
            ).run(stop: process.stop)
        }
    }

    private func bootOperator(_ process: SimulatedProcess) {
        run("operator", process) { [self] in
            try human.run(process, store: try log(for: process).open())
        }
    }

    private func bootSweep(_ process: SimulatedProcess) {
        run("sweep", process) { [self] in
            try SpoolSweep(
                spool: try vault(for: process).spool, log: log(for: process), report: report,
                pauseMilliseconds: 20_000
            ).run(stop: process.stop)
        }
    }

    private func bootWatch(_ process: SimulatedProcess) {
        run("watch", process) { [self] in
            let open = OpenViews(database: database, process: process)
            try RecorderWatch(
                log: log(for: process), sessions: { open }, clock: ProcessClock(process: process),
                report: report
            ).run(stop: process.stop)
        }
    }
}

/// Carries a role's body to its thread. Sendable because one thread alone runs it.
private struct Work: @unchecked Sendable {
    let body: () throws -> Void

    init(_ body: @escaping () throws -> Void) { self.body = body }
}

/// Which sessions the read model shows as open.
private final class OpenViews: OpenSessions {
    private let database: ReadModelDatabase
    private let process: SimulatedProcess

    init(database: ReadModelDatabase, process: SimulatedProcess) {
        self.database = database
        self.process = process
    }

    func openSessions(limit: Int) throws -> [String] {
        try process.databaseStep("find open sessions")
        return database.sessions.values
            .filter { [.starting, .recording, .paused].contains($0.status) }.map(\.sessionID).sorted()
    }
}
