public import EventSourcing
internal import Recording
public import Supervision
public import Vault

/// Empties the spool of sessions that need nothing there any more: what completion could not remove, and
/// what a recorder left behind that woke up, or died, when its session was over already.
public final class SpoolSweep {
    private let spool: Spool
    private let log: any EventLog
    private let report: RoleLog
    private let pauseMilliseconds: Int

    /// A sweep that is not running yet.
    /// - Parameter pauseMilliseconds: between the end of one sweep and the beginning of the next.
    public init(spool: Spool, log: any EventLog, report: RoleLog, pauseMilliseconds: Int = 600_000) {
        self.spool = spool
        self.log = log
        self.report = report
        self.pauseMilliseconds = pauseMilliseconds
    }

    /// Sweeps at once, and then again and again until `stop` is set. Call on a thread of its own.
    public func run(stop: StopSignal) throws {
        try waitingOutFailures(of: "spool sweep", stop: stop, report: report) { succeeded in
            let store = try log.open()
            while !stop.isSet {
                let removed = try sweep(store, stop)
                succeeded()
                if removed > 0 {
                    report(.info, "spool sweep: removed what \(removed) finished sessions had left")
                }
                stop.wait(milliseconds: pauseMilliseconds)
            }
        }
    }

    /// Answers how many sessions' folders it removed. One that cannot be removed does not keep the others.
    private func sweep(_ store: any EventStore, _ stop: StopSignal) throws -> Int {
        var removed = 0
        for session in try spool.sessions() where !stop.isSet {
            do { guard try isOver(session, store) else { continue } } catch let error as MalformedEvent {
                report(.warning, "spool sweep: session=\(session) \(error)")
                continue
            } catch let error as LogFailure where error.kind == .corrupt {
                report(.warning, "spool sweep: session=\(session) \(error)")
                continue
            }
            do throws(StorageFailure) {
                try spool.removeSession(session)
                removed += 1
            } catch {
                report(.warning, "spool sweep: session=\(session) \(error); trying again at the next sweep")
            }
        }
        return removed
    }

    /// Whether the log says that nothing of the session will be read from the spool again. What cannot be
    /// read can't take that back. While a case holds it nothing is removed that anybody ever handed in.
    private func isOver(_ session: String, _ store: any EventStore) throws -> Bool {
        var state = SessionState()
        try store.forEachEntry(of: session) { entry in
            if let event = entry.event { SessionDecider.evolve(&state, try RecordingEvent(event)) }
        }
        return (state.status == .completed || state.status == .deleted) && state.legalHolds.isEmpty
    }
}
