internal import Glibc

/// Decides, step by step, what goes wrong.
///
/// Sendable because whoever touches it has the turn.
final class Disturbances: @unchecked Sendable {
    let scheduler: Scheduler
    let origin = ContinuousClock.now
    let epoch_ms: Int64 = 1_700_000_000_000
    private(set) var counts = FaultCounts()
    private var names = 0
    /// What may go wrong now.
    private(set) var plan: FaultPlan
    /// What the files lie on.
    var disk: SimulatedDisk?
    /// Lets everything lose what a power cut takes.
    var powerIsCut: () -> Void = {}

    init(_ scheduler: Scheduler, _ plan: FaultPlan) {
        self.scheduler = scheduler
        self.plan = plan
        scheduler.switching = plan.switching
    }

    /// Bytes that nobody had before.
    func newName(_ count: Int) -> [UInt8] {
        names += 1
        let digits = withUnsafeBytes(of: UInt64(names).bigEndian, Array.init)
        return Array(repeating: 0xA5, count: max(0, count - 8)) + digits.suffix(count)
    }

    /// From now on everything works.
    func calm() {
        var calm = FaultPlan()
        calm.switching = plan.switching
        plan = calm
        scheduler.thaw()
    }

    /// May kill or hold up the process whose thread takes a step.
    func disturb(_ process: SimulatedProcess) {
        guard let strand = scheduler.running else { return }
        if scheduler.chance.happens(plan.power) {
            cutPower()
        } else if scheduler.chance.happens(plan.crash) {
            counts.crashes += 1
            process.kill()
        } else if scheduler.chance.happens(plan.stall) {
            counts.stalls += 1
            strand.frozenUntil_ms = scheduler.now_ms + pauseLength()
        } else if scheduler.chance.happens(plan.freeze) {
            counts.stalls += 1
            let until = scheduler.now_ms + pauseLength()
            for strand in process.strands { strand.frozenUntil_ms = until }
        } else if scheduler.chance.happens(plan.clock) {
            counts.clocks += 1
            process.setClock(by: Int64(scheduler.chance.number(in: -60_000...60_000)))
        }
    }

    /// May hold up the running thread, or its whole process, right before an effect.
    func delayEffect() {
        guard let strand = scheduler.running, count(plan.late, \.stalls) else { return }
        let until = scheduler.now_ms + Int64(scheduler.chance.number(in: 10_000...100_000))
        let held = scheduler.chance.happens(0.5) ? strand.process.strands : [strand]
        for strand in held { strand.frozenUntil_ms = until }
    }

    /// Mostly short, now and then longer than every time limit there is.
    private func pauseLength() -> Int64 {
        let most = [50, 1000, 30_000, 120_000][scheduler.chance.number(in: 0...3)]
        return Int64(scheduler.chance.number(in: 1...most))
    }

    func isUnreachable() -> Bool { count(plan.unreachable, \.unreachable) }

    func losesAnswer() -> Bool { count(plan.lostAnswer, \.lostAnswers) }

    /// Whether a sender stands still before its next piece.
    func freezesSender() -> Bool { count(plan.frozenSender, \.senders) }

    /// Whether a sender's connection breaks before its next piece.
    func breaksSender() -> Bool { count(plan.brokenSender, \.senders) }

    /// A source was cut off.
    func noteCut() { counts.cutSources += 1 }

    func cutsWrite() -> Bool { count(plan.database, \.database) }

    /// The error of a file call, if it is to fail.
    func fileFault(_ operation: String) -> Int32? {
        guard count(plan.file, \.files) else { return nil }
        let grows = ["create", "write", "mkdir", "link", "rename"].contains(operation)
        return grows && scheduler.chance.happens(0.7) ? ENOSPC : EIO
    }

    /// Cuts the power of all machines there are.
    func cutPower() {
        counts.powerCuts += 1
        scheduler.note(0, "the power is cut")
        powerIsCut()
    }

    /// Whether the power is cut at the moment at which a call of the log takes effect.
    func cutsPowerAtEffect() -> Bool { scheduler.chance.happens(plan.power * 3) }

    private func count(_ probability: Double, _ kind: WritableKeyPath<FaultCounts, Int>) -> Bool {
        guard scheduler.chance.happens(probability) else { return false }
        counts[keyPath: kind] += 1
        return true
    }
}
