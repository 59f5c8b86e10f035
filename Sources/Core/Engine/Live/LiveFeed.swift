package import EventSourcing
package import Supervision

/// Follows the whole log with one reader, and hands each event to those who follow it.
///
/// Thousands of followers cost one connection, one encoding of each event and a place in the queues of those
/// who want it. Followers that come with a place of their own, or fell behind, are filled from the history
/// (log and archive) by a few threads in turn, and go on live exactly where that ends: see `LiveFollower`.
///
/// Order holds within a history. Followers of everything get the events of different histories in the order
/// in which the reader met them, or partition by partition while they catch up.
package final class LiveFeed: Service {
    /// Bounds of a feed.
    package struct Limits: Sendable {
        /// Followers at once.
        package var followers = 20_000
        /// Items that wait for one follower.
        package var queuedEvents = 256
        /// Bytes of JSON that wait for one follower; one event may be larger.
        package var queuedBytes = 256 << 10
        /// Events of one read of the history.
        package var page = 128
        /// Events of one partition that the reader takes at once.
        package var batch = 500
        /// Threads that read the history.
        package var fillers = 2
        /// Histories whose last sequence is known.
        package var histories = 50_000
        /// Whether somebody asks for the last sequence of a history, by its partition key.
        package var isAsked: @Sendable (_ partitionKey: String) -> Bool = { _ in true }

        /// The usual bounds.
        package init() {}
    }

    /// What a feed is doing, for metrics.
    package struct Counts: Sendable, Hashable {
        /// Followers there are.
        package var followers = 0
        /// Followers that wait to be filled from the history.
        package var filling = 0
        /// Events that the reader has met.
        package var events = 0
    }

    /// Name of the service.
    package let name = "live"

    let hub: LiveHub
    private let log: any EventLog
    private let limits: Limits
    private let report: RoleLog
    private let ready = StopSignal()
    private let listener: (any FeedListener)?

    /// A feed that takes followers once `run` has reached the log.
    /// - Parameter listener: hears of everything before anybody else does.
    package init(
        log: any EventLog, limits: Limits = Limits(), listener: (any FeedListener)? = nil, report: RoleLog
    ) {
        self.log = log
        self.limits = limits
        self.listener = listener
        self.report = report
        hub = LiveHub(limits)
    }

    /// Begins to follow. Never blocks.
    /// - Parameter onReady: called when there is something to take after nothing was, and at the end; on a
    ///   thread of the feed, where it must not block.
    package func follow(
        _ filter: LiveFilter, from start: LiveStart, onReady: @escaping @Sendable () -> Void = {}
    ) throws(LiveRefusal) -> LiveFollower {
        try hub.follow(filter, from: start, onReady: onReady)
    }

    /// The last sequence of a history that this process knows of; nil when the history has not changed since
    /// the feed began, or long ago. What a read model or a cache holds is stale when its version is lower.
    /// Where `isFollowing` is false, others may have gone on without its being known here.
    package func lastSeen(_ history: String) -> UInt64? { hub.lastSeen.value(history) }

    /// Notes what this process has appended itself, so that it is known before the reader meets it.
    package func noteAppended(_ history: String, sequence: UInt64) {
        hub.lastSeen.note(history, sequence)
    }

    /// Whether the reader is connected and goes with the log.
    package var isFollowing: Bool { hub.isFollowing }

    /// What the feed is doing.
    package var counts: Counts { hub.counts }

    /// Ready when the log is followed.
    package func waitUntilReady(stop: StopSignal) {
        stop.whenSet { [ready] in ready.set() }
        ready.wait()
    }

    /// Follows until `stop` is set; then every follower is told so.
    package func run(stop: StopSignal) throws {
        stop.whenSet { [hub] in hub.wake() }
        var fillers: [OwnThread<Void>] = []
        defer {
            hub.end()
            for filler in fillers { _ = try? filler.join() }
        }
        for number in 0..<max(1, limits.fillers) {
            let filler = LiveFiller(log: log, hub: hub, page: limits.page, report: report)
            fillers.append(try OwnThread(name: "live fill \(number)") { filler.run(stop: stop) })
        }
        var knownLiftings = log.liftings
        try waitingOutFailures(of: name, stop: stop, report: report) { succeeded in
            defer { hub.isFollowing = false }
            let liftings = log.liftings
            if liftings != knownLiftings {
                hub.startOver()
                knownLiftings = liftings
            }
            let ends = try ends()
            var places = beginning(ends)
            let feed = try log.follow(after: places)
            // Whoever relies on what is known here must not miss what was there at the beginning.
            hub.isFollowing = Self.has(places, reached: ends)
            ready.set()
            while !stop.isSet {
                let entries = try entries(of: feed)
                listener?.take(entries)
                hub.note(entries)
                if !hub.isFollowing {
                    for entry in entries { places[entry.position.partition] = entry.position }
                    // Of a halted partition nothing comes.
                    hub.isFollowing = entries.isEmpty || Self.has(places, reached: ends)
                }
                hub.deliver(entries)
                succeeded()
            }
        }
    }

    private static func has(_ places: [LogPosition], reached ends: [LogPosition]) -> Bool {
        zip(places, ends).allSatisfy { $0 >= $1 }
    }

    private func entries(of feed: any OrderedFeed) throws(LogFailure) -> [LogEntry] {
        do throws(LogFailure) {
            return try feed.next(limit: limits.batch, waitMilliseconds: 1_000).map(LogEntry.event)
        } catch {
            guard let position = error.unreadableEntry else { throw error }
            report(.error, "live: \(error); going on behind it")
            feed.seek(to: position)
            return [.unreadable(UnreadableHole(position: position, sequence: 0, text: error.text))]
        }
    }

    private func ends() throws(LogFailure) -> [LogPosition] {
        let store = try log.open()
        var ends: [LogPosition] = []
        for partition in 0..<store.partitioning.count { ends.append(try store.end(of: partition)) }
        return ends
    }

    /// Where to go on: after what was delivered, at first at the log's end.
    private func beginning(_ ends: [LogPosition]) -> [LogPosition] {
        if let places = hub.places { return places }
        listener?.begin(at: ends)
        hub.begin(at: ends)
        return ends
    }
}
