internal import Glibc
internal import Supervision

/// A place that one thread waits at until it is handed the turn.
///
/// Sendable because a semaphore is made for threads.
private final class Turn: @unchecked Sendable {
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(semaphore, 0, 0) }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func hand() { sem_post(semaphore) }

    func await() { while sem_wait(semaphore) != 0 {} }
}

/// A thread of a simulated process, as the scheduler sees it.
final class Strand {
    let number: Int
    let name: String
    let process: SimulatedProcess
    fileprivate let turn = Turn()
    /// Simulated milliseconds from which it may go on.
    var wakeAt_ms: Int64 = 0
    /// Whether a change in the world wakes it earlier; the change it has seen last.
    var waitsForChange = false
    var seenChange = 0
    /// Until when it stands still whatever happens.
    var frozenUntil_ms: Int64 = 0
    var isFinished = false

    init(number: Int, name: String, process: SimulatedProcess) {
        self.number = number
        self.name = name
        self.process = process
    }
}

/// Runs the threads of a simulated world one at a time, in an order that the seed decides.
///
/// Every thread but one waits for its turn, so that what happens is a function of the seed although real
/// threads run: the code under test keeps its loops and its stack, and can be held up anywhere it touches
/// the world.
///
/// Sendable because whoever touches it has the turn: there is one.
final class Scheduler: @unchecked Sendable {
    var chance: Chance
    /// Simulated milliseconds since the world began.
    private(set) var now_ms: Int64 = 0
    /// Steps taken by all threads together.
    private(set) var steps = 0
    /// Counts what may wake those that wait for a change.
    private(set) var changes = 0
    /// A digest of everything that happened, in order: equal for equal runs.
    private(set) var trace: UInt64 = 0xcbf2_9ce4_8422_2325
    /// The probability that a thread hands the turn on at a step.
    var switching = 0.3
    /// Called whenever time went on.
    var timePassed: (Int64) -> Void = { _ in }
    /// Whether it remembers in words what happened; costs more than the rest.
    var keepsRemarks = false
    /// What happened last, for reports.
    private(set) var recent: [String] = []

    private var strands: [Strand] = []
    private var current: Strand?
    private var made = 0
    private let home = Turn()
    private var until: () -> Bool = { true }

    init(_ chance: Chance) { self.chance = chance }

    /// The thread that has the turn; nil for the one that made the world.
    var running: Strand? { current }

    /// Makes a thread; it begins when its turn comes.
    func start(_ name: String, _ process: SimulatedProcess, _ body: @escaping @Sendable () -> Void) {
        made += 1
        let strand = Strand(number: made, name: name, process: process)
        strands.append(strand)
        process.strands.append(strand)
        let handle = StrandHandle(strand: strand)
        startDetachedThread { [self] in
            handle.strand.turn.await()
            body()
            finish(handle.strand)
        }
    }

    /// Runs the world until `condition` holds or nobody is left; the condition is looked at before each
    /// change of turns. Call on the thread that made the world.
    func run(until condition: @escaping () -> Bool) {
        until = condition
        guard let next = choose() else { return }
        current = next
        next.turn.hand()
        home.await()
    }

    /// One step of the running thread: takes note of it, and perhaps lets others go first.
    func step(_ what: String) {
        guard let strand = current else { return }
        steps += 1
        note(strand.number, what)
        if chance.happens(switching) || strand.frozenUntil_ms > now_ms {
            if chance.happens(0.5) { pass(Int64(chance.number(in: 0...4))) }
            strand.wakeAt_ms = now_ms
            strand.waitsForChange = false
            yield(strand)
        }
    }

    /// The running thread sleeps for so many milliseconds, or until something changes.
    func sleep(milliseconds: Int, orChange: Bool) {
        guard let strand = current else { return }
        strand.wakeAt_ms = now_ms + Int64(max(0, milliseconds))
        strand.waitsForChange = orChange
        strand.seenChange = changes
        yield(strand)
    }

    /// Something changed that others may wait for.
    func changed() { changes += 1 }

    /// Mixes something that happened into the trace.
    func note(_ number: Int, _ what: String) {
        for byte in what.utf8 { trace = (trace ^ UInt64(byte)) &* 0x100_0000_01b3 }
        trace = (trace ^ UInt64(truncatingIfNeeded: now_ms &* 31 + Int64(number))) &* 0x100_0000_01b3
        remark(what)
    }

    /// Remembers something for reports that is no part of the trace.
    func remark(_ what: String) {
        guard keepsRemarks else { return }
        if recent.count >= 200_000 { recent.removeFirst(100_000) }
        recent.append("\(now_ms) ms \(current.map { "\($0.process.name)/\($0.name)" } ?? "-"): \(what)")
    }

    /// Threads that have not ended.
    var unfinished: [Strand] { strands.filter { !$0.isFinished } }

    /// Wakes everybody who was made to stand still.
    func thaw() { for strand in strands { strand.frozenUntil_ms = 0 } }

    /// Lets go of the world.
    func forget() {
        until = { true }
        timePassed = { _ in }
    }

    private func pass(_ milliseconds: Int64) {
        guard milliseconds > 0 else { return }
        now_ms += milliseconds
        timePassed(milliseconds)
    }

    private func yield(_ strand: Strand) {
        let next = choose()
        if next === strand { return }
        hand(next)
        strand.turn.await()
    }

    private func finish(_ strand: Strand) {
        strand.isFinished = true
        strands.removeAll { $0 === strand }
        strand.process.strands.removeAll { $0 === strand }
        changes += 1
        hand(choose())
    }

    private func hand(_ next: Strand?) {
        current = next
        if let next { next.turn.hand() } else { home.hand() }
    }

    /// Who goes on; nil when the run is over. Time jumps when everybody sleeps.
    private func choose() -> Strand? {
        if until() { return nil }
        while !strands.isEmpty {
            let ready = strands.filter(isReady)
            if !ready.isEmpty { return ready[chance.number(in: 0...ready.count - 1)] }
            let next = strands.map { max($0.wakeAt_ms, $0.frozenUntil_ms) }.min() ?? now_ms
            let thawing =
                strands.filter { $0.waitsForChange && $0.seenChange != changes }
                .map(\.frozenUntil_ms).min() ?? next
            pass(max(1, min(next, thawing) - now_ms))
            if until() { return nil }
        }
        return nil
    }

    private func isReady(_ strand: Strand) -> Bool {
        // Those of a dead process have only to end.
        if strand.process.isDead { return true }
        guard strand.frozenUntil_ms <= now_ms else { return false }
        return strand.wakeAt_ms <= now_ms || (strand.waitsForChange && strand.seenChange != changes)
    }
}

/// Carries a strand to its thread. Sendable as the scheduler is: whoever has the turn touches it.
private struct StrandHandle: @unchecked Sendable {
    let strand: Strand
}
