internal import EventSourcing
internal import Recording

/// The log's calls of one simulated process: each is a step before it and a step after it, at either of
/// which the process may die or the connection break, or the power be cut.
///
/// Sendable because whoever touches it has the turn.
struct ProcessCalls: CallWatcher, @unchecked Sendable {
    /// How long somebody who waits for events sleeps when nothing happens. Longer than the callers ask for,
    /// which spares many turns in which nothing happens.
    private static let idle_ms = 5000

    let process: SimulatedProcess
    let witness: Witness
    /// Told what the log was like before each append, where it does not keep what it has acknowledged.
    var remember: ((InMemoryState) -> Void)?

    func call<R>(
        _ operation: String, _ state: Monitor<InMemoryState>, isNothing: (R) -> Bool,
        _ body: () throws(LogFailure) -> R
    ) throws(LogFailure) -> R {
        try process.logStep(operation, answered: false)
        if process.isCutOff() {
            // What was not answered yet is durable or gone, as one; nobody has seen it.
            let before = state.with { $0 }
            witness.seeing {
                _ = try? body()
                let isGone = process.random(in: 0...1) == 0
                if isGone { state.with { $0 = before } }
                return !isGone
            }
            try process.cutPower(during: operation)
        }
        if operation == "append", let remember { remember(state.with { $0 }) }
        let answer = try body()
        if operation == "append" { process.scheduler.changed() }
        if !isNothing(answer) { try process.logStep(operation, answered: true) }
        return answer
    }

    func idle() { process.idle(milliseconds: Self.idle_ms) }

    /// Few at a time, so that a batch ends in the middle of what belongs together.
    func readLimit(_ limit: Int) -> Int { min(limit, process.random(in: 1...12)) }

    func appended(_ batches: [AppendBatch], _ outcomes: [AppendOutcome]) {
        witness.appended(batches, outcomes, process)
    }

    func counted(_ name: String, _ position: LogPosition) { witness.counted(name, position) }

    func parked(_ name: String, _ position: LogPosition, _ reason: ParkedReason) {
        witness.parked(name, position, reason)
    }
}

/// Kept keys as one simulated process reaches them.
struct ProcessKeys: KeyArchive {
    let inner: any KeyArchive
    let process: SimulatedProcess

    func open() throws -> any KeyRecords { Records(inner: try inner.open(), process: process) }

    private final class Records: KeyRecords {
        private let inner: any KeyRecords
        private let process: SimulatedProcess

        init(inner: any KeyRecords, process: SimulatedProcess) {
            self.inner = inner
            self.process = process
        }

        func keep(_ record: KeyRecord) throws -> KeyRecord {
            try process.logStep("keep key", answered: false)
            let kept = try inner.keep(record)
            try process.logStep("keep key", answered: true)
            return kept
        }

        func record(ofSession sessionID: String) throws -> KeyRecord? {
            try process.logStep("find key", answered: false)
            return try inner.record(ofSession: sessionID)
        }

        func destroy(ofSession sessionID: String) throws {
            try process.logStep("destroy key", answered: false)
            try inner.destroy(ofSession: sessionID)
        }
    }
}
