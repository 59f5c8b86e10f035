import Base
import EventSourcing
import Recording
@testable import RecordingMongo
import Simulation
import TestServers
import Testing

@testable import MongoViews
import ReadModels
import Access

/// Read models of sessions that were made in bursts: several in one millisecond, over all projects, owners
/// and states.
private struct ListFixture {
    let pool: MongoPool
    let collections: Collections
    let queries: MongoQueries
    let sessions: [SessionView]

    init(_ name: String, sessions count: Int) throws {
        let server = try TestMongo.shared
        let database = server.freshDatabaseName(name)
        pool = try MongoPool(MongoSettings(url: server.url))
        collections = Collections(database: database)
        let models = MongoReadModels(pool, RecordingViews.all, database: database)
        queries = models.queries
        let projection = models.projection(epoch: "one")
        _ = try projection.checkpoints()
        var generator = SeededGenerator(seed: 7)
        var log: [RecordedEvent] = []
        for number in 0..<count {
            // Ids in another order than ages, several of them of each age.
            let id = "sess-\(Int.random(in: 100...999, using: &generator))-\(number)"
            var created = SessionEvent.Created(
                sessionID: id, name: id, rdp: RDPConfig(host: "h", username: "u"),
                recording: RecordingConfig(), storage: StorageConfig(), metadata: SessionMetadata(),
                capture: CaptureConfig(source: .stream, chunkSizeBytes: 4096))
            created.metadata.project = ["atlas", "borealis", "rare"][number % 97 == 0 ? 2 : number % 2]
            created.metadata.environment = number % 3 == 0 ? "test" : nil
            created.metadata.tags = number % 5 == 0 ? ["blue", "green"] : []
            created.metadata.owner = ["ann", "bob", "cy"][number % 50 == 0 ? 2 : number % 2]
            var facts: [RecordingEvent] = [.session(.created(created))]
            if number % 4 != 0 { facts.append(.session(.started(sessionID: id, status: .starting))) }
            if number % 20 == 0 {
                for name in number % 40 == 0 ? ["A", "B"] : ["B"] {
                    let hold = SessionEvent.HoldChange(sessionID: id, caseName: name, reason: "r")
                    facts.append(.session(.legalHoldSet(hold)))
                    if number % 60 == 0 { facts.append(.session(.legalHoldLifted(hold))) }
                }
            }
            if number % 11 == 0 { facts.append(.session(.deleted(sessionID: id))) }
            for (place, fact) in facts.enumerated() {
                log.append(
                    RecordedEvent(
                        event: ProposedEvent(
                            sample: fact, id: "\(id)/\(place)",
                            time: Timestamp(milliseconds: 1_700_000_000_000 + Int64(number / 4)),
                            context: EventContext(source: "/reel/test", actor: .system("test"))),
                        partitionKey: id, sequence: UInt64(place + 1),
                        position: LogPosition(
                            partition: 0, milliseconds: 1, counter: UInt64(log.count + 1))))
            }
        }
        try projection.apply(log)
        sessions = try Expected(log).sessions.values.sorted {
            ($0.createdAt, $0.sessionID) > ($1.createdAt, $1.sessionID)
        }
    }

    func forgetTotals() throws {
        let all = BSONDocument { $0.append("subscription", MongoReadModels.subscription.name) }
        let update = BSONDocument { builder in builder.append("$unset") { $0.append("totals", "") } }
        try pool.withClient { (client) throws(MongoFailure) in
            _ = try client.bulkWrite(
                [.update(filter: all, with: update, upsert: false)], to: collections.checkpoints)
        }
    }

    func matching(_ filter: SessionFilter) -> [SessionView] {
        sessions.filter { session in
            let data = session.metadata
            return (filter.status.map { $0 == session.status } ?? (session.status != .deleted))
                && filter.project.map { $0 == data.project } ?? true
                && filter.environment.map { $0 == data.environment } ?? true
                && filter.tag.map(data.tags.contains) ?? true
                && filter.owner.map { $0 == data.owner } ?? true
                && filter.isHeld.map { $0 != session.holds.isEmpty } ?? true
                && filter.caseName.map { name in session.holds.contains { $0.caseName == name } } ?? true
                && filter.audience.map { $0.sees(Ownership(data)) } ?? true
        }
    }

    /// What the server says that it did for everything that `body` asks.
    func plans(_ body: () throws -> Void) throws -> [Plan] {
        func profile(_ level: Int32) throws {
            try pool.withClient { (client) throws(MongoFailure) in
                let request = BSONDocument { $0.append("profile", int32: level) }
                _ = try client.command(request, operation: "profile", on: collections.sessions)
            }
        }
        let book = MongoNamespace(database: collections.database, collection: "system.profile")
        try pool.withClient { (client) throws(MongoFailure) in try client.dropCollection(book) }
        try profile(2)
        defer { try? profile(0) }
        try body()
        try profile(0)
        return try pool.withClient { (client) throws(MongoFailure) in
            try client.find(MongoFind(), in: book) { (fields) throws(BSONError) -> Plan? in
                guard let summary = try fields.optionalString("planSummary") else { return nil }
                return Plan(
                    collection: try fields.string("ns"), summary: summary,
                    sorts: fields.isNull("hasSortStage") ? false : true,
                    documents: fields.isNull("docsExamined") ? 0 : Int(try fields.int("docsExamined")))
            }
        }.compactMap { $0 }
    }
}

private struct Plan {
    let collection: String
    let summary: String
    let sorts: Bool
    let documents: Int
}

private func filter(_ change: (inout SessionFilter) -> Void) -> SessionFilter {
    var filter = SessionFilter()
    change(&filter)
    return filter
}

private let filters: [SessionFilter] = [
    SessionFilter(),
    filter { $0.status = .created }, filter { $0.status = .deleted }, filter { $0.status = .failed },
    filter { $0.project = "atlas" }, filter { $0.project = "rare" }, filter { $0.environment = "test" },
    filter { $0.tag = "green" }, filter { $0.owner = "cy" }, filter { $0.owner = "ann" },
    filter {
        $0.project = "atlas"
        $0.tag = "blue"
        $0.status = .starting
    },
    filter { $0.audience = Audience(owner: "bob", projects: ["rare"]) },
    filter { $0.audience = Audience(owner: "cy", projects: ["atlas", "rare"]) },
    filter { $0.audience = Audience(owner: nil, projects: ["atlas"]) },
    filter { $0.audience = Audience(owner: "bob", projects: []) },
    filter { $0.audience = Audience(owner: nil, projects: []) },
    filter {
        $0.audience = Audience(owner: "bob", projects: ["rare"])
        $0.project = "rare"
    },
    filter {
        $0.audience = Audience(owner: "bob", projects: ["rare"])
        $0.project = "atlas"
    },
    filter {
        $0.audience = Audience(owner: "bob", projects: ["rare"])
        $0.owner = "ann"
    },
]

/// Those that cases hold are few, and looked at.
private let heldFilters: [SessionFilter] = [
    filter { $0.isHeld = true }, filter { $0.isHeld = false }, filter { $0.caseName = "A" },
    filter { $0.caseName = "absent" },
    filter {
        $0.isHeld = true
        $0.caseName = "B"
        $0.status = .starting
    },
    filter {
        $0.isHeld = true
        $0.owner = "ann"
        $0.tag = "blue"
    },
    filter {
        $0.isHeld = false
        $0.project = "atlas"
    },
    filter {
        $0.isHeld = true
        $0.audience = Audience(owner: "bob", projects: ["rare", "atlas"])
    },
    filter {
        $0.isHeld = false
        $0.audience = Audience(owner: "bob", projects: ["rare"])
    },
    filter {
        $0.isHeld = false
        $0.caseName = "A"
    },
]

@Suite("Lists", .timeLimit(.minutes(10)))
struct ListTests {
    @Test("pages by offset and by cursor are the list, whole and in order, however they are cut")
    func pages() throws {
        let fixture = try ListFixture("pages", sessions: 230)
        for filter in filters + heldFilters {
            let expected = fixture.matching(filter)
            for limit in [3, 7, 100] {
                var start = ListStart.offset(0)
                var seen: [SessionView] = []
                while true {
                    let page = try fixture.queries.sessionList(filter, limit: limit, from: start)
                    #expect(page.pagination.total == expected.count, "\(filter)")
                    #expect(page.pagination.offset == seen.count)
                    let counted = try fixture.queries.sessionList(
                        filter, limit: limit, from: .offset(seen.count))
                    #expect(counted == page, "\(filter) \(limit) \(seen.count)")
                    seen += page.sessions
                    #expect(page.pagination.hasNext == (seen.count < expected.count))
                    guard let text = page.pagination.nextCursor else { break }
                    start = .after(try #require(ListCursor(text, of: filter.listName)))
                    try #require(seen.count <= expected.count)
                }
                #expect(seen == expected, "\(filter) by \(limit)")
            }
            let beyond = try fixture.queries.sessionList(filter, limit: 5, from: .offset(10_000))
            #expect(beyond.sessions.isEmpty && !beyond.pagination.hasNext)
        }
    }

    @Test("every list and every count is served by an index, and none is put in order in memory needlessly")
    func plans() throws {
        let fixture = try ListFixture("plans", sessions: 2_000)
        let age = "IXSCAN { created_at: -1 }"
        for filter in filters + heldFilters {
            let plans = try fixture.plans {
                let first = try fixture.queries.sessionList(filter, limit: 10, from: .offset(0))
                guard let text = first.pagination.nextCursor else { return }
                let cursor = try #require(ListCursor(text, of: filter.listName))
                _ = try fixture.queries.sessionList(filter, limit: 10, from: .after(cursor))
            }
            for plan in plans {
                let isBooks = plan.summary == "RECORD_STORE_FAST_COUNT"
                #expect(
                    plan.summary.contains("IXSCAN") || plan.summary.contains("COUNT_SCAN") || isBooks
                        || plan.summary == "IDHACK" || plan.summary == "EOF", "\(filter): \(plan)")
                #expect(!plan.summary.contains("COLLSCAN"), "\(filter): \(plan)")
                // In order in memory: one millisecond's sessions, or the few of a rare criterion.
                #expect(!plan.sorts || plan.documents <= 200, "\(filter): \(plan)")
            }
            let isEmpty = filter.audience == Audience(owner: nil, projects: [])
            #expect((isEmpty || filter.isHeld == false && filter.caseName != nil) == plans.isEmpty)
        }
        let plain = try fixture.plans {
            _ = try fixture.queries.sessionList(SessionFilter(), limit: 10, from: .offset(0))
        }
        #expect(plain.contains { $0.summary == age && !$0.sorts && $0.documents < 40 })
    }

    /// Every combination that the API allows: status, project, environment, tag and owner, each given or not,
    /// for those who see everything, their own, their projects', or both.
    private static var combinations: [SessionFilter] {
        let audiences: [Audience?] = [
            nil, Audience(owner: "bob", projects: []), Audience(owner: nil, projects: ["atlas", "rare"]),
            Audience(owner: "ann", projects: ["borealis", "rare"]),
        ]
        return audiences.flatMap { audience in
            (0..<32).map { bits in
                filter { filter in
                    filter.audience = audience
                    if bits & 1 != 0 { filter.status = bits & 2 == 0 ? .starting : .created }
                    if bits & 2 != 0 { filter.project = "borealis" }
                    if bits & 4 != 0 { filter.environment = "test" }
                    if bits & 8 != 0 { filter.tag = "blue" }
                    if bits & 16 != 0 { filter.owner = "bob" }
                }
            }
        }
    }

    @Test("totals of all combinations of filters are right, and no document is looked at for them")
    func counts() throws {
        let fixture = try ListFixture("counts", sessions: 400)
        let sums = "\(fixture.collections.checkpoints)"
        for filter in Self.combinations + filters {
            let plans = try fixture.plans {
                let count = try fixture.queries.sessionCount(filter)
                #expect(count == fixture.matching(filter).count, "\(filter)")
            }
            for plan in plans {
                if plan.collection == sums {
                    #expect(plan.documents <= 1 && !plan.summary.contains("COLLSCAN"), "\(filter): \(plan)")
                } else {
                    #expect(plan.summary.contains("IXSCAN") && plan.documents == 0, "\(filter): \(plan)")
                }
            }
        }
        for filter in heldFilters {
            let plans = try fixture.plans {
                let count = try fixture.queries.sessionCount(filter)
                #expect(count == fixture.matching(filter).count, "\(filter)")
            }
            // By the index in which nothing stands that is not held.
            #expect(plans.allSatisfy { $0.documents <= 20 }, "\(filter): \(plans)")
        }
        // Without sums that are kept, the index of the status tells.
        try fixture.forgetTotals()
        for status in SessionStatus.allCases {
            let only = filter { $0.status = status }
            let plans = try fixture.plans {
                let count = try fixture.queries.sessionCount(only)
                #expect(count == fixture.matching(only).count)
            }
            #expect(plans.filter { $0.collection != sums }.allSatisfy { $0.documents == 0 }, "\(plans)")
        }
        #expect(
            try fixture.queries.sessionCount(SessionFilter()) == fixture.matching(SessionFilter()).count)
    }

    @Test("a deep page by cursor looks at no more than the first one")
    func deep() throws {
        let fixture = try ListFixture("deep", sessions: 2_000)
        let all = fixture.matching(SessionFilter())
        let place = all[1_500]
        let cursor = ListCursor(
            .session(created_ms: place.createdAt.milliseconds, id: place.sessionID), shown: 1_501, total: 7)
        var page: SessionListResponse?
        let plans = try fixture.plans {
            page = try fixture.queries.sessionList(SessionFilter(), limit: 10, from: .after(cursor))
        }
        #expect(page?.sessions == Array(all[1_501..<1_511]))
        #expect(page?.pagination.total == 7 && page?.pagination.offset == 1_501)
        #expect(plans.map(\.documents).reduce(0, +) < 60)
    }

    @Test("lists go on without an index that was dropped")
    func dropped() throws {
        let fixture = try ListFixture("dropped", sessions: 20)
        try fixture.pool.withClient { (client) throws(MongoFailure) in
            for name in [fixture.collections.sessions, fixture.collections.folds] {
                let request = BSONDocument { builder in
                    builder.append("dropIndexes", name.collection)
                    builder.append("index", "*")
                }
                _ = try client.command(request, operation: "drop indexes", on: name)
            }
        }
        for filter in filters.prefix(10) + heldFilters {
            let page = try fixture.queries.sessionList(filter, limit: 100, from: .offset(0))
            #expect(page.sessions == fixture.matching(filter))
        }
    }
}

@Suite("Lists of chunks", .timeLimit(.minutes(10)))
struct ChunkListTests {
    @Test("chunks come page by page, by index, by cursor and by offset")
    func pages() throws {
        let server = try TestMongo.shared
        let database = server.freshDatabaseName("chunklists")
        let pool = try MongoPool(MongoSettings(url: server.url))
        let models = MongoReadModels(pool, RecordingViews.all, database: database)
        let projection = models.projection(epoch: "one")
        _ = try projection.checkpoints()
        var histories = Histories(seed: 77)
        let log = histories.log(sessions: 3, chunks: 25...25)
        try projection.apply(log)
        let expected = try Expected(log).chunks.values.filter { $0.sessionID == "sess-2" }
            .sorted { $0.sequenceNumber < $1.sequenceNumber }
        var timed = ChunkFilter()
        timed.from = expected[3].timestamp
        timed.to = expected[20].timestamp
        var stored = ChunkFilter()
        stored.status = .stored
        for filter in [ChunkFilter(), timed, stored] {
            let matching = expected.filter { chunk in
                filter.status.map { $0 == chunk.status } ?? true
                    && filter.from.map { chunk.timestamp >= $0 } ?? true
                    && filter.to.map { chunk.timestamp <= $0 } ?? true
            }
            for limit in [1, 4, 25, 1000] {
                var start = ListStart.offset(0)
                var seen: [ChunkView] = []
                while true {
                    let page = try models.queries.chunkList(
                        ofSession: "sess-2", filter, limit: limit, from: start)
                    #expect(page.pagination.total == matching.count)
                    let counted = try models.queries.chunkList(
                        ofSession: "sess-2", filter, limit: limit, from: .offset(seen.count))
                    #expect(counted == page)
                    seen += page.chunks
                    guard let text = page.pagination.nextCursor else { break }
                    start = .after(
                        try #require(ListCursor(text, of: filter.listName(ofSession: "sess-2"))))
                    try #require(seen.count <= matching.count)
                }
                #expect(seen == matching)
            }
        }
        #expect(try models.queries.chunkCount(ofSession: "absent", ChunkFilter()) == 0)
    }
}
