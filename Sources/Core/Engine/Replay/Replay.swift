package import EventSourcing
package import ReadModels
package import Supervision

/// Builds read models again from the log, compares them with what is shown, and puts them in its place.
///
/// Nothing but projections sees an event here: no stage and no other handler. The log is only read.
package final class Replay {
    /// A history that is built no further than to where it cannot go on.
    package struct WaitingHistory: Sendable, Hashable {
        /// Its partition key.
        package var partitionKey: String
        /// The first event, or entry, that is not in it.
        package var position: LogPosition
        /// Why.
        package var reason: String
    }

    /// What came of it.
    package struct Outcome: Sendable {
        /// Entries and histories that are listed; the others are counted only.
        package static let listedLimit = 1_000

        /// Events that this run applied; those that were written only in part when a history had to wait
        /// come twice.
        package var events = 0
        /// Entries that this run met and could not read.
        package var unreadableCount = 0
        /// The first of them.
        package var unreadable: [UnreadableHole] = []
        /// Histories that wait.
        package var waitingCount = 0
        /// The first of them.
        package var waiting: [WaitingHistory] = []
        /// Milliseconds that reading, folding and writing them took.
        package var rebuild_ms = 0
        /// Milliseconds that comparing took.
        package var compare_ms = 0
        /// Milliseconds for which projectors were held; 0 without a swap.
        package var hold_ms = 0
        /// How what was shown differed from the log.
        package var comparison = ReadModelComparison()
        /// Whether what was built is now what is shown.
        package var isSwapped = false
        /// Whether nothing was put in place because what is shown knows more than can be read of the log, or
        /// the log lacks what it had.
        package var isWithheld = false
        /// Whether it was asked to end before it was done. What was built is kept for the next run.
        package var isInterrupted = false

        /// Whether all of the log was read and taken in.
        package var isComplete: Bool { unreadableCount == 0 && waitingCount == 0 }
    }

    /// Whole milliseconds that documents may be undecided before they are reported as such.
    package var settling_ms = 10_000
    /// Milliseconds for which projectors may be held.
    package var holding_ms = 15_000
    /// Threads that read the log.
    package var readers = 2
    /// Asked before anything is put in place: whether the log lacks events that it had. What is shown may
    /// then be the last that is known of them.
    package var isShort: () throws -> Bool = { false }
    /// Answers how many events stand behind these positions in the log, for saying how far it is.
    package var remaining: ([LogPosition]) throws -> Int = { _ in 0 }
    /// Called a few times a second, with how far it is and how many events it applied a second.
    package var onProgress: (RebuildProgress, Int) -> Void = { _, _ in }

    private let rebuild: any ReadModelRebuild
    private let log: any EventLog
    private let store: any EventStore
    private let history: String?
    private let stop: StopSignal
    private var until: [Int: LogPosition] = [:]
    private var sequence: UInt64 = 0
    private var holes: Set<LogPosition> = []
    /// Where histories wait.
    private var waiting: [String: LogPosition] = [:]
    private var outcome = Outcome()
    private var progress = RebuildProgress(step: .rebuilding, events: 0, total: 0)
    /// Events that an interrupted run had applied.
    private var earlier = 0

    /// A replay of `scope` by `rebuild`, which has the same scope.
    package init(
        _ rebuild: any ReadModelRebuild, scope: RebuildScope, log: any EventLog, stop: StopSignal
    ) throws {
        self.rebuild = rebuild
        self.log = log
        self.store = try log.open()
        self.stop = stop
        if case .history(let key) = scope { history = key } else { history = nil }
    }

    /// Rebuilds, compares and, unless it only verifies, swaps. Read models in which nothing differs stay as
    /// they are, unless it is time to replace them. Blocks; when it throws, or is stopped, the next run goes
    /// on from what was built.
    package func run(verifyOnly: Bool) throws -> Outcome {
        until = try rebuild.begin()
        try measure()
        try report()
        try catchUp()
        if !stop.isSet { try compare() }
        if stop.isSet {
            outcome.isInterrupted = true
            return outcome
        }
        let isSame = outcome.comparison.differences == 0 && outcome.comparison.unsettled == 0
        let isWanted = try !verifyOnly && (!isSame || rebuild.isDue())
        // What could be read once and cannot any more is known to nobody else.
        if isWanted, !isSame {
            outcome.isWithheld = try outcome.comparison.ahead > 0 && !outcome.isComplete || isShort()
        }
        if !isWanted || outcome.isWithheld { try rebuild.discard() } else { try swap() }
        return outcome
    }

    /// Counts what is to be done, and what was done before.
    private func measure() throws {
        if let history {
            progress.total = Int(clamping: try store.version(of: history))
            return
        }
        let starts = (0..<store.partitioning.count).map { LogPosition.start(of: $0) }
        progress.total = try remaining(starts)
        earlier =
            until.isEmpty ? 0 : progress.total - (try remaining(starts.map { until[$0.partition] ?? $0 }))
    }

    private func report() throws {
        progress.events = earlier + outcome.events
        // More may have come in since they were counted.
        if progress.total > 0 { progress.total = max(progress.total, progress.events) }
        try rebuild.note(progress)
        let rate = outcome.rebuild_ms > 0 ? outcome.events * 1_000 / outcome.rebuild_ms : 0
        onProgress(progress, rate)
    }

    // MARK: - Building

    private func ends() throws -> [LogPosition] {
        if let history { return [try store.end(of: store.partitioning.partition(of: history))] }
        return try (0..<store.partitioning.count).map { try store.end(of: $0) }
    }

    /// Applies everything that stood in the log when it was called, and answers how much that was.
    @discardableResult
    private func catchUp() throws -> Int {
        let started = ContinuousClock.now
        let before = (outcome.events, outcome.rebuild_ms)
        func note() throws {
            outcome.rebuild_ms = before.1 + started.milliseconds
            try report()
        }
        let ends = try ends()
        // What was gathered is written at the end: a history may have to wait only then.
        repeat {
            if let history {
                try rebuildHistory(history, note)
            } else {
                var reader = try ReadAhead(log, after: until, upTo: ends, threads: readers)
                while !stop.isSet, let page = try reader.nextPage() {
                    if try !apply(page) {
                        reader = try ReadAhead(log, after: until, upTo: ends, threads: readers)
                    }
                    try note()
                }
            }
        } while try !apply([])
        try note()
        return outcome.events - before.0
    }

    /// Applies a page; false when a history has to wait now, and reading goes on further back.
    private func apply(_ page: ReplayPage) throws -> Bool {
        guard let end = page.end else { return true }
        for hole in page.unreadable { take(hole) }
        let events =
            waiting.isEmpty
            ? page.events
            : page.events.filter { event in waiting[event.partitionKey].map { event.position < $0 } ?? true }
        if !events.isEmpty, try !apply(events) { return false }
        if events.last?.position != end { rebuild.pass([end]) }
        until[end.partition] = end
        return true
    }

    private func rebuildHistory(_ history: String, _ note: () throws -> Void) throws {
        while !stop.isSet {
            let entries = try store.entries(of: history, after: sequence, limit: ReadAhead.pageSize).entries
            var events: [RecordedEvent] = []
            for entry in entries {
                if let place = waiting[history], entry.position >= place { break }
                switch entry {
                case .event(let event): events.append(event)
                case .unreadable(let hole):
                    take(hole)
                    wait(history, at: hole.position, because: "\(hole)")
                }
            }
            guard let last = events.last else { return }
            if try apply(events) { sequence = last.sequence }
            try note()
        }
    }

    /// Applies events. What one of them keeps from going on waits from now on, as it does in a projector;
    /// then it answers false, and `until` is where everything was written.
    private func apply(_ events: [RecordedEvent]) throws -> Bool {
        do { try rebuild.apply(events) } catch let failure as any EventFailure
            where !failure.mayEnd
        {
            guard let position = failure.position,
                let event = try events.first(where: { $0.position == position }) ?? store.event(at: position)
            else { throw failure }
            wait(event.partitionKey, at: position, because: "\(failure)")
            until = try rebuild.goBack()
            sequence = 0
            return false
        }
        outcome.events += events.count
        return true
    }

    private func take(_ hole: UnreadableHole) {
        guard holes.insert(hole.position).inserted else { return }
        outcome.unreadableCount += 1
        if outcome.unreadable.count < Outcome.listedLimit { outcome.unreadable.append(hole) }
    }

    private func wait(_ history: String, at position: LogPosition, because reason: String) {
        guard waiting.updateValue(position, forKey: history) == nil else { return }
        outcome.waitingCount += 1
        guard outcome.waiting.count < Outcome.listedLimit else { return }
        outcome.waiting.append(WaitingHistory(partitionKey: history, position: position, reason: reason))
    }

    // MARK: - Comparing

    private func compare() throws {
        progress.step = .comparing
        try report()
        let started = ContinuousClock.now
        defer { outcome.compare_ms = started.milliseconds }
        outcome.comparison = try rebuild.compare()
        let overflow = outcome.comparison.unsettled
        guard overflow > 0 else { return }
        progress.step = .settling
        let deadline = ContinuousClock.now + .milliseconds(settling_ms)
        while !stop.isSet {
            try catchUp()
            let found = try rebuild.settle()
            for difference in found.listed { outcome.comparison.add(difference) }
            outcome.comparison.differences += found.differences - found.listed.count
            outcome.comparison.ahead += found.ahead
            outcome.comparison.unsettled = found.unsettled
            if found.unsettled == 0 || ContinuousClock.now >= deadline { return }
            // The projector is behind, or at work on what is looked at.
            stop.wait(milliseconds: 200)
        }
    }

    // MARK: - Swapping

    /// Rounds of catching up before projectors are held, and times that a hold may run out.
    private static let rounds = 20

    private func swap() throws {
        progress.step = .swapping
        for _ in 0..<Self.rounds {
            // Projectors are held for as short as can be: what is left then is what came in one round.
            for _ in 0..<Self.rounds where try catchUp() < ReadAhead.pageSize { break }
            if stop.isSet { break }
            let started = ContinuousClock.now
            try rebuild.hold(milliseconds: holding_ms)
            do {
                try catchUp()
                // Asked to end now it would leave out what it was held for.
                if stop.isSet {
                    try rebuild.release()
                    break
                }
                outcome.isSwapped = try rebuild.swap()
            } catch {
                // Where that can't be said either the hold runs out by itself.
                try? rebuild.release()
                throw error
            }
            outcome.hold_ms = started.milliseconds
            if outcome.isSwapped { return }
        }
        outcome.isInterrupted = stop.isSet
        if !outcome.isInterrupted {
            throw ReplayFailure.holdTooShort(milliseconds: holding_ms)
        }
    }
}

/// Why a replay could not end.
package enum ReplayFailure: Error, Sendable, CustomStringConvertible {
    /// Each time the projectors were held for longer than they may be.
    case holdTooShort(milliseconds: Int)

    /// What happened, and what to do.
    package var description: String {
        switch self {
        case .holdTooShort(let limit):
            "the last events could not be applied within \(limit) ms, for which projectors may be held; "
                + "try again when fewer events come in"
        }
    }
}

extension ContinuousClock.Instant {
    /// Whole milliseconds since then.
    fileprivate var milliseconds: Int {
        let (seconds, attoseconds) = (ContinuousClock.now - self).components
        return Int(seconds) * 1_000 + Int(attoseconds / 1_000_000_000_000_000)
    }
}
