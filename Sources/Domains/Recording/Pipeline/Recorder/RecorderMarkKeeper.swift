internal import EventSourcing
internal import Recording
internal import Supervision

/// Keeps a recorder's liveness mark set from a thread of its own, so that a slow disk or a slow source
/// does not make the recorder look dead.
final class RecorderMarkKeeper: Sendable {
    private let stop = StopSignal()
    private let thread: OwnThread<Void>

    init(session: String, log: any EventLog) throws(SystemFailure) {
        let stop = stop
        thread = try OwnThread(name: "recorder-mark") {
            let mark = RecorderMark.name(ofSession: session)
            var liveness: (any Liveness)?
            while !stop.isSet {
                // A beat that fails is made up for by the next: the mark outlives several beats.
                if liveness == nil { liveness = try? log.liveness() }
                do {
                    try liveness?.beat(mark, forMilliseconds: RecorderMark.lifetimeMilliseconds)
                } catch { liveness = nil }
                _ = stop.wait(milliseconds: 2000)
            }
            try? liveness?.end(mark)
        }
    }

    func end() {
        stop.set()
        _ = thread.wait(milliseconds: 2000)
    }
}
