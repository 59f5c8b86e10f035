internal import Base
internal import EventSourcing
internal import Glibc
package import Supervision
package import Files

/// One life of a process in a simulated world: what its threads share, and what dies with it.
///
/// Whatever its threads do to the world goes through here first. Once it is dead nothing that they do has
/// an effect, they only come to their end; so the code's own error handling cannot tidy up after a crash.
///
/// Sendable because whoever touches it has the turn.
package final class SimulatedProcess: Surroundings, FileWatcher, @unchecked Sendable {
    /// What it is called in reports.
    package let name: String
    /// Id of this life, for its liveness mark.
    package let instance: String
    /// Set when it dies, so that its loops end.
    package let stop = StopSignal()
    private(set) var isDead = false
    var strands: [Strand] = []
    private let world: Disturbances
    private let origin: ContinuousClock.Instant
    /// Milliseconds that its wall clock is wrong by.
    private var clockError_ms: Int64 = 0

    var scheduler: Scheduler { world.scheduler }

    init(_ name: String, life: Int, world: Disturbances) {
        self.name = name
        instance = "\(name)-\(life)"
        self.world = world
        origin = world.origin
    }

    /// Ends it as kill -9 does.
    func kill() {
        guard !isDead else { return }
        isDead = true
        scheduler.note(0, "\(instance) dies")
        stop.set()
        scheduler.changed()
    }

    /// Runs a thread of this process.
    func start(_ name: String, _ body: @escaping @Sendable () -> Void) {
        guard !isDead else { return }
        scheduler.start(name, self) { [self] in
            Machine.$simulated.withValue(self) { FileCalls.$watcher.withValue(self, operation: body) }
        }
    }

    /// A step of the running thread; answers whether the process still lives.
    func step(_ what: String) -> Bool {
        guard !isDead else { return false }
        world.disturb(self)
        guard !isDead else { return false }
        scheduler.step(what)
        return !isDead
    }

    /// Whether the power is cut while its next call of the log takes effect.
    func isCutOff() -> Bool { !isDead && world.cutsPowerAtEffect() }

    /// Cuts the power of everything, in the middle of a call.
    func cutPower(during operation: String) throws(LogFailure) {
        world.cutPower()
        throw gone(operation)
    }

    /// A step before or after a call of the log.
    func logStep(_ operation: String, answered: Bool) throws(LogFailure) {
        if operation == "append", !answered, !isDead { world.delayEffect() }
        guard step(answered ? operation + " answered" : operation) else { throw gone(operation) }
        if answered ? world.losesAnswer() : world.isUnreachable() {
            throw LogFailure(
                .unreachable, operation: operation, key: name,
                text: answered ? "the answer was lost" : "no connection")
        }
    }

    /// A step of a write of the read models.
    func databaseStep(_ operation: String) throws(LogFailure) {
        if operation.hasPrefix("write"), !isDead { world.delayEffect() }
        guard step(operation) else { throw gone(operation) }
        if world.cutsWrite() {
            throw LogFailure(.unreachable, operation: operation, key: name, text: "the write was cut off")
        }
    }

    private func gone(_ operation: String) -> LogFailure {
        LogFailure(.invalid, operation: operation, key: name, text: "the process is dead")
    }

    // MARK: - Files

    /// A step before a file call. A process that is dead touches no file any more.
    package func before(_ operation: String, _ path: String) throws(FileFailure) {
        guard step("\(operation) \(Self.steadyPart(of: path))") else {
            // An error that nobody takes for an answer of the disk.
            throw FileFailure(operation, path, code: ENXIO)
        }
        if let code = world.fileFault(operation) { throw FileFailure(operation, path, code: code) }
        world.disk?.before(operation, path)
    }

    /// Tells the disk what took effect.
    package func after(_ operation: String, _ path: String, from source: String?) {
        world.disk?.after(operation, path, from: source)
    }

    /// The name of a chunk's file without what is random in it; nothing of other files.
    private static func steadyPart(of path: String) -> String {
        let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { path.utf8.index(after: $0) }
        let name = path[(slash ?? path.startIndex)...]
        if name.hasPrefix(".tmp-") { return ".tmp" }
        return name.hasPrefix("0000") ? String(name.prefix { $0 != "-" }) : ""
    }

    /// Names that the seed decides, and that no other file of the world has.
    package func randomBytes(_ count: Int) -> [UInt8]? { world.newName(count) }

    // MARK: - Time

    /// Time that never goes back; to a dead process it flies, so that its waits are over.
    package var now: ContinuousClock.Instant {
        if isDead { return origin + .seconds(1_000_000_000) }
        return origin + .milliseconds(scheduler.now_ms)
    }

    /// What its wall clock shows.
    var wallTime: Timestamp { Timestamp(milliseconds: world.epoch_ms + scheduler.now_ms + clockError_ms) }

    /// Sets its wall clock forward or back.
    func setClock(by milliseconds: Int64) { clockError_ms += milliseconds }

    /// Waits in simulated time. What a condition depends on is looked at again at every change.
    package func wait(milliseconds: Int?, until condition: () -> Bool) -> Bool {
        // Nobody is woken to the millisecond; short waits are stretched, which spares turns.
        let limit = milliseconds.map { $0 < 100 ? $0 * random(in: 1...10) : $0 } ?? 3_600_000
        let end_ms = scheduler.now_ms + Int64(limit)
        while !isDead, !condition() {
            let left = Int(end_ms - scheduler.now_ms)
            if left <= 0 { break }
            // Whatever waits is woken by the end of its process; the rest comes to pass by time.
            scheduler.sleep(milliseconds: milliseconds == nil ? limit : min(left, 60_000), orChange: false)
        }
        // Another thread of a dead process may have to end first what this one waits for.
        if isDead { scheduler.sleep(milliseconds: 0, orChange: false) }
        return condition()
    }

    /// A further thread of this process.
    package func startThread(_ name: String, _ body: @escaping @Sendable () -> Void) { start(name, body) }

    /// A number that the seed decides.
    package func random(in range: ClosedRange<Int>) -> Int { scheduler.chance.number(in: range) }

    /// Stands still for a while, or until something changes in the log.
    func idle(milliseconds: Int) {
        guard !isDead else { return }
        scheduler.sleep(milliseconds: milliseconds, orChange: true)
    }
}

/// The wall clock of a process.
struct ProcessClock: WallClock {
    let process: SimulatedProcess

    func now() -> Timestamp { process.wallTime }
}
