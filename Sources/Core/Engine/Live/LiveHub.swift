internal import Base
internal import EventSourcing
internal import Supervision
internal import Synchronization

/// Who follows what, and who waits to be filled. Followers are never touched while the hub is locked.
final class LiveHub: Sendable {
    private struct State {
        /// Where the reader is; nil before it has begun.
        var places: [LogPosition]?
        var histories: [String: [LiveFollower]] = [:]
        var everything: [LiveFollower] = []
        /// Followers of everything that are not known to be where the reader is.
        var apart: [LiveFollower] = []
        var waiting: Deque<LiveFollower> = Deque()
        var count = 0
        var events = 0
        var hasEnded = false
    }

    let lastSeen: LastSeen
    private let state = Monitor(State())
    private let limits: LiveFeed.Limits
    private let following = Atomic(false)

    init(_ limits: LiveFeed.Limits) {
        self.limits = limits
        lastSeen = LastSeen(limit: limits.histories, isAsked: limits.isAsked)
    }

    var isFollowing: Bool {
        get { following.load(ordering: .relaxed) }
        set { following.store(newValue, ordering: .relaxed) }
    }

    var places: [LogPosition]? { state.withLock { $0.places } }

    var counts: LiveFeed.Counts {
        state.withLock {
            LiveFeed.Counts(followers: $0.count, filling: $0.waiting.count, events: $0.events)
        }
    }

    func begin(at places: [LogPosition]) { state.withLock { $0.places = places } }

    /// Forgets where the reader was and what it has met: events of it may be lost. Followers come back with
    /// the place that they have, and are told whether it is one.
    func startOver() {
        lastSeen.removeAll()
        let all = state.update { state in
            state.places = nil
            return state.everything + state.histories.values.flatMap { $0 }
        }
        for follower in all { follower.end(.stopping) }
    }

    // MARK: - Followers

    func follow(
        _ filter: LiveFilter, from start: LiveStart, onReady: @escaping @Sendable () -> Void
    ) throws(LiveRefusal) -> LiveFollower {
        let follower = try state.withLock { state throws(LiveRefusal) in
            guard !state.hasEnded, let places = state.places else { throw .unavailable }
            guard state.count < limits.followers else { throw .tooMany(limit: limits.followers) }
            let cursor = try Self.cursor(filter.scope, start, places)
            let follower = LiveFollower(
                filter, cursor, limits: limits, onReady: onReady,
                schedule: { [weak self] in self?.schedule($0) }, leave: { [weak self] in self?.remove($0) })
            switch filter.scope {
            case .history(let id): state.histories[id, default: []].append(follower)
            case .everything:
                state.everything.append(follower)
                state.apart.append(follower)
            }
            state.count += 1
            return follower
        }
        // From here on the reader brings it what is new; what was before comes from the history.
        schedule(follower)
        return follower
    }

    private static func cursor(
        _ scope: LiveFilter.Scope, _ start: LiveStart, _ places: [LogPosition]
    ) throws(LiveRefusal) -> LiveCursor {
        switch (scope, start) {
        case (.history, .beginning): return .history(next: 1, shown: 0, isBehind: true)
        case (.history, .now): return .history(next: nil, shown: 0, isBehind: false)
        case (.history, .after(let id)):
            guard let sequence = UInt64(id), String(sequence) == id, sequence < UInt64(Int64.max) else {
                throw .unknownID
            }
            return .history(next: sequence + 1, shown: 0, isBehind: true)
        case (.everything, .now): return .places(places, unread: [:])
        case (.everything, .beginning):
            let starts = places.indices.map { LogPosition.start(of: $0) }
            return .places(starts, unread: Self.differing(starts, places))
        case (.everything, .after(let id)):
            guard let own = LivePlace.decode(id, partitions: places.count) else { throw .unknownID }
            return .places(own, unread: Self.differing(own, places))
        }
    }

    /// The partitions in which a follower is not where the reader is; nothing was shown to it there yet.
    private static func differing(_ own: [LogPosition], _ reader: [LogPosition]) -> [Int: LogPosition] {
        var unread: [Int: LogPosition] = [:]
        for partition in own.indices where own[partition] != reader[partition] {
            unread[partition] = .start(of: partition)
        }
        return unread
    }

    private func remove(_ follower: LiveFollower) {
        state.withLock { state in
            switch follower.filter.scope {
            case .history(let id):
                guard var found = state.histories.removeValue(forKey: id) else { return }
                let count = found.count
                found.removeAll { $0 === follower }
                state.count -= count - found.count
                if !found.isEmpty { state.histories[id] = found }
            case .everything:
                let count = state.everything.count
                state.everything.removeAll { $0 === follower }
                state.apart.removeAll { $0 === follower }
                state.count -= count - state.everything.count
            }
        }
    }

    // MARK: - Delivering

    /// Notes how far histories have come, before anybody is handed what has happened to them.
    func note(_ entries: [LogEntry]) {
        for case .event(let event) in entries { lastSeen.note(event.partitionKey, event.sequence) }
    }

    /// Hands events to those who follow them, and what cannot be read to those who follow everything: whose
    /// it is, others see when the next event of their history comes. The reader's thread alone.
    func deliver(_ entries: [LogEntry]) {
        let (histories, everything, steps) = state.withLock { state in
            var histories: [String: [LiveFollower]] = [:]
            var steps: [LiveStep] = []
            steps.reserveCapacity(entries.count)
            var places = state.places ?? []
            let isFollowed = !state.everything.isEmpty
            for entry in entries where places.indices.contains(entry.position.partition) {
                let previous = places[entry.position.partition]
                places[entry.position.partition] = entry.position
                steps.append(LiveStep(entry, previous: previous, places: isFollowed ? places : []))
                guard let key = entry.event?.partitionKey, histories[key] == nil else { continue }
                if let found = state.histories[key] { histories[key] = found }
            }
            state.places = places
            state.events += entries.count
            return (histories, state.everything, steps)
        }
        for step in steps {
            if let key = step.entry.event?.partitionKey {
                for follower in histories[key] ?? [] { follower.push(step) }
            }
            for follower in everything { follower.push(step) }
        }
        join()
    }

    /// Followers of everything that are where the reader is need no places of their own any more.
    private func join() {
        let (apart, places) = state.withLock { ($0.apart, $0.places ?? []) }
        if apart.isEmpty { return }
        let joined = apart.filter { follower in
            follower.state.withLock { $0.cursor.join(places) }
        }
        if joined.isEmpty { return }
        state.withLock { state in
            state.apart.removeAll { follower in joined.contains { $0 === follower } }
        }
    }

    // MARK: - Filling

    func schedule(_ follower: LiveFollower) {
        state.update { $0.waiting.append(follower) }
    }

    /// The follower whose turn it is to be filled; nil when none came for a second, or at the end.
    func nextWaiting(_ stop: StopSignal) -> LiveFollower? {
        state.wait(milliseconds: 1_000) { state -> LiveFollower?? in
            if let follower = state.waiting.popFirst() { return .some(follower) }
            return stop.isSet || state.hasEnded ? .some(nil) : nil
        } ?? nil
    }

    func wake() { state.update { _ in } }

    func end() {
        let all = state.update { state in
            state.hasEnded = true
            state.waiting = Deque()
            return state.everything + state.histories.values.flatMap { $0 }
        }
        for follower in all { follower.end(.stopping) }
    }
}

/// A queue that gives its first in constant time.
struct Deque<Element> {
    private var items: [Element?] = []
    private var head = 0

    var count: Int { items.count - head }

    mutating func append(_ element: Element) { items.append(element) }

    mutating func popFirst() -> Element? {
        guard head < items.count else { return nil }
        let element = items[head]
        items[head] = nil
        head += 1
        if head > 64, head * 2 > items.count {
            items.removeFirst(head)
            head = 0
        }
        return element
    }
}

/// The last sequences of histories that changed of late: what was noted among the last `limit` different
/// histories is known, what was not among twice as many is not.
final class LastSeen: Sendable {
    private struct State {
        var young: [String: UInt64] = [:]
        var old: [String: UInt64] = [:]
    }

    private let state = Lock(State())
    private let limit: Int
    private let isAsked: @Sendable (String) -> Bool

    init(limit: Int, isAsked: @escaping @Sendable (String) -> Bool) {
        self.limit = max(1, limit)
        self.isAsked = isAsked
    }

    func value(_ history: String) -> UInt64? {
        state.withLock { $0.young[history] ?? $0.old[history] }
    }

    func removeAll() {
        state.withLock { $0 = State() }
    }

    func note(_ history: String, _ sequence: UInt64) {
        guard isAsked(history) else { return }
        state.withLock { state in
            let known = state.young[history] ?? state.old[history] ?? 0
            if state.young[history] == nil {
                if state.young.count >= limit {
                    state.old = state.young
                    state.young = [:]
                }
            }
            state.young[history] = max(known, sequence)
        }
    }
}
