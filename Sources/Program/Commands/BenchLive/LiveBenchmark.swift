import Bench
import Access
import Base
import EventSourcing
import Glibc
import HTTPLoad
import Recording
import RedisLog
import Supervision
import Console

/// Thousands of followers of live events on one gateway, in a process of its own.
struct LiveBenchmark {
    /// How followers spread over sessions.
    enum Crowd: String, CaseIterable {
        /// All of them follow one session.
        case oneSession = "one_session"
        /// Ten follow each of many.
        case manySessions = "many_sessions"

        static let together = 10

        func sessions(for followers: Int) -> Int {
            self == .oneSession ? 1 : max(1, followers / Self.together)
        }
    }

    /// The figures of one crowd.
    struct Figure {
        var crowd: Crowd
        var followers: Int
        var sessions: Int
        var appended: Int
        /// Events that came to followers, each once and in order.
        var delivered: Int
        /// Events that did not come, came twice or out of order, and followers that were closed.
        var failed: Int
        /// From the first append to the last arrival.
        var seconds: Double
        /// From just before an append to the arrival of its event, in microseconds, sorted.
        var microseconds: [UInt32]
        /// Processor time of the gateway meanwhile.
        var gatewaySeconds: Double

        func percentile(_ share: Double) -> Double {
            guard let last = microseconds.last else { return 0 }
            let place = Int(Double(microseconds.count) * share)
            return Double(place < microseconds.count ? microseconds[place] : last) / 1000
        }
    }

    struct Result {
        var figures: [Figure] = []
        /// Memory that the gateway has resident before anybody follows, and with all followers.
        var residentBefore = 0
        var residentWith = 0
        var followers = 0

        var bytesPerFollower: Int { max(0, residentWith - residentBefore) / max(1, followers) }
    }

    private struct Arrival {
        let follower: UInt32
        let sequence: UInt32
        let at: UInt64
    }

    let setup: BenchSetup
    let mongoURL: String
    let followers: Int
    let seconds: Int
    /// Appends in a second: to the one session, and over all of many.
    let rates: [Crowd: Int]

    private static let waitSeconds = 60
    /// What a session has when it is followed: it was made and is recording.
    private static let openingEvents = 3

    /// Measures everything. Blocks for a minute or so.
    func run() throws -> Result {
        let keys = "\(setup.place)/tokens"
        let token = try AdminToken.mint(keys: keys, "reel", "reel").token(
            subject: "bench", roles: [Access.Role.admin.rawValue], projects: [],
            lifetimeSeconds: 86_400, at: SystemClock().now())
        var result = Result(followers: followers)
        for crowd in Crowd.allCases {
            let gateway = try BenchServer(
                gatewayOf: setup, mongoURL: mongoURL, keys: keys, connections: followers + 100,
                roles: ["api"])
            try withExtendedLifetime(gateway) {
                let found = try measure(crowd, gateway, token)
                result.figures.append(found.figure)
                if crowd == .oneSession { (result.residentBefore, result.residentWith) = found.resident }
            }
        }
        return result
    }

    private func measure(
        _ crowd: Crowd, _ gateway: BenchServer, _ token: String
    ) throws -> (figure: Figure, resident: (Int, Int)) {
        let sessions = (0..<crowd.sessions(for: followers)).map { "\(crowd.rawValue)-\($0)" }
        let store = try setup.log.open()
        for id in sessions { try SessionWorkload.append([SessionWorkload.opening(of: id)], to: store) }
        // Followers that nobody counts: what everybody shares is there then.
        try follow(sessions, 10, gateway, token) { _ in }
        let before = gateway.residentBytes ?? 0
        try setup.tell("\(followers) followers, \(crowd.rawValue) …")
        var found: (Figure, (Int, Int))?
        try follow(sessions, followers, gateway, token) { client in
            let with = gateway.residentBytes ?? 0
            let figure = try deliver(crowd, sessions, gateway, client)
            found = (figure, (before, with))
        }
        guard let found else { throw CommandFailure(.dependency, "nobody followed") }
        return found
    }

    /// Lends a client whose streams have all begun.
    private func follow(
        _ sessions: [String], _ count: Int, _ gateway: BenchServer, _ token: String,
        _ body: (FollowClient) throws -> Void
    ) throws {
        let requests = (0..<count).map {
            BenchRequest(
                "GET", "/sessions/\(sessions[$0 % sessions.count])/events?after=now", token: token,
                headers: ["Accept: text/event-stream"]
            ).bytes
        }
        let client = try FollowClient(port: gateway.port, requests: requests)
        let deadline = ContinuousClock.now + .seconds(Self.waitSeconds)
        try client.listen(
            until: { client.following + client.ended >= count || ContinuousClock.now > deadline },
            onEvent: { _, _, _ in })
        guard client.following == count else {
            throw CommandFailure(
                .dependency, "of \(count) followers \(client.following) were let in; see the gateway's log")
        }
        try body(client)
    }

    private func deliver(
        _ crowd: Crowd, _ sessions: [String], _ gateway: BenchServer, _ client: FollowClient
    ) throws -> Figure {
        let (rate, log) = (rates[crowd] ?? 1, setup.log)
        let rounds = max(1, rate * seconds / sessions.count)
        let (began, processor) = (FollowClient.now(), gateway.processorSeconds ?? 0)
        let writer = try OwnThread(name: "appends") {
            try Self.append(to: sessions, rounds: rounds, perSecond: rate, log)
        }
        var arrivals: [Arrival] = []
        let expected = rounds * followers
        arrivals.reserveCapacity(expected)
        let deadline = ContinuousClock.now + .seconds(seconds + Self.waitSeconds)
        try client.listen(
            until: { arrivals.count >= expected && writer.isFinished || ContinuousClock.now > deadline },
            onEvent: { follower, id, at in
                arrivals.append(Arrival(follower: UInt32(follower), sequence: UInt32(clamping: id), at: at))
            })
        let times = try writer.join()
        let used = (gateway.processorSeconds ?? 0) - processor
        var figure = Figure(
            crowd: crowd, followers: followers, sessions: sessions.count, appended: rounds * sessions.count,
            delivered: 0, failed: client.ended,
            seconds: Double((arrivals.last?.at ?? began) - began) / 1e9, microseconds: [],
            gatewaySeconds: used)
        judge(arrivals, times, rounds, &figure)
        return figure
    }

    /// Each follower has to get each event of its session once, in order.
    private func judge(_ arrivals: [Arrival], _ times: [[UInt64]], _ rounds: Int, _ figure: inout Figure) {
        var next = [UInt32](repeating: UInt32(Self.openingEvents + 1), count: followers)
        figure.microseconds.reserveCapacity(arrivals.count)
        for arrival in arrivals {
            let follower = Int(arrival.follower)
            guard arrival.sequence == next[follower] else {
                figure.failed += 1
                continue
            }
            next[follower] += 1
            figure.delivered += 1
            let appended = times[follower % times.count][Int(arrival.sequence) - Self.openingEvents - 1]
            figure.microseconds.append(UInt32(clamping: (arrival.at &- appended) / 1000))
        }
        figure.failed += rounds * followers - figure.delivered
        figure.microseconds.sort()
    }

    /// One event at a time, each when it is due; when each of them was begun, by session.
    private static func append(
        to sessions: [String], rounds: Int, perSecond: Int, _ log: RedisEventLog
    ) throws -> [[UInt64]] {
        let (store, pause) = (try log.open(), StopSignal())
        var times = [[UInt64]](repeating: [], count: sessions.count)
        let began = FollowClient.now()
        for round in 0..<rounds {
            for (place, id) in sessions.enumerated() {
                let number = UInt64(round * sessions.count + place)
                let due = began + number * 1_000_000_000 / UInt64(perSecond)
                let now = FollowClient.now()
                if due > now + 1_000_000 { pause.wait(milliseconds: Int((due - now) / 1_000_000)) }
                times[place].append(FollowClient.now())
                try SessionWorkload.append([SessionWorkload.recording(round + 1, of: id)], to: store)
            }
        }
        return times
    }
}
