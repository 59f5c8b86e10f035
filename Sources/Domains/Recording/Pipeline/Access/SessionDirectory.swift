package import Engine
package import EventSourcing
package import Recording
package import Supervision
internal import Synchronization
package import Access

/// The facts of every session that there is, in the memory of a process that follows the log.
///
/// It begins with what stands beside the log (`FactWorker`), reads from there to where the feed has
/// begun, and goes on with the feed. Some hundred bytes for each session; owners and projects are kept once.
package final class SessionDirectory: Service, FeedListener {
    /// Name of the service.
    package let name = "session-directory"

    private static let page = 1000
    /// So long a process waits at its start for what is known to be in memory.
    private static let readyMilliseconds = 15_000
    /// How soon is looked again for what the feed has seen, and the log did not show.
    private static let againMilliseconds = 20

    private struct State {
        /// Another one whenever the feed begins anew.
        var generation = 0
        /// Of which nothing that was known before is in memory any more.
        var cleared = 0
        /// Where the feed is; nil before it has begun.
        var feed: [LogPosition]?
        /// Up to where those partitions were read that go on with the feed.
        var joined: [Int: LogPosition] = [:]
        /// Entries that can't be read, and that nobody has looked at.
        var holes: [LogPosition] = []

        var isLoaded: Bool { feed.map { joined.count == $0.count } ?? false }
    }

    private enum Job {
        case hole(LogPosition)
        case load(generation: Int)
    }

    private let facts = FactsStore()
    private let state = Monitor(State())
    private let loaded = Atomic(false)
    private let log: any EventLog
    private let report: RoleLog

    /// A directory that knows nothing until it runs, and a feed has begun.
    package init(log: any EventLog, report: RoleLog) {
        self.log = log
        self.report = report
    }

    /// Whether everything is known that the feed has seen, and what was there before.
    package var isLoaded: Bool { loaded.load(ordering: .acquiring) }

    /// The facts of a session; nil where there is none, or nothing is known of it here. Never blocks.
    package func facts(of session: String) -> SessionFacts? { facts.facts(session) }

    /// How many sessions have an ownership that passes. Goes through all different ones.
    package func count(where passes: (Ownership) -> Bool) -> Int { facts.count(where: passes) }

    /// How many sessions are known.
    package var sessionCount: Int { facts.count }

    /// Notes what this process has appended itself, before the feed meets it. What is older than what is
    /// known changes nothing.
    package func learn(_ facts: SessionFacts, of session: String) { self.facts.put(facts, of: session) }

    // MARK: - The feed

    /// The feed begins here, for the first time or anew: whatever is known may not have happened.
    package func begin(at places: [LogPosition]) {
        state.update { state in
            state.generation += 1
            state.feed = places
            state.joined = [:]
            state.holes = []
            loaded.store(false, ordering: .releasing)
        }
    }

    /// The feed has come to these entries. Those of partitions that are not read up to there yet are left to
    /// whoever reads them.
    package func take(_ entries: [LogEntry]) {
        guard !entries.isEmpty else { return }
        let joined = state.withLock { state in
            for entry in entries {
                let partition = entry.position.partition
                if state.feed?.indices.contains(partition) == true { state.feed?[partition] = entry.position }
            }
            return state.joined
        }
        var holes: [LogPosition] = []
        for entry in entries {
            guard let reached = joined[entry.position.partition], entry.position > reached else { continue }
            switch entry {
            case .event(let event): facts.take(event)
            case .unreadable(let hole): holes.append(hole.position)
            }
        }
        if !holes.isEmpty { state.update { $0.holes += holes } }
    }

    // MARK: - Loading

    /// Loads, whenever the feed begins, until `stop` is set.
    package func run(stop: StopSignal) throws {
        stop.whenSet { [state] in state.update { _ in } }
        try waitingOutFailures(of: name, stop: stop, report: report) { succeeded in
            while !stop.isSet {
                switch next(stop) {
                case nil: break
                case .hole(let position): try forget(position)
                case .load(let generation): try load(generation, stop)
                }
                succeeded()
            }
        }
    }

    /// Ready when everything is in memory, or when that takes longer: until then lists of those who see only
    /// some sessions have to wait.
    package func waitUntilReady(stop: StopSignal) {
        stop.whenSet { [state] in state.update { _ in } }
        _ = state.wait(milliseconds: Self.readyMilliseconds) { $0.isLoaded || stop.isSet ? true : nil }
    }

    private func next(_ stop: StopSignal) -> Job? {
        state.wait(milliseconds: 1_000) { state -> Job?? in
            if stop.isSet { return .some(nil) }
            if let hole = state.holes.first { return .some(.hole(hole)) }
            guard state.feed != nil, !state.isLoaded else { return nil }
            return .some(.load(generation: state.generation))
        } ?? nil
    }

    /// What stands there may have changed whose session it is.
    private func forget(_ position: LogPosition) throws(LogFailure) {
        let key = try log.orderedParking().identify(position)
        if !key.isNameless { facts.remove(key.partitionKey) }
        state.update { state in state.holes.removeAll { $0 == position } }
    }

    private func load(_ generation: Int, _ stop: StopSignal) throws(LogFailure) {
        let index = try log.index(SessionFacts.indexName)
        let store = try log.open()
        let places = try index.places()
        let missing = state.withLock { state in
            // Nobody else puts anything there as long as no partition has joined.
            if state.cleared != state.generation { facts.removeAll() }
            state.cleared = state.generation
            return (state.feed ?? []).indices.filter { state.joined[$0] == nil }
        }
        for partition in missing {
            guard try load(partition, places[partition], index, store, generation, stop) else { return }
        }
    }

    /// Whether the partition goes on with the feed now; not where everything begins anew.
    private func load(
        _ partition: Int, _ kept: LogPosition?, _ index: any LogIndex, _ store: any EventStore,
        _ generation: Int, _ stop: StopSignal
    ) throws(LogFailure) -> Bool {
        var place = LogPosition.start(of: partition)
        // What is kept as of a place behind the log's end is of events that were lost.
        if let kept, try kept <= store.end(of: partition) {
            let found = try index.scan(partition) { page in
                for (session, value) in page {
                    if let facts = SessionFacts(bytes: value) { self.facts.put(facts, of: session) }
                }
            }
            place = found ?? place
        }
        while !stop.isSet {
            let found = try store.entries(after: place, limit: Self.page)
            for entry in found.entries {
                place = entry.position
                switch entry {
                case .event(let event): facts.take(event)
                case .unreadable(let hole): try forget(hole.position)
                }
            }
            let verdict = state.update { state -> Bool? in
                guard state.generation == generation, let feed = state.feed else { return false }
                guard found.isLast || found.entries.isEmpty, place >= feed[partition] else { return nil }
                state.joined[partition] = place
                if state.isLoaded { loaded.store(true, ordering: .releasing) }
                return true
            }
            if let verdict { return verdict }
            if found.entries.isEmpty { stop.wait(milliseconds: Self.againMilliseconds) }
        }
        return false
    }
}
