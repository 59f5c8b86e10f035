import Bench
import Supervision
import Access
import RecordingMongo
import Base
import EventSourcing
import HTTPLoad
import HTTPServer
import MongoViews
import Recording
import RedisLog
import Console

/// The gateway under load, in a process of its own, against libmicrohttpd alone in another one.
struct APIBenchmark {
    /// What is asked for.
    enum Operation: String, CaseIterable {
        /// Each session for the first time since the gateway was started.
        case firstRead = "session_first_read"
        case read = "session_read"
        case chunkList = "chunk_list"
        /// As fast as answers come.
        case create = "session_create"
        /// At a fixed rate.
        case pacedCreate = "session_create_paced"

        /// Whether the same bytes can be sent by libmicrohttpd alone.
        var hasCeiling: Bool { self == .read || self == .chunkList }
    }

    /// The figures of one operation with so many connections.
    struct Figure {
        var operation: Operation
        var connections: Int
        /// The round with the median rate.
        var ours: LoadResult
        /// The same bytes by libmicrohttpd alone, the round with the median rate; nil where that can't be.
        var bare: LoadResult?
        /// In all rounds.
        var failed: Int

        var ratio: Double? { bare.map { $0.perSecond > 0 ? ours.perSecond / $0.perSecond : 0 } }
    }

    struct Result {
        var figures: [Figure] = []
        var stores: StoreCeilings
        /// Memory that the gateway has resident, by connections that are open and were used; the most of all
        /// rounds.
        var residentBytes: [Int: Int] = [:]
        /// Connections that the server closed under way.
        var reopened = 0
    }

    let setup: BenchSetup
    let pool: MongoPool
    let mongoURL: String
    let milliseconds: Int
    let rounds: Int
    /// How many connections are open, one figure each.
    let connections: [Int]
    let inFlight: Int
    let sessions: Int
    let createsPerSecond: Int

    private struct Key: Hashable {
        let operation: Operation
        let connections: Int
    }

    /// Measures everything. Blocks for some minutes.
    func run() throws -> Result {
        try setup.tell("recording \(sessions) sessions …")
        let ids = try fill()
        let token = try mint()
        var ours: [Key: [LoadResult]] = [:]
        var bare: [Key: [LoadResult]] = [:]
        var result = Result(stores: try stores(ids))
        var created = 0
        for round in 1...rounds {
            var answers: [Operation: [UInt8]] = [:]
            try setup.tell("round \(round) of \(rounds): the gateway …")
            try withGateway { gateway in
                try settle(sessions: ids.count + created, with: ids)
                answers = try self.answers(of: gateway, ids[0], token)
                for count in connections {
                    let client = try LoadClient(port: gateway.port, connections: count)
                    for operation in Operation.allCases {
                        if operation == .firstRead, count != connections.first { continue }
                        let key = Key(operation: operation, connections: count)
                        let found = try client.run(plan(operation, ids, token, connections: count))
                        ours[key, default: []].append(found)
                        if operation == .create || operation == .pacedCreate { created += found.answered }
                    }
                    result.reopened += client.reopened
                    let resident = gateway.residentBytes ?? 0
                    result.residentBytes[count] = max(result.residentBytes[count] ?? 0, resident)
                }
            }
            for (operation, answer) in answers.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
                try setup.tell("round \(round) of \(rounds): libmicrohttpd alone, \(operation.rawValue) …")
                for (count, found) in try ceiling(answer, plan(operation, ids, token, connections: 1)) {
                    bare[Key(operation: operation, connections: count), default: []].append(found)
                }
            }
        }
        result.figures = figures(ours, bare)
        return result
    }

    private func figures(_ ours: [Key: [LoadResult]], _ bare: [Key: [LoadResult]]) -> [Figure] {
        connections.flatMap { count in
            Operation.allCases.compactMap { operation in
                let key = Key(operation: operation, connections: count)
                guard let found = ours[key] else { return nil }
                return Figure(
                    operation: operation, connections: count, ours: Self.median(found),
                    bare: bare[key].map(Self.median), failed: found.reduce(0) { $0 + $1.failed })
            }
        }
    }

    private static func median(_ results: [LoadResult]) -> LoadResult {
        results.sorted { $0.perSecond < $1.perSecond }[results.count / 2]
    }

    private func plan(
        _ operation: Operation, _ ids: [String], _ token: String, connections: Int
    ) -> LoadPlan {
        let requests: [BenchRequest]
        switch operation {
        case .firstRead, .read: requests = ids.map { BenchRequest("GET", "/sessions/\($0)", token: token) }
        case .chunkList:
            requests = ids.map { BenchRequest("GET", "/sessions/\($0)/chunks", token: token) }
        case .create, .pacedCreate:
            let body = #"{"name":"a desk","rdp_config":{"host":"desk.example","username":"anna"}}"#
            requests = [BenchRequest("POST", "/sessions", token: token, body: body)]
        }
        var plan = LoadPlan(requests.map(\.bytes), inFlight: inFlight, milliseconds: milliseconds)
        switch operation {
        case .firstRead: (plan.count, plan.milliseconds) = (ids.count, 60_000)
        case .create: plan.status = 201
        case .pacedCreate: (plan.status, plan.perSecond) = (201, createsPerSecond)
        case .read, .chunkList: break
        }
        return plan
    }

    // MARK: - The servers

    private func withGateway(_ body: (BenchServer) throws -> Void) throws {
        let gateway = try BenchServer(
            gatewayOf: setup, mongoURL: mongoURL, keys: keys, connections: (connections.max() ?? 0) + 100,
            roles: ["api", "projector"])
        try withExtendedLifetime(gateway) { try body(gateway) }
    }

    private func ceiling(_ answer: [UInt8], _ plan: LoadPlan) throws -> [(Int, LoadResult)] {
        let file = "\(setup.place)/answer"
        try FileText.write(answer, to: file)
        let server = try BenchServer(
            ["bench", "bare", file, "--connections", "\((connections.max() ?? 0) + 100)"],
            log: "\(setup.place)/bare.log")
        return try withExtendedLifetime(server) {
            try connections.map { ($0, try LoadClient(port: server.port, connections: $0).run(plan)) }
        }
    }

    /// What libmicrohttpd alone is to send.
    private func answers(
        of gateway: BenchServer, _ id: String, _ token: String
    ) throws -> [Operation: [UInt8]] {
        let requests: [Operation: BenchRequest] = [
            .read: BenchRequest("GET", "/sessions/\(id)", token: token),
            .chunkList: BenchRequest("GET", "/sessions/\(id)/chunks", token: token),
        ]
        return try requests.mapValues { request in
            let answer = try gateway.answer(to: request)
            guard answer.starts(with: "HTTP/1.1 200 ".utf8) else {
                let line = String(decoding: answer.prefix { $0 != 13 }, as: UTF8.self)
                throw CommandFailure(.dependency, "the gateway answered a read with \(line)")
            }
            return answer
        }
    }

    private var keys: String { "\(setup.place)/tokens" }

    private func mint() throws -> String {
        try AdminToken.mint(keys: keys, "reel", "reel").token(
            subject: "bench", roles: [Access.Role.admin.rawValue], projects: [],
            lifetimeSeconds: 86_400, at: SystemClock().now())
    }

    // MARK: - The data

    /// Appends sessions as recorders and stages do; their ids.
    private func fill() throws -> [String] {
        let store = try setup.log.open()
        var workload = SessionWorkload(sessions: sessions)
        var ids: Set<String> = []
        while let batches = workload.next() {
            try SessionWorkload.append(batches, to: store)
            ids.formUnion(batches.map(\.partitionKey))
        }
        return ids.sorted()
    }

    private func stores(_ ids: [String]) throws -> StoreCeilings {
        // The projector of a gateway that is not measured builds what is asked for.
        try withGateway { _ in try settle(sessions: ids.count, with: ids) }
        try setup.tell("the stores alone …")
        return try StoreCeilings(setup.log, pool, sessions: ids, milliseconds: min(milliseconds, 3000))
    }

    /// Waits until the read models have everything.
    private func settle(sessions count: Int, with ids: [String]) throws {
        let queries = MongoReadModels(pool, .all).queries
        let store = try setup.log.open()
        let deadline = ContinuousClock.now + .seconds(300)
        var left = ids[...]
        while ContinuousClock.now < deadline {
            while let id = left.first, let view = try queries.session(id),
                view.version >= (try store.version(of: id))
            {
                left = left.dropFirst()
            }
            if left.isEmpty, try queries.sessionCount(SessionFilter()) >= count { return }
            try setup.pause(milliseconds: 100)
        }
        throw CommandFailure(.dependency, "the read models did not catch up within five minutes")
    }
}
