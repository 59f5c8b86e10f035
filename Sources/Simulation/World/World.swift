internal import EventSourcing
internal import Foundation
internal import Pipeline
internal import Recording
internal import Supervision
internal import Vault

/// A whole system in one thread's time: recorders, workers of all stages, completion, recorder watch and
/// projectors, as processes that live and die, over a log and a database in memory and real files.
///
/// Sendable because whoever touches it has the turn.
final class World: @unchecked Sendable {
    /// What a process is made of; started again when it has died.
    struct Role {
        var name: String
        var isRestarted = true
        var boot: (SimulatedProcess) -> Void
    }

    let scheduler: Scheduler
    let disturbances: Disturbances
    let variations: Variations
    let log: InMemoryEventLog
    let clock: SimulatedClock
    let database: ReadModelDatabase
    let keys = InMemoryKeyArchive()
    let root: String
    let witness: Witness
    let recordings: [PlannedRecording]
    /// Stages that some worker takes chunks up at.
    let entrances: Set<StageName>
    private var roles: [Role] = []
    private var alive: [SimulatedProcess?] = []
    private var lives = 0

    init(seed: UInt64, variations: Variations) throws {
        var chance = Chance(seed: seed)
        let plan = FaultPlan.random(&chance)
        let partitions = chance.number(in: 1...4)
        let layout = Layout.random(&chance)
        let recordings = PlannedRecording.random(&chance)
        let scheduler = Scheduler(chance)
        let disturbances = Disturbances(scheduler, plan)
        let clock = SimulatedClock(Timestamp(milliseconds: disturbances.epoch_ms))
        scheduler.timePassed = { clock.advance(milliseconds: $0) }
        self.scheduler = scheduler
        self.disturbances = disturbances
        self.variations = variations
        self.clock = clock
        self.recordings = recordings
        entrances = Set(layout.processors.joined().compactMap(\.first))
        log = InMemoryEventLog(partitions: partitions, clock: clock, blocks: false)
        database = variations.database()
        root = try Self.makeFolder()
        witness = Witness(root: root)
        // One key before anything else: which of two that are made at once stays is not for the seed to say.
        _ = try KeyRing.open(folder: "\(root)/keys")
        addRoles(layout)
    }

    /// Removes its files, and lets go of what holds on to it.
    func end() {
        roles = []
        alive = []
        scheduler.forget()
        try? FileManager.default.removeItem(atPath: root)
    }

    /// A folder in memory where there is one, so that thousands of runs cost the disk nothing.
    private static func makeFolder() throws -> String {
        let memory = "/dev/shm"
        let base =
            FileManager.default.isWritableFile(atPath: memory)
            ? memory : FileManager.default.temporaryDirectory.path
        let folder = "\(base)/reel-simulation-\(ProcessInfo.processInfo.processIdentifier)-\(UUID())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return folder
    }

    /// The folders and keys as one process opens them.
    func vault(for process: SimulatedProcess?) throws -> VaultAccess {
        let archive: any KeyArchive = process.map { ProcessKeys(inner: keys, process: $0) } ?? keys
        return VaultAccess(
            spool: try Spool(root: "\(root)/spool"), chunks: try ChunkStore(root: "\(root)/chunks"),
            ring: try KeyRing.open(folder: "\(root)/keys"), archive: archive)
    }

    func log(for process: SimulatedProcess) -> any EventLog {
        variations.log(ProcessLog(inner: log, process: process, witness: witness))
    }

    // MARK: - Life

    /// Starts everything, lets it run with faults, then without, and ends it.
    func run() {
        alive = roles.map { _ in nil }
        let keeper = SimulatedProcess("keeper", life: 0, world: disturbances)
        for (index, recording) in recordings.enumerated() { startRecorder(recording, index) }
        scheduler.start("keeper", keeper) { [self] in
            while !keeper.isDead {
                for index in roles.indices where alive[index]?.isDead ?? true { boot(index) }
                scheduler.sleep(milliseconds: scheduler.chance.number(in: 100...3000), orChange: false)
            }
        }
        let faulty = disturbances.plan.faultySteps
        let limit = faulty + disturbances.plan.calmSteps
        scheduler.run { [scheduler] in scheduler.steps >= faulty }
        disturbances.calm()
        var looks = 0
        scheduler.run { [self] in
            looks += 1
            return scheduler.steps >= limit || (looks % 64 == 0 && unsettled == nil)
        }
        if scheduler.steps >= limit {
            witness.violations.append("not settled in \(limit) steps: \(unsettled ?? "late")")
        }
        for strand in scheduler.unfinished { strand.process.kill() }
        scheduler.run { false }
    }

    private func boot(_ index: Int) {
        lives += 1
        let process = SimulatedProcess(roles[index].name, life: lives, world: disturbances)
        alive[index] = process
        roles[index].boot(process)
    }

    private func startRecorder(_ recording: PlannedRecording, _ index: Int) {
        let process = SimulatedProcess("recorder\(index)", life: 0, world: disturbances)
        recording.process = process
        process.start("record") { [self] in
            _ = process.wait(milliseconds: recording.delay_ms) { false }
            record(recording, process)
            recording.hasEnded = true
            process.kill()
        }
    }

    private func record(_ recording: PlannedRecording, _ process: SimulatedProcess) {
        do {
            let source = "\(root)/source-\(recording.sessionID)"
            try Data(recording.bytes).write(to: URL(fileURLWithPath: source))
            var options = RecordingOptions(session: recording.created)
            options.maximumChunksAhead = recording.chunksAhead
            let recorder = try Recorder(
                log: log(for: process), vault: try vault(for: process), clock: ProcessClock(process: process),
                actor: .system("simulation"), options: options
            ) { recording.told($0) }
            let summary = try recorder.record(try ByteSource.file(source), stop: process.stop)
            recording.summary = summary
        } catch {
            scheduler.remark("recorder of \(recording.sessionID): \(error)")
        }
    }

    // MARK: - Roles

    private func addRoles(_ layout: Layout) {
        for (index, chains) in layout.processors.enumerated() {
            roles.append(Role(name: "processor\(index)") { [self] in bootProcessor(chains, $0) })
        }
        for index in 0..<layout.completions {
            roles.append(Role(name: "completion\(index)") { [self] in bootCompletion($0) })
        }
        for index in 0..<layout.projectors {
            roles.append(Role(name: "projector\(index)") { [self] in bootProjector($0) })
        }
        roles.append(Role(name: "watch") { [self] in bootWatch($0) })
        roles.append(Role(name: "sweep") { [self] in bootSweep($0) })
    }

    /// Runs a role on a thread of the process; an error that the role does not wait out ends the process.
    private func run(
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
                    stage: PoisonedStage(variations.stage(stage, vault), disturbances), log: log,
                    consumer: ConsumerName(instance: process.instance, number: index), policy: RetryPolicy(),
                    clock: clock, report: report,
                    parkedEvents: { ParkedChunk.events(for: $0, $1, clock: clock) })
                try worker.run(stop: process.stop)
            }
        }
    }

    private func bootCompletion(_ process: SimulatedProcess) {
        run("completion", process) { [self] in
            let handler = SessionCompletion(
                spool: try vault(for: process).spool, clock: ProcessClock(process: process), report: report)
            try OrderedWorker(
                handler: handler, log: log(for: process), member: "\(process.instance)/0",
                timing: Self.timing, report: report
            ).run(stop: process.stop)
        }
    }

    private func bootProjector(_ process: SimulatedProcess) {
        run("projector", process) { [self] in
            let log = log(for: process)
            let projection = InMemoryProjection(database, log: try log.open(), process: process)
            try ProjectionWorker(
                projection: projection, log: log, member: "\(process.instance)/0", timing: Self.timing,
                report: report
            ).run(stop: process.stop)
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
