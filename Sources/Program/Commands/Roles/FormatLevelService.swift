import Base
import Console
import EventSourcing
import RedisLog
import Supervision

/// Raises the log's format level once every live process reads more, and ends this process where it does
/// not read what others write by now.
struct FormatLevelService: Service {
    let name = "format-level"
    private let system: OpenSystem
    private let beats: LivenessService

    init(_ system: OpenSystem, after beats: LivenessService) {
        self.system = system
        self.beats = beats
    }

    func run(stop: StopSignal) throws {
        // The mark comes first: whoever raises the level sees it, or is seen below.
        beats.waitUntilReady(stop: stop)
        let level = system.log.formatLevel()
        // Finding marks goes through all keys of the server.
        let backoff = Backoff(firstMilliseconds: 500, limitMilliseconds: 60_000)
        var attempt = 0
        var isAdmitted = false
        var reported: [RedisFormatLevel.Laggard] = []
        while !stop.isSet {
            do throws(LogFailure) {
                if !isAdmitted {
                    isAdmitted = try level.isAdmitted()
                } else if system.log.level < .newest {
                    let laggards = try level.raise()
                    if laggards.isEmpty {
                        system.report(.info, name, "the log is at format level \(system.log.level)")
                        attempt = 0
                    } else if laggards != reported {
                        system.report(
                            .warning, name, "the log stays at format level \(system.log.level)",
                            [("because", laggards.map(\.description).joined(separator: ", "))])
                        reported = laggards
                    }
                } else {
                    break
                }
            } catch {
                // A log that is ahead of this program ends it; what an operator can put right does not.
                guard error.mayEnd, error.kind != .unsuitable else { throw error }
                system.report(.debug, name, "\(error)")
            }
            attempt += isAdmitted ? 1 : 0
            stop.wait(milliseconds: isAdmitted ? backoff.milliseconds(attempt: attempt) : 200)
        }
        stop.wait()
    }
}
