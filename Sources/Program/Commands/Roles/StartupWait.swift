import Supervision
import Sealing
import EventSourcing
import Console

/// Tries again, for a limited time, while a server cannot be reached: after a power cut everything starts
/// at once, in any order. What waiting cannot mend ends the start.
struct StartupWait {
    let seconds: Int
    let log: Log
    /// For the log's lines.
    let command: String
    /// What is waited for.
    var passes: (any Error) -> Bool = StartupWait.mayPass

    /// Whether it may pass while one waits: a server comes up, or somebody puts it right.
    static func mayPass(_ error: any Error) -> Bool {
        // A folder of keys that is not mounted yet looks like an empty one.
        if case KeyFailure.lost? = error as? KeyFailure { return true }
        return error.mayEnd
    }

    func run<Value>(_ stop: StopSignal, _ open: () throws -> Value) throws -> Value {
        let deadline = ContinuousClock.now + .seconds(seconds)
        var hasSaid = false
        while true {
            do {
                return try open()
            } catch  where passes(error) {
                let left = deadline - ContinuousClock.now
                guard left > .zero else { throw error }
                let text = "waiting for a server: \(error)"
                log(hasSaid ? .debug : .warning, command, text, [("at_most_s", "\(left.components.seconds)")])
                hasSaid = true
                // The caller sees that `stop` is set.
                if stop.wait(milliseconds: 500) { throw error }
            }
        }
    }
}
