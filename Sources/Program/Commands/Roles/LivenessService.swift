import Console
import RedisLog
import EventSourcing
import Supervision
import Synchronization

/// Says again and again that this process is alive, so that nobody takes over what its workers hold.
/// Should it die, its mark is gone within `lifetimeMilliseconds`, and others take over.
struct LivenessService: Service {
    let name = "liveness"
    /// Whether the beats arrive.
    let health = BeatHealth()
    private let system: OpenSystem
    private let ready = StopSignal()
    private static let lifetimeMilliseconds = 3_000
    private static let beatMilliseconds = 750

    init(_ system: OpenSystem) { self.system = system }

    func run(stop: StopSignal) throws {
        let mark = ConsumerName.mark(ofInstance: system.instance)
        var liveness: (any Liveness)?
        var failures = 0
        while !stop.isSet {
            do throws(LogFailure) {
                if liveness == nil { liveness = try system.log.liveness() }
                try liveness?.beat(mark, forMilliseconds: Self.lifetimeMilliseconds)
                if failures > 0 { system.report(.info, name, "beating again", [("missed", "\(failures)")]) }
                failures = 0
                ready.set()
            } catch {
                // Whatever it is, an operator may put it right: the process lives all the same.
                liveness = nil
                if failures == 0 { system.report(.warning, name, "a beat failed: \(error)") }
                failures += 1
            }
            health.note(cutOff: failures > 0)
            stop.wait(milliseconds: Self.beatMilliseconds)
        }
        // Without the mark others take over at once instead of waiting for it to lapse.
        try? liveness?.end(mark)
    }

    func waitUntilReady(stop: StopSignal) {
        stop.whenSet { [ready] in ready.set() }
        ready.wait()
    }
}

/// Whether a process's last beat arrived.
final class BeatHealth: Sendable {
    private let state = Atomic(true)

    var isCutOff: Bool { state.load(ordering: .relaxed) }

    func note(cutOff: Bool) { state.store(cutOff, ordering: .relaxed) }
}
