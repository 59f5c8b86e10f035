package import Engine
package import Base
package import EventSourcing
internal import Recording
package import Supervision

/// Which sessions the read model shows as not stopped. The log decides; this only says where to look.
package protocol OpenSessions: AnyObject {
    /// Ids of sessions that are starting, recording or paused; at most `limit`.
    func openSessions(limit: Int) throws -> [String]
}

/// Stops recordings whose recorder vanished, so that what was recorded completes and stays visible.
///
/// A recording is stopped when its recorder's mark was missing at every look for `graceMilliseconds` in a
/// row. A look that fails (the server was away) starts the wait again: a mark may be missing only
/// because nobody could set it.
package final class RecorderWatch {
    private let log: any EventLog
    private let sessions: () throws -> any OpenSessions
    private let clock: any WallClock
    private let report: RoleLog
    private let graceMilliseconds: Int
    private var missingSince: [String: ContinuousClock.Instant] = [:]
    /// Sessions that were complained of.
    private var unreadable: Set<String> = []

    /// A watch that is not running yet.
    package init(
        log: any EventLog, sessions: @escaping () throws -> any OpenSessions, clock: any WallClock,
        report: RoleLog, graceMilliseconds: Int = 20_000
    ) {
        self.log = log
        self.sessions = sessions
        self.clock = clock
        self.report = report
        self.graceMilliseconds = graceMilliseconds
    }

    /// Works until `stop` is set. Call on a thread of its own.
    package func run(stop: StopSignal) throws {
        try waitingOutFailures(of: "recorder watch", stop: stop, report: report) { succeeded in
            missingSince.removeAll()
            let liveness = try log.liveness()
            let store = try log.open()
            let open = try sessions()
            while !stop.isSet {
                try look(liveness, store, open)
                succeeded()
                _ = stop.wait(milliseconds: min(5000, max(100, graceMilliseconds / 4)))
            }
        }
    }

    private func look(
        _ liveness: any Liveness, _ store: any EventStore, _ open: any OpenSessions
    ) throws {
        let ids = try open.openSessions(limit: 10_000)
        let alive = ids.isEmpty ? [] : try liveness.alive(ids.map(RecorderMark.name(ofSession:)))
        let now = Machine.now
        var missing: [String: ContinuousClock.Instant] = [:]
        for (id, isAlive) in zip(ids, alive) where !isAlive {
            let since = missingSince[id] ?? now
            missing[id] = since
            if now - since >= .milliseconds(graceMilliseconds) { try stopUnlessUnreadable(id, store) }
        }
        missingSince = missing
    }

    /// A session with an event that cannot be understood keeps nobody from looking after the others.
    private func stopUnlessUnreadable(_ session: String, _ store: any EventStore) throws {
        do { try stopRecording(session, store) } catch let error as MalformedEvent {
            complain(session, "\(error)")
        } catch let error as LogFailure where error.isOfRecord {
            complain(session, "\(error)")
        }
    }

    private func complain(_ session: String, _ text: String) {
        if unreadable.insert(session).inserted {
            report(.error, "recorder watch: session=\(session) cannot be stopped: \(text)")
        }
    }

    private func stopRecording(_ session: String, _ store: any EventStore) throws {
        let handler = CommandHandler(session: session, store: store, clock: clock)
        let context = EventContext(source: "/reel/pipeline", actor: .system("recorder-watch"))
        do {
            try handler.catchUp()
            let command: SessionCommand
            switch handler.state.status {
            case .starting: command = .fail(error: "no recorder began to record")
            case .recording, .paused: command = .stop(.recorderLost, incomplete: true)
            default: return
            }
            try handler.handle(command, id: "\(session)/recorder-lost", context: context)
            report(.warning, "recorder watch: session=\(session) recorder vanished, recording stopped")
        } catch {
            switch error {
            case .rejected: return
            // Its partition is halted: that one waits, and must not keep the others from being stopped.
            case .failed(let failure) where failure.kind == .lostHistory:
                report(.error, "recorder watch: session=\(session) cannot be stopped: \(failure)")
            case .failed(let failure): throw failure
            case .malformed(let event): throw event
            }
        }
    }
}
