import Engine
import Base
import EventSourcing
import Simulation
import Supervision
import TestServers
import Testing

/// A feed that runs while the test does.
private final class Running {
    let feed: LiveFeed
    private let stop = StopSignal()
    private let thread: OwnThread<Void>

    init(_ log: any EventLog, _ change: (inout LiveFeed.Limits) -> Void = { _ in }) throws {
        var limits = LiveFeed.Limits()
        change(&limits)
        let feed = LiveFeed(log: log, limits: limits, report: .silent)
        self.feed = feed
        thread = try OwnThread(name: "live") { [stop] in try feed.run(stop: stop) }
        feed.waitUntilReady(stop: StopSignal())
    }

    func end() throws {
        stop.set()
        try thread.join()
    }

    deinit {
        stop.set()
        _ = thread.wait(milliseconds: 10_000)
    }
}

private func append(_ log: any EventStore, _ key: String, _ numbers: Range<Int>) throws {
    for number in numbers {
        _ = try log.append(
            [SampleEvents.event("\(key)/\(number)", type: number % 2 == 0 ? "Even" : "Odd", number: number)],
            to: key, expecting: .any)
    }
}

/// Takes items until `count` came, or none for very long.
private func take(_ count: Int, _ follower: LiveFollower, limit: Int = 64) throws -> [LiveItem] {
    var items: [LiveItem] = []
    for _ in 0..<600 where items.count < count {
        switch follower.next(limit: min(limit, count - items.count), waitMilliseconds: 100) {
        case .items(let some): items += some
        case .ended(let end): throw Unexpected("ended \(end) after \(items.count) items")
        }
    }
    return items
}

private struct Unexpected: Error, CustomStringConvertible {
    let description: String
    init(_ text: String) { description = text }
}

private func ids(_ items: [LiveItem]) -> [UInt64] { items.map(\.event.sequence) }

@Suite("Live feed", .timeLimit(.minutes(5)))
struct LiveFeedTests {
    @Test("one session from its beginning, from now and from an id", arguments: LogKind.allCases)
    func session(kind: LogKind) throws {
        let log = try kind.open()
        let store = try log.open()
        try append(store, "a", 0..<300)
        let running = try Running(log)
        let all = try running.feed.follow(LiveFilter(.history("a")), from: .beginning)
        let fresh = try running.feed.follow(LiveFilter(.history("a")), from: .now)
        let after = try running.feed.follow(LiveFilter(.history("a")), from: .after("290"))
        #expect(ids(try take(300, all)) == Array(1...300))
        #expect(ids(try take(10, after)) == Array(291...300))
        try append(store, "b", 0..<5)
        try append(store, "a", 300..<310)
        #expect(ids(try take(10, all)) == Array(301...310))
        #expect(ids(try take(10, after)) == Array(301...310))
        let last = try take(10, fresh)
        #expect(ids(last) == Array(301...310))
        #expect(last.last?.id == "310")
        let text = String(decoding: try #require(last.last).event.json, as: UTF8.self)
        #expect(text.contains(#""partitionkey":"a","sequence":"000000000310""#))
        #expect(running.feed.lastSeen("a") == 310 && running.feed.lastSeen("b") == 5)
        #expect(running.feed.lastSeen("c") == nil)
    }

    @Test(
        "followers of one session and of everything miss nothing and get nothing twice",
        arguments: LogKind.allCases)
    func concurrent(kind: LogKind) throws {
        let log = try kind.open(partitions: 4)
        let (keys, each) = (6, kind == .memory ? 400 : 150)
        let running = try Running(log) { limits in
            limits.queuedEvents = 8
            limits.page = 7
            limits.batch = 20
        }
        let feed = running.feed
        let written = Lock(0)
        try concurrently(4) { thread in
            if thread == 0 {
                let store = try log.open()
                for number in 0..<each {
                    for key in 0..<keys { try append(store, "k\(key)", number..<(number + 1)) }
                    written.withLock { $0 += 1 }
                }
                return
            }
            // Each of the others breaks off again and again and goes on by the last id.
            var seen: [String: UInt64] = [:]
            var start = LiveStart.beginning
            let scope: LiveFilter.Scope = thread == 1 ? .history("k3") : .everything
            var count = 0
            let total = thread == 1 ? each : each * keys
            var turn = 0
            while count < total {
                turn += 1
                let follower = try feed.follow(LiveFilter(scope), from: start)
                let part = min(total - count, 13 + turn * 7 % 50)
                for item in try take(part, follower, limit: 5) {
                    let key = item.event.partitionKey
                    guard item.event.sequence == (seen[key] ?? 0) + 1 else {
                        throw Unexpected("\(key): \(item.event.sequence) after \(seen[key] ?? 0)")
                    }
                    seen[key] = item.event.sequence
                    start = .after(item.id)
                    count += 1
                }
                follower.cancel()
                guard turn < 10_000 else { throw Unexpected("no end") }
            }
        }
        #expect(written.withLock { $0 } == each)
        #expect(feed.counts.followers == 0)
    }

    @Test("a slow follower costs its queue, and gets everything when it goes on")
    func slow() throws {
        let log = InMemoryEventLog()
        let store = try log.open()
        let running = try Running(log) { limits in
            limits.queuedEvents = 10
            limits.queuedBytes = 3_000
        }
        let slow = [LiveFilter(.history("a")), LiveFilter(.everything)].map { filter in
            try? running.feed.follow(filter, from: .now)
        }
        let quick = try running.feed.follow(LiveFilter(.history("a")), from: .beginning)
        for round in 0..<10 {
            try append(store, "a", round * 50..<(round + 1) * 50)
            #expect(ids(try take(50, quick)).count == 50)
        }
        for follower in slow {
            let follower = try #require(follower)
            #expect(ids(try take(500, follower, limit: 100)) == Array(1...500))
        }
    }

    @Test(
        "an entry that cannot be read is named in its place, and what stands behind it follows",
        arguments: LogKind.allCases, Spoiling.allCases)
    func unreadable(_ kind: LogKind, _ spoiling: Spoiling) throws {
        let log = try kind.open(partitions: 2)
        let store = try log.open()
        try append(store, "a", 0..<5)
        let running = try Running(log)
        let live = try running.feed.follow(LiveFilter(.everything), from: .now)
        let own = try running.feed.follow(LiveFilter(.history("a")), from: .beginning)
        let chosen = try running.feed.follow(LiveFilter(.history("a"), types: ["Even"]), from: .after("5"))
        #expect(ids(try take(5, own)) == [1, 2, 3, 4, 5])
        let bad = try log.addUnreadable(to: "a", spoiling)
        let named = try #require(try take(1, live).first)
        #expect(named.event.type == LiveEvent.unreadableType && named.event.position == bad)
        try append(store, "a", 6..<8)
        try append(store, "b", 0..<2)
        #expect(Set(try take(4, live).map(\.event.position)).count == 4)
        // Whose it is, its session's followers see when the next event comes.
        let items = try take(3, own)
        #expect(items.map(\.id) == ["6", "7", "8"])
        #expect(items.map(\.event.type) == [LiveEvent.unreadableType, "Even", "Odd"])
        let told = try JSONValue(parsing: items[0].event.json)
        #expect(told["position"]?.string == "\(bad)" && told["sequence"]?.integer == 6)
        #expect(told["text"]?.string?.isEmpty == false)
        #expect(try take(2, chosen).map(\.id) == ["6", "7"])
        // From the history, from behind it, and in pages.
        let behind = try running.feed.follow(LiveFilter(.history("a")), from: .after("6"))
        #expect(ids(try take(2, behind)) == [7, 8])
        let later = try running.feed.follow(LiveFilter(.everything), from: .after(named.id))
        #expect(try take(4, later).allSatisfy { $0.event.position != bad })
        let all = try take(10, try running.feed.follow(LiveFilter(.everything), from: .beginning))
        #expect(all.count == 10 && all.count { $0.event.type == LiveEvent.unreadableType } == 1)
        var (place, seen, holes): (String?, Int, [LogPosition]) = (nil, 0, [])
        while true {
            let found = try LiveHistory.page(
                after: place, limit: 3, filter: LiveFilter(.everything), from: store)
            let page = try #require(found)
            place = page.place
            seen += page.events.count
            holes += page.unreadable.map(\.position)
            if !page.hasMore { break }
        }
        #expect(seen == 9 && holes == [bad])
        try running.end()
    }

    @Test("types are chosen, and records of the audit trail are for those who may see them")
    func filters() throws {
        let log = InMemoryEventLog()
        let store = try log.open()
        try append(store, "a", 0..<10)
        try append(store, "audit/x/1", 0..<10)
        let running = try Running(log)
        func sequences(_ filter: LiveFilter, _ count: Int) throws -> [String] {
            let follower = try running.feed.follow(filter, from: .beginning)
            let items = try take(count, follower)
            try append(store, "end", 0..<1)
            return items.map { "\($0.event.partitionKey) \($0.event.sequence)" }.sorted()
        }
        let isRecord: @Sendable (String) -> Bool = { $0.hasPrefix("audit/") }
        let odd = try sequences(LiveFilter(.everything, types: ["Odd"], hiding: isRecord), 5)
        #expect(odd == ["a 10", "a 2", "a 4", "a 6", "a 8"])
        let records = try sequences(LiveFilter(.everything, types: ["Odd"]), 10)
        #expect(records.count { $0.hasPrefix("audit/x/1") } == 5)
        #expect(running.feed.lastSeen("audit/x/1") == nil)
    }

    @Test("ids that nobody gave out are refused; places beyond the log end the follower")
    func unknown() throws {
        let log = InMemoryEventLog()
        let store = try log.open()
        try append(store, "a", 0..<5)
        let running = try Running(log) { $0.followers = 2 }
        for id in ["", "-1", "01", "1x", "99999999999999999999", "AQ"] {
            #expect(throws: LiveRefusal.unknownID, "\(id)") {
                try running.feed.follow(LiveFilter(.history("a")), from: .after(id))
            }
            #expect(throws: LiveRefusal.unknownID, "\(id)") {
                try running.feed.follow(LiveFilter(.everything), from: .after(id))
            }
        }
        let ahead = try running.feed.follow(LiveFilter(.history("a")), from: .after("6"))
        guard case .ended(.unknownPlace) = ahead.next(waitMilliseconds: 60_000) else {
            Issue.record("a place beyond the session was taken")
            return
        }
        let one = try running.feed.follow(LiveFilter(.history("a")), from: .now)
        let two = try running.feed.follow(LiveFilter(.everything), from: .now)
        #expect(throws: LiveRefusal.tooMany(limit: 2)) {
            try running.feed.follow(LiveFilter(.everything), from: .now)
        }
        one.cancel()
        #expect(running.feed.counts.followers == 1)
        try running.end()
        guard case .ended(.stopping) = two.next(waitMilliseconds: 60_000) else {
            Issue.record("a follower was not told of the end")
            return
        }
        #expect(throws: LiveRefusal.unavailable) {
            try running.feed.follow(LiveFilter(.everything), from: .now)
        }
    }

    @Test("a log that is away for a while costs nothing, and nobody is told before there is something")
    func away() throws {
        let log = InMemoryEventLog()
        let store = try log.open()
        let running = try Running(log)
        let told = Lock(0)
        let follower = try running.feed.follow(LiveFilter(.everything), from: .now) {
            told.withLock { $0 += 1 }
        }
        #expect(told.withLock { $0 } == 0)
        let failures = Lock(0)
        let failure = LogFailure(.unreachable, operation: "read", key: "test", text: "gone")
        log.inject { operation in
            guard ["follow", "read", "load", "end"].contains(operation) else { return nil }
            failures.withLock { $0 += 1 }
            return .before(failure)
        }
        let stop = StopSignal()
        for _ in 0..<60_000 where failures.withLock({ $0 }) < 3 { stop.wait(milliseconds: 1) }
        #expect(!running.feed.isFollowing)
        try append(store, "a", 0..<20)
        log.inject(nil)
        #expect(ids(try take(20, follower)) == Array(1...20))
        #expect(running.feed.isFollowing)
        #expect(told.withLock { $0 } >= 1)
    }

    @Test("thousands follow one session each, and an event reaches its own")
    func thousands() throws {
        let log = InMemoryEventLog()
        let store = try log.open()
        let running = try Running(log)
        let count = 3_000
        let reached = Lock<[Int: Int]>([:])
        let followers = try (0..<count).map { number in
            try running.feed.follow(LiveFilter(.history("s\(number)")), from: .now) {
                reached.withLock { $0[number, default: 0] += 1 }
            }
        }
        #expect(running.feed.counts.followers == count)
        for number in stride(from: 0, to: count, by: 100) { try append(store, "s\(number)", 0..<2) }
        for number in stride(from: 0, to: count, by: 100) {
            #expect(ids(try take(2, followers[number])) == [1, 2])
        }
        #expect(Set(reached.withLock { $0 }.keys) == Set(stride(from: 0, to: count, by: 100)))
    }
}
