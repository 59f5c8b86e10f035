internal import EventSourcing
internal import Supervision

/// One follower of the log: a queue with a bound that is filled by the feed, live or from the history, and
/// emptied by whoever sends the items on.
///
/// Nothing is delivered twice or left out, whatever the feed and the history bring at the same time: an item
/// is taken only when it is the next one after the follower's own place. When the queue is full the place
/// stays where it is, and the follower is filled from the history once there is room. So a slow follower
/// costs its queue and nothing more. May be used by any thread.
package final class LiveFollower: Sendable {
    /// What it follows.
    package let filter: LiveFilter

    struct State {
        var cursor: LiveCursor
        var queue: [LiveItem] = []
        var bytes = 0
        var end: LiveEnd?
        /// Whether it waits for a thread that fills from the history, or is with one.
        var isFilling = true
    }

    let state: Monitor<State>
    private let limits: LiveFeed.Limits
    private let onReady: @Sendable () -> Void
    private let schedule: @Sendable (LiveFollower) -> Void
    private let leave: @Sendable (LiveFollower) -> Void

    init(
        _ filter: LiveFilter, _ cursor: LiveCursor, limits: LiveFeed.Limits,
        onReady: @escaping @Sendable () -> Void, schedule: @escaping @Sendable (LiveFollower) -> Void,
        leave: @escaping @Sendable (LiveFollower) -> Void
    ) {
        self.filter = filter
        self.limits = limits
        self.onReady = onReady
        self.schedule = schedule
        self.leave = leave
        state = Monitor(State(cursor: cursor))
    }

    // MARK: - Taking

    /// The next items, at most `limit`. Never blocks. After none came, `onReady` is called when there are
    /// some, or when no more will come.
    package func take(limit: Int = 64) -> LiveBatch {
        let (batch, isHungry) = state.withLock { take(limit, &$0) }
        if isHungry { schedule(self) }
        return batch
    }

    /// Like `take`, but waits for an item for at most `milliseconds`. Blocks: on a thread of your own.
    package func next(limit: Int = 64, waitMilliseconds milliseconds: Int) -> LiveBatch {
        _ = state.wait(milliseconds: milliseconds) { !$0.queue.isEmpty || $0.end != nil ? true : nil }
        return take(limit: limit)
    }

    private func take(_ limit: Int, _ state: inout State) -> (LiveBatch, isHungry: Bool) {
        if state.queue.isEmpty, let end = state.end { return (.ended(end), false) }
        let items = Array(state.queue.prefix(max(0, limit)))
        state.queue.removeFirst(items.count)
        for item in items { state.bytes -= item.event.json.count }
        let isHungry =
            state.end == nil && !state.isFilling && state.cursor.isBehind
            && state.queue.count <= limits.queuedEvents / 2 && state.bytes <= limits.queuedBytes / 2
        if isHungry { state.isFilling = true }
        return (.items(items), isHungry)
    }

    /// Ends it; what waits in the queue is dropped. Doing it again changes nothing.
    package func cancel() { end(.cancelled) }

    /// Ends it; what waits can still be taken, unless nobody wants it.
    func end(_ reason: LiveEnd) {
        // Whoever sees the end may count on the place being free.
        leave(self)
        let isFirst = state.update { state in
            guard state.end == nil else { return false }
            state.end = reason
            if reason == .cancelled { state.queue = [] }
            return true
        }
        if isFirst { onReady() }
    }

    // MARK: - Filling

    /// Takes an event that the feed has just read, when it is the next one.
    func push(_ step: LiveStep) {
        var isFirst = false
        let isHungry = state.withLock { state -> Bool in
            guard state.end == nil else { return false }
            let wasEmpty = state.queue.isEmpty
            switch state.cursor.judge(step) {
            case .known: return false
            case .next:
                let passes = filter.passes(step.entry)
                if !passes || hasRoom(state) {
                    state.cursor.advance(step)
                    if passes { enqueue(step.shared, &state) }
                } else {
                    state.cursor.fallBehind(step)
                }
            case .later: state.cursor.fallBehind(step)
            }
            isFirst = wasEmpty && !state.queue.isEmpty
            guard state.cursor.isBehind, !state.isFilling, hasHalfRoom(state) else { return false }
            state.isFilling = true
            return true
        }
        if isFirst { wake() }
        if isHungry { schedule(self) }
    }

    /// Takes what was read from the history.
    /// - Returns: whether there is more to read and room for it. Otherwise whoever fills lets go of it.
    func fill(_ page: LivePage) -> Bool {
        var isFirst = false
        let goesOn = state.withLock { state -> Bool in
            guard state.end == nil else { return false }
            let wasEmpty = state.queue.isEmpty
            var isWhole = true
            for entry in page.entries {
                let step = LiveStep(entry, previous: nil)
                guard state.cursor.isNextOfHistory(entry) else { continue }
                let passes = filter.passes(entry)
                if passes, !hasRoom(state) {
                    isWhole = false
                    break
                }
                state.cursor.advance(step)
                if passes { enqueue(step.shared, &state) }
            }
            if isWhole { state.cursor.finish(page) }
            isFirst = wasEmpty && !state.queue.isEmpty
            let goesOn = state.cursor.isBehind && hasHalfRoom(state)
            state.isFilling = goesOn
            return goesOn
        }
        if isFirst { wake() }
        return goesOn
    }

    private func wake() {
        // Those who wait in `next` look at the state; the others are told.
        state.update { _ in }
        onReady()
    }

    private func enqueue(_ event: LiveEvent, _ state: inout State) {
        state.queue.append(LiveItem(event: event, id: state.cursor.id(of: event)))
        state.bytes += event.json.count
    }

    private func hasRoom(_ state: State) -> Bool {
        // An event that is larger than the bound alone still has to go through.
        state.queue.isEmpty
            || state.queue.count < limits.queuedEvents && state.bytes < limits.queuedBytes
    }

    private func hasHalfRoom(_ state: State) -> Bool {
        state.queue.count <= limits.queuedEvents / 2 && state.bytes <= limits.queuedBytes / 2
    }
}
