package import Engine
package import Base
package import EventSourcing
package import Recording
package import Supervision

/// Why a record is not known to be in the log.
package enum AuditFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// More records wait than may wait; this one was not taken.
    case overloaded(waiting: Int)
    /// It waits, and was not written in time. It is written when the log can be reached again, unless the
    /// process dies before.
    case late(milliseconds: Int)
    /// The trail has ended, or ended before the record was written.
    case ended
    /// The log refused it for good.
    case refused(String)

    /// One line for people.
    package var description: String {
        switch self {
        case .overloaded(let waiting): "the audit trail is overloaded: \(waiting) records wait"
        case .late(let limit): "the audit trail could not be written within \(limit) ms"
        case .ended: "the audit trail has ended"
        case .refused(let text): "the audit trail was refused: \(text)"
        }
    }
}

/// Writes records of who did what to the log: one thread for the whole process, many records to an append.
///
/// Two ways in. `keep` is for what must be durable before anybody is answered: commands, denials of
/// commands, downloads, key exports. `note` is for the rest, and costs its caller a place in a queue and
/// nothing else. When the log is away both wait in a bounded queue, in which notes may take one half; notes
/// beyond it are counted, and the count becomes a record of its own.
package final class AuditTrail: Service {
    /// Bounds of the trail.
    package struct Limits: Sendable {
        /// Records that may wait; notes take at most half of the places.
        package var waiting = 10_000
        /// Records of one append, at most 1000.
        package var batch = 200
        /// Milliseconds that notes may wait for others to go with them.
        package var gathering_ms = 100
        /// Milliseconds that `keep` waits for its record to be durable.
        package var durable_ms = 3_000
        /// Milliseconds that the end may take to write what waits.
        package var ending_ms = 5_000
        /// Records of one history, after which another is begun. A history leaves Redis when all of it is
        /// archived, so none may go on for ever.
        package var history = 1_000

        /// The usual bounds.
        package init() {}
    }

    /// What the trail has done so far.
    package struct Counts: Sendable, Hashable {
        /// Records that are in the log.
        package var written = 0
        /// Notes that found no place.
        package var dropped = 0
        /// Records that wait.
        package var waiting = 0
        package init(written: Int = 0, dropped: Int = 0, waiting: Int = 0) {
            self.written = written
            self.dropped = dropped
            self.waiting = waiting
        }
    }

    /// Name of the service.
    package let name = "audit"

    private struct Item: Sendable {
        let event: ProposedEvent
        let then: (@Sendable (AuditFailure?) -> Void)?
    }

    private struct State {
        var items: [Item] = []
        var kept = 0
        var hasEnded = false
        var counts = Counts()
        var unreported = 0
        var droppedSince: Timestamp?
    }

    private let state = Monitor(State())
    private let log: any EventLog
    private let source: String
    private let writer: String
    private let clock: any WallClock
    private let limits: Limits
    private let report: RoleLog

    /// A trail that takes records at once and writes them while `run` does.
    /// - Parameters:
    ///   - source: CloudEvents source of the records, such as `/reel/gateway`.
    ///   - writer: name of this process, which no other process has or had; nil to have one made.
    package init(
        log: any EventLog, source: String, writer: String? = nil, clock: any WallClock = SystemClock(),
        limits: Limits = Limits(), report: RoleLog
    ) {
        self.log = log
        self.source = source
        self.writer = writer ?? ULID.make(at: clock.now())
        self.clock = clock
        self.limits = limits
        self.report = report
    }

    /// What was done so far, for metrics.
    package var counts: Counts {
        state.withLock { state in
            var counts = state.counts
            counts.waiting = state.items.count
            return counts
        }
    }

    // MARK: - Taking records

    /// Takes a record that nobody waits for. Never blocks.
    package func note(_ record: AuditRecord, traceparent: String = "") {
        let item = Item(event: proposed(record, traceparent), then: nil)
        state.update { state in
            let isFull = state.items.count - state.kept >= limits.waiting / 2
            guard !state.hasEnded, !isFull, state.items.count < limits.waiting else {
                state.counts.dropped += 1
                state.unreported += 1
                state.droppedSince = state.droppedSince ?? clock.now()
                return
            }
            state.items.append(item)
        }
    }

    /// Takes a record and calls `then` when it is durable, or why it is not. Never blocks; `then` is called
    /// once, on the trail's thread, where it must not block either, or at once when the record is not taken.
    package func keep(
        _ record: AuditRecord, traceparent: String = "", then: @escaping @Sendable (AuditFailure?) -> Void
    ) {
        let item = Item(event: proposed(record, traceparent), then: then)
        let failure = state.update { state -> AuditFailure? in
            if state.hasEnded { return .ended }
            guard state.items.count < limits.waiting else {
                return .overloaded(waiting: state.items.count)
            }
            state.items.append(item)
            state.kept += 1
            return nil
        }
        if let failure { then(failure) }
    }

    /// Takes a record and returns when it is durable. Blocks, for `durable_ms` at most: on a thread of your
    /// own.
    package func keep(_ record: AuditRecord, traceparent: String = "") throws(AuditFailure) {
        let outcome = Monitor<AuditFailure??>(nil)
        keep(record, traceparent: traceparent) { failure in outcome.update { $0 = .some(failure) } }
        guard let answer = outcome.wait(milliseconds: limits.durable_ms, for: { $0 }) else {
            throw .late(milliseconds: limits.durable_ms)
        }
        if let answer { throw answer }
    }

    private func proposed(_ record: AuditRecord, _ traceparent: String) -> ProposedEvent {
        let now = clock.now()
        return ProposedEvent(
            record, id: ULID.make(at: now), time: now,
            context: EventContext(
                source: source, actor: record.actor.envelope, traceparent: traceparent,
                correlationID: record.requestID ?? ""), version: AuditRecord.version(at: log.level))
    }

    // MARK: - Writing

    /// Writes until `stop` is set and what waits then is written, for `ending_ms` at most.
    package func run(stop: StopSignal) throws {
        stop.whenSet { [state] in state.update { _ in } }
        let pen = AuditTrailWriter(
            log: log, writer: writer, history: limits.history, stop: stop, report: report)
        defer { end() }
        while true {
            let items = next(stop)
            if items.isEmpty {
                if stop.isSet { return }
                continue
            }
            let failure = pen.write(items.map(\.event), endingWithin: limits.ending_ms)
            state.withLock { if failure == nil { $0.counts.written += items.count } }
            for item in items { item.then?(failure) }
            if failure == .ended { return }
        }
    }

    /// The next records to be written together; empty when there was none for a second, or at the end.
    private func next(_ stop: StopSignal) -> [Item] {
        _ = state.wait(milliseconds: 1_000) { state in
            !state.items.isEmpty || state.unreported > 0 || stop.isSet ? true : nil
        }
        // Somebody waits for what is kept; notes gather.
        _ = state.wait(milliseconds: limits.gathering_ms) { state in
            state.kept > 0 || state.items.count >= limits.batch || stop.isSet ? true : nil
        }
        return state.withLock { state in
            if state.unreported > 0, state.items.count < limits.waiting / 4 { reportDropped(&state) }
            let count = min(state.items.count, min(limits.batch, LogLimits.eventsPerAppend))
            let items = Array(state.items.prefix(count))
            state.items.removeFirst(count)
            state.kept -= items.count { $0.then != nil }
            return items
        }
    }

    private func reportDropped(_ state: inout State) {
        var details = ["count": "\(state.unreported)"]
        if let since = state.droppedSince { details["since"] = since.rfc3339 }
        let record = AuditRecord(
            .auditDropped, on: AuditResource(.audit), outcome: .failed,
            reason: "more records came than could wait", actor: AuditActor(type: .system, subject: "audit"),
            details: details)
        state.items.append(Item(event: proposed(record, ""), then: nil))
        state.unreported = 0
        state.droppedSince = nil
    }

    private func end() {
        let left = state.update { state in
            state.hasEnded = true
            defer { state.items = [] }
            return state.items
        }
        for item in left { item.then?(.ended) }
        if !left.isEmpty { report(.error, "audit: \(left.count) records were not written before the end") }
    }
}
