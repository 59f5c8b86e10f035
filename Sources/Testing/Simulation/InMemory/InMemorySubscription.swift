internal import Base
internal import EventSourcing

/// A member of a consumer group in memory, for one thread.
final class InMemorySubscription: CompetingSubscription {
    private let log: InMemoryEventLog
    private let group: String
    private let consumer: ConsumerName
    private let types: Set<String>
    /// What is in the caller's hands, or delayed until a point in time.
    private var known: [LogPosition: (due: Timestamp, attempt: Int)?] = [:]
    private var cursor = 0

    init(_ log: InMemoryEventLog, group: String, consumer: ConsumerName, types: Set<String>) {
        self.log = log
        self.group = group
        self.consumer = consumer
        self.types = types
        log.state.with { state in
            if state.groups[group] == nil {
                state.groups[group] = InMemoryState.Group(
                    next: Array(repeating: 0, count: state.partitioning.count))
            }
        }
    }

    func next(limit: Int, waitMilliseconds: Int) throws(LogFailure) -> [Delivery] {
        guard let watcher = log.watcher else { return try look(limit, waitMilliseconds) }
        func lookOnce() throws(LogFailure) -> [Delivery] {
            try log.watched("read group", isNothing: \.isEmpty) { () throws(LogFailure) in
                try look(limit, 0)
            }
        }
        let found = try lookOnce()
        if !found.isEmpty { return found }
        watcher.idle()
        return try lookOnce()
    }

    private func look(_ limit: Int, _ waitMilliseconds: Int) throws(LogFailure) -> [Delivery] {
        let limit = max(1, limit)
        var lost: LogFailure?
        try log.faulty("read group") { state throws(LogFailure) in
            // An answer that gets lost has made its entries pending all the same.
            if case .after(let failure) = state.fault?("read group answer") {
                _ = self.take(limit, &state, remember: false)
                lost = failure
            }
        }
        if let lost { throw lost }
        let wait = log.blocks ? min(waitMilliseconds, 1000) : 0
        return log.state.wait(milliseconds: wait) { state -> [Delivery]? in
            let found = self.take(limit, &state, remember: true)
            return found.isEmpty ? nil : found
        } ?? []
    }

    private func take(_ limit: Int, _ state: inout InMemoryState, remember: Bool) -> [Delivery] {
        guard var mine = state.groups[group] else { return [] }
        let now = log.clock.now()
        var out: [Delivery] = []
        for (position, delayed) in known.sorted(by: { $0.key < $1.key }) {
            guard out.count < limit, let delayed, delayed.due <= now else { continue }
            guard mine.pending[position]?.consumer == consumer, let event = state.event(at: position) else {
                known[position] = nil
                continue
            }
            known[position] = .some(nil)
            mine.pending[position]?.deliveredAt = now
            out.append(Delivery(event: event, attempt: delayed.attempt))
        }
        for (position, pending) in mine.pending.sorted(by: { $0.key < $1.key }) {
            guard out.count < limit, known[position] == nil, isOurs(pending, state, now),
                let event = state.event(at: position)
            else { continue }
            let deliveries = pending.deliveries + 1
            mine.pending[position] = .init(consumer: consumer, deliveredAt: now, deliveries: deliveries)
            if remember { known[position] = .some(nil) }
            out.append(Delivery(event: event, attempt: deliveries))
        }
        takeNew(limit, state, &mine, now, remember, &out)
        state.groups[group] = mine
        return out
    }

    /// New events, one partition after the other, each call beginning with another one.
    private func takeNew(
        _ limit: Int, _ state: InMemoryState, _ mine: inout InMemoryState.Group, _ now: Timestamp,
        _ remember: Bool, _ out: inout [Delivery]
    ) {
        let count = state.partitions.count
        cursor += 1
        var found = true
        while found, out.count < limit {
            found = false
            for offset in 0..<count where out.count < limit {
                let partition = (cursor + offset) % count
                let entries = state.partitions[partition]
                while mine.next[partition] < entries.count {
                    let event = entries[mine.next[partition]]
                    mine.next[partition] += 1
                    guard state.spoiled[event.position] == nil else {
                        mine.parked[event.position] = ParkedReason(
                            stage: group, errors: ["it was spoiled"], attempts: 0, time: now)
                        continue
                    }
                    guard types.contains(event.type) else { continue }
                    mine.pending[event.position] = .init(consumer: consumer, deliveredAt: now, deliveries: 1)
                    if remember { known[event.position] = .some(nil) }
                    out.append(Delivery(event: event, attempt: 1))
                    found = true
                    break
                }
            }
        }
    }

    /// Whether a pending entry that is not known here is for this member: its own from before, one of a
    /// process that is gone, or one that was held for too long.
    private func isOurs(_ pending: InMemoryState.Pending, _ state: InMemoryState, _ now: Timestamp) -> Bool {
        if pending.consumer == consumer { return true }
        let age = now.milliseconds - pending.deliveredAt.milliseconds
        if age >= Int64(log.processingMilliseconds) { return true }
        return pending.consumer.instance != consumer.instance
            && !state.isAlive(ConsumerName.mark(ofInstance: pending.consumer.instance), at: now)
    }

    func acknowledge(_ positions: [LogPosition]) throws(LogFailure) {
        for position in positions { known[position] = nil }
        try log.call("acknowledge") { state in
            for position in positions {
                state.groups[group]?.pending[position] = nil
                state.groups[group]?.tries[position] = nil
            }
        }
    }

    func retry(_ delivery: Delivery, afterMilliseconds: Int) throws(LogFailure) {
        let due = Timestamp(milliseconds: log.clock.now().milliseconds + Int64(max(0, afterMilliseconds)))
        known[delivery.event.position] = .some((due, delivery.attempt + 1))
    }

    func countTry(of delivery: Delivery) throws(LogFailure) -> Int {
        let position = delivery.event.position
        return try log.call("count try") { state in
            state.groups[group]?.tries[position, default: 0] += 1
            log.watcher?.counted(group, position)
            return state.groups[group]?.tries[position] ?? 1
        }
    }

    func park(_ delivery: Delivery, _ reason: ParkedReason) throws(LogFailure) {
        let position = delivery.event.position
        try log.call("park") { state in
            guard state.groups[group]?.pending[position]?.consumer == consumer else { return }
            state.groups[group]?.parked[position] = reason
            log.watcher?.parked(group, position, reason)
            state.groups[group]?.tries[position] = nil
            state.groups[group]?.pending[position] = nil
        }
        known[position] = nil
    }
}
