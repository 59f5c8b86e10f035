internal import Base
internal import EventSourcing
internal import Supervision

/// Fills followers from the history, one page at a time in turn, so that a long history of one does not keep
/// the others waiting. One thread.
final class LiveFiller: @unchecked Sendable {
    // Sendable because the one thread that runs it is the only one that touches what can change.
    private let log: any EventLog
    private let hub: LiveHub
    private let page: Int
    private let report: RoleLog
    private var store: (any EventStore)?

    init(log: any EventLog, hub: LiveHub, page: Int, report: RoleLog) {
        self.log = log
        self.hub = hub
        self.page = page
        self.report = report
    }

    func run(stop: StopSignal) {
        var backoff = Backoff(firstMilliseconds: 50, limitMilliseconds: 1_000)
        while !stop.isSet {
            guard let follower = hub.nextWaiting(stop) else { continue }
            do throws(LogFailure) {
                if try fill(follower) { hub.schedule(follower) }
                backoff.reset()
            } catch {
                guard error.mayEnd else {
                    report(.error, "live: a follower's history cannot be read: \(error)")
                    follower.end(.failed(error.description))
                    continue
                }
                hub.schedule(follower)
                if backoff.failures == 0 { report(.warning, "live: \(error); followers wait") }
                stop.wait(milliseconds: backoff.next())
            }
        }
    }

    /// Reads the next page of a follower; answers whether there is more to read now.
    private func fill(_ follower: LiveFollower) throws(LogFailure) -> Bool {
        if store == nil { store = try log.open() }
        guard let store else { return false }
        let (cursor, hasEnded) = follower.state.withLock { ($0.cursor, $0.end != nil) }
        if hasEnded { return false }
        switch (cursor, follower.filter.scope) {
        case (.history(let next, let shown, _), .history(let id)):
            guard let next else {
                return follower.fill(LivePage(entries: [], partition: nil, isLast: true))
            }
            let found = try store.entries(of: id, after: next - 1, limit: page)
            // What was delivered, or shown by the feed, is in the log; or the log has lost it.
            if found.entries.isEmpty, max(next - 1, shown) > 0,
                try store.version(of: id) < max(next - 1, shown)
            {
                follower.end(.unknownPlace)
                return false
            }
            return follower.fill(LivePage(entries: found.entries, partition: nil, isLast: found.isLast))
        case (.places(let places, let unread), _):
            guard let partition = unread.keys.min() else {
                return follower.fill(LivePage(entries: [], partition: nil, isLast: true))
            }
            let place = places[partition]
            let found = try store.entries(after: place, limit: page)
            if found.entries.isEmpty, try store.end(of: partition) < max(place, unread[partition] ?? place) {
                follower.end(.unknownPlace)
                return false
            }
            return follower.fill(
                LivePage(entries: found.entries, partition: partition, isLast: found.isLast))
        default:
            return follower.fill(LivePage(entries: [], partition: nil, isLast: true))
        }
    }
}
