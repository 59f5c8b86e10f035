package import Engine
package import EventSourcing
internal import Intake
internal import Recording
package import Supervision
package import ChunkFiles
internal import Files

/// Empties the spool of sessions that need nothing there any more: what completion could not remove, and
/// what a recorder left behind that woke up, or died, when its session was over already. Of a session that
/// goes on it removes what nobody can record any more (`SpoolLeftovers`).
package final class SpoolSweep {
    private let spool: Spool
    private let log: any EventLog
    private let report: RoleLog
    private let pauseMilliseconds: Int
    private let ageSeconds: Int

    /// A sweep that is not running yet.
    /// - Parameters:
    ///   - pauseMilliseconds: between the end of one sweep and the beginning of the next.
    ///   - ageSeconds: files of sessions that go on are left alone for longer than whoever wrote them needs
    ///     to learn that they will not be recorded.
    package init(
        spool: Spool, log: any EventLog, report: RoleLog, pauseMilliseconds: Int = 600_000,
        ageSeconds: Int = 3600
    ) {
        self.spool = spool
        self.log = log
        self.report = report
        self.pauseMilliseconds = pauseMilliseconds
        self.ageSeconds = ageSeconds
    }

    /// Sweeps at once, and then again and again until `stop` is set. Call on a thread of its own.
    package func run(stop: StopSignal) throws {
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
            let found: (state: SessionState, hole: UnreadableHole?)
            do { found = try look(at: session, store) } catch let error as MalformedEvent {
                report(.warning, "spool sweep: session=\(session) \(error)")
                continue
            } catch let error as LogFailure where error.kind == .corrupt {
                report(.warning, "spool sweep: session=\(session) \(error)")
                continue
            }
            do throws(StorageFailure) {
                let leftovers = SpoolLeftovers(spool, of: session, found.state, ageSeconds: ageSeconds)
                try leftovers.removeUnfinished { path in
                    report(.info, "spool sweep: removed \(path), which was never finished")
                }
                // While a case holds it nothing is removed that anybody ever handed in.
                guard found.state.legalHolds.isEmpty else { continue }
                // What cannot be read may be a hold, or any chunk's.
                switch (found.state.status, found.hole) {
                case (.completed, nil), (.deleted, nil):
                    try spool.removeSession(session)
                    removed += 1
                case (.completed, let hole?), (.deleted, let hole?):
                    report(
                        .warning,
                        "spool sweep: session=\(session) keeps its files, which a hold may need: \(hole)")
                case (_, nil):
                    try leftovers.removeOvertaken { path in
                        report(.info, "spool sweep: removed \(path), which no event can name")
                    }
                case (_, _?): break
                }
            } catch {
                report(.warning, "spool sweep: session=\(session) \(error); trying again at the next sweep")
            }
        }
        return removed
    }

    /// What the log says of the session, and the first of it that cannot be read.
    private func look(
        at session: String, _ store: any EventStore
    ) throws -> (state: SessionState, hole: UnreadableHole?) {
        var state = SessionState()
        var hole: UnreadableHole?
        try store.forEachEntry(of: session) { entry in
            switch entry {
            case .event(let event): SessionDecider.evolve(&state, try RecordingEvent(event))
            case .unreadable(let found): hole = hole ?? found
            }
        }
        return (state, hole)
    }
}
