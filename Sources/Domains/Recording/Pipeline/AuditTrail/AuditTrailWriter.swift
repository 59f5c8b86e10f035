internal import Engine
internal import Base
internal import EventSourcing
internal import Recording
internal import Supervision

/// Puts records into the log, in histories of bounded length. One thread.
final class AuditTrailWriter {
    private let log: any EventLog
    private let writer: String
    private let history: Int
    private let stop: StopSignal
    private let report: RoleLog
    private var store: (any EventStore)?
    private var number = 1
    private var written = 0

    init(log: any EventLog, writer: String, history: Int, stop: StopSignal, report: RoleLog) {
        self.log = log
        self.writer = writer
        self.history = history
        self.stop = stop
        self.report = report
    }

    /// Appends the events, trying again until the log takes them; after `stop` is set for `ending` more
    /// milliseconds. Answers why they are not in the log.
    func write(_ events: [ProposedEvent], endingWithin ending: Int) -> AuditFailure? {
        var backoff = Backoff(firstMilliseconds: 50)
        var deadline: ContinuousClock.Instant?
        if written >= history { begin() }
        var turns = 0
        while true {
            do throws(LogFailure) {
                try append(events)
                written += events.count
                if report.outages.ended("audit") != nil { report(.info, "audit: writing again") }
                return nil
            } catch {
                turns += 1
                // Nothing was written there; another history most likely stands in another partition.
                if error.kind == .lostHistory || error.isOfRecord, turns <= 100 {
                    begin()
                    continue
                }
                guard error.mayEnd else {
                    report(.error, "audit: \(events.count) records were refused: \(error)")
                    return .refused(error.description)
                }
                if stop.isSet {
                    let end = deadline ?? Machine.now + .milliseconds(ending)
                    deadline = end
                    if Machine.now >= end { return .ended }
                }
                let delay = backoff.next()
                if report.outages.began("audit", "audit", error, cause: "audit \(error.kind)") {
                    report(.warning, "audit: \(error); records wait")
                }
                pause(delay)
            }
        }
    }

    private func append(_ events: [ProposedEvent]) throws(LogFailure) {
        if store == nil { store = try log.open() }
        guard let store else { return }
        let key = AuditRecord.historyKey(writer, number)
        // Ids make repeating an append of unknown outcome harmless.
        let outcome = try store.append(events, to: key, expecting: .any)
        guard case .appended = outcome else {
            throw LogFailure(.invalid, operation: "append", key: key, text: "answered with \(outcome)")
        }
    }

    private func begin() {
        number += 1
        written = 0
    }

    /// Waits; after `stop` is set too, which ends a wait on the signal itself at once.
    private func pause(_ milliseconds: Int) {
        if !stop.wait(milliseconds: milliseconds) { return }
        _ = Monitor(()).wait(milliseconds: min(milliseconds, 100)) { _ in Bool?.none }
    }
}
