import Console
import EventSourcing
import RedisLog
import Supervision

/// Looks every second which partitions others have halted, and which halts somebody has lifted, so that
/// neither takes a restart to be heard of.
struct HaltWatchService: Service {
    let name = "halts"
    private let system: OpenSystem
    private static let lookMilliseconds = 1_000

    init(_ system: OpenSystem) { self.system = system }

    func run(stop: StopSignal) throws {
        let halts = system.log.halts()
        var isBlind = false
        while !stop.wait(milliseconds: Self.lookMilliseconds) {
            do throws(LogFailure) {
                try halts.refresh()
                isBlind = false
            } catch {
                if !isBlind {
                    system.report(.warning, name, "halted partitions cannot be looked up: \(error)")
                }
                isBlind = true
            }
        }
    }
}
