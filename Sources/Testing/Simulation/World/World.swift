internal import Base
internal import EventSourcing
internal import Foundation
internal import Glibc
internal import Pipeline
internal import Recording
internal import Supervision
internal import ChunkFiles
internal import Sealing

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
    let poison: Poison
    let ledger = Ledger()
    let human: Operator
    let recordings: [PlannedRecording]
    let streams: [PlannedStream]
    /// The processes that take streams, by the number of their role.
    var gateways: [Int: Gateway] = [:]
    /// Commands of clients, so that each has an id of its own.
    var commandCount = 0
    /// Stages that some worker takes chunks up at.
    let entrances: Set<StageName>
    var roles: [Role] = []
    private var alive: [SimulatedProcess?] = []
    private var lives = 0
    private var lastState: InMemoryState?

    init(seed: UInt64, variations: Variations) throws {
        var chance = Chance(seed: seed)
        var plan = FaultPlan.random(&chance)
        variations.faults(&plan)
        let partitions = chance.number(in: 1...4)
        let layout = Layout.random(&chance)
        let recordings = PlannedRecording.random(&chance)
        let streams = PlannedStream.random(&chance)
        let scheduler = Scheduler(chance)
        let disturbances = Disturbances(scheduler, plan)
        let clock = SimulatedClock(Timestamp(milliseconds: disturbances.epoch_ms))
        scheduler.timePassed = { clock.advance(milliseconds: $0) }
        self.scheduler = scheduler
        self.disturbances = disturbances
        self.variations = variations
        self.clock = clock
        self.recordings = recordings
        self.streams = streams
        entrances = Set(layout.processors.joined().compactMap(\.first))
        log = InMemoryEventLog(partitions: partitions, clock: clock, blocks: false)
        database = variations.database()
        poison = Poison(scheduler, share: plan.poison)
        human = Operator(log, poison, scheduler)
        root = try Self.makeFolder()
        witness = Witness(root: root, log: log, poison: poison)
        disturbances.disk = try SimulatedDisk(
            ["\(root)/spool", "\(root)/chunks"], limbo: "\(root)/limbo", keeps: variations.promises)
        // The folders were there before anything could go wrong.
        _ = try (Spool(root: "\(root)/spool"), ChunkStore(root: "\(root)/chunks"))
        // One key before anything else: which of two that are made at once stays is not for the seed to say.
        _ = try KeyRing.open(folder: "\(root)/keys")
        addRoles(layout)
        disturbances.powerIsCut = { [unowned self] in losePower() }
    }

    /// All sessions that there may be.
    var sessions: [any PlannedSession] { recordings + streams }

    /// Every process dies at once, and everything loses what was not durable.
    private func losePower() {
        for process in alive { process?.kill() }
        for recording in recordings { recording.process?.kill() }
        disturbances.disk?.losePower(&scheduler.chance)
        database.losePower(&scheduler.chance)
        // A log that breaks its promise lacks what it has acknowledged last.
        if let lastState { log.state.with { $0 = lastState } }
        lastState = nil
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
        var calls = ProcessCalls(process: process, witness: witness)
        if !variations.promises.appends {
            calls.remember = { [unowned self] (state: InMemoryState) in lastState = state }
        }
        return variations.log(InMemoryEventLog(log, watchedBy: calls))
    }

    // MARK: - Life

    /// Starts everything, lets it run with faults, then without, and ends it.
    func run() {
        alive = roles.map { _ in nil }
        let keeper = SimulatedProcess("keeper", life: 0, world: disturbances)
        for (index, recording) in recordings.enumerated() { startRecorder(recording, index) }
        for stream in streams { startSenders(stream) }
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

    /// Somebody truncates the source while it is recorded.
    private func cutLater(_ recording: PlannedRecording, _ source: String, _ process: SimulatedProcess) {
        guard let cut = recording.cut else { return }
        process.start("cut") { [disturbances] in
            _ = process.wait(milliseconds: cut.delay_ms) { false }
            guard !recording.hasEnded, truncate(source, off_t(cut.bytes)) == 0 else { return }
            disturbances.noteCut()
            // Two looks at the real clock may show the same time.
            var times = [timespec(tv_sec: 1, tv_nsec: 0), timespec(tv_sec: 1, tv_nsec: 0)]
            utimensat(AT_FDCWD, source, &times, 0)
        }
    }

    private func record(_ recording: PlannedRecording, _ process: SimulatedProcess) {
        do {
            let source = "\(root)/source-\(recording.sessionID)"
            try Data(recording.bytes).write(to: URL(fileURLWithPath: source))
            // What it is then is what it promises.
            let bytes = try ByteSource.file(source)
            cutLater(recording, source, process)
            var options = RecordingOptions(session: recording.created)
            options.maximumChunksAhead = recording.chunksAhead
            let recorder = Recorder(
                log: log(for: process), vault: try vault(for: process), clock: ProcessClock(process: process),
                actor: .system("simulation"), options: options
            ) { recording.told($0) }
            let summary = try recorder.record(bytes, stop: process.stop)
            recording.summary = summary
        } catch {
            scheduler.remark("recorder of \(recording.sessionID): \(error)")
        }
    }
}
