import Console
import RedisLog
import Supervision

/// Looks every second after the log for the whole process: whether it is still the same one, which partitions
/// are halted or go on, whether something is gone from one, and whether the server takes writes and keeps
/// them. What is noticed stands in the log, in health and in the figures.
struct LogWatchService: Service {
    let name = "log-watch"
    private let system: OpenSystem
    private static let lookMilliseconds = 1_000

    init(_ system: OpenSystem) { self.system = system }

    func run(stop: StopSignal) throws {
        let watch = system.log.watch()
        var isBlind = false
        repeat {
            let failure = watch.look().failure
            if let failure, !isBlind {
                system.report(.warning, name, "the log cannot be looked after: \(failure)")
            }
            isBlind = failure != nil
        } while !stop.wait(milliseconds: Self.lookMilliseconds)
    }
}
