import Base
import EventSourcing
import Pipeline
import Recording
@testable import RecordingMongo
import RedisLog
import TestServers
import Testing

@testable import MongoViews
import ReadModels
import Engine
import Access

/// Documents of other people's, and ours that somebody has changed, are left out and named; all others are
/// shown, and what belongs there is written over them.
@Suite("Foreign documents", .timeLimit(.minutes(10)))
struct ForeignDocumentTests {
    private let fixture: ReplayFixture

    init() throws { fixture = try ReplayFixture(partitions: 2) }

    private var shown: Collections { fixture.collections }
    private var queries: MongoQueries { fixture.models.queries }

    private func record(_ seed: UInt64 = 51, sessions: Int = 5) throws {
        try fixture.append(fixture.history(seed: seed, sessions: sessions))
        try fixture.project()
    }

    private func insert(_ name: MongoNamespace, _ build: (inout BSONBuilder) -> Void) throws {
        try fixture.write(.insert(BSONDocument(build)), to: name)
    }

    private func set(
        _ name: MongoNamespace, _ key: String, _ id: String, _ build: (inout BSONBuilder) -> Void
    ) throws {
        let update = BSONDocument { builder in builder.append("$set", build) }
        try fixture.write(
            .update(filter: BSONDocument { $0.append(key, id) }, with: update, upsert: false), to: name)
    }

    /// Documents that nothing of Reel's could have written, in every place that lists read.
    private func spoil() throws {
        for name in shown.documents {
            try insert(name) { $0.append("note", "no key at all") }
            for number in [1, 2] {
                try insert(name) { builder in
                    builder.append(CollectionDeclaration.key(of: name), int32: Int32(number))
                    builder.append("created_at", "yesterday")
                    builder.append("time", true)
                }
            }
            try insert(name) { builder in
                builder.append(CollectionDeclaration.key(of: name), "stranger")
                builder.append("session_id", "stranger-\(name.collection)")
                builder.append("created_at", date_ms: 1_700_000_000_500)
                builder.append("time", date_ms: 1_900_000_000_000)
                builder.append("sequence_number", int64: Int64(1))
                builder.append("status", "completed")
                builder.append("pipeline_status", "paused")
                builder.append("kept_until", date_ms: 1)
                builder.append("version", "seven")
                builder.append("session") { builder in
                    builder.append("created_at", date_ms: 1_700_000_000_500)
                    builder.append("session_id", "stranger")
                    builder.append("status", "completed")
                    builder.append("metadata") { $0.append("owner", "ann") }
                }
                builder.append("tally") { builder in
                    builder.append("size_bytes", double: 1e300)
                    builder.append("chunk_count", "many")
                }
            }
        }
        try set(shown.sessions, "session_id", "sess-1") { $0.append("statistics", "none") }
        try set(shown.sessions, "session_id", "sess-2") { $0.append("name", array: ["a"]) }
        try set(shown.folds, "session_id", "sess-3") { $0.append("tally", int32: 1) }
        let chunk = try #require(try Expected(fixture.events()).chunks.keys.min())
        try set(shown.chunks, "chunk_id", chunk) { $0.append("size_bytes", double: 7.5) }
    }

    private func listed(_ filter: SessionFilter, limit: Int) throws -> [String] {
        var ids: [String] = []
        var start = ListStart.offset(0)
        for _ in 0..<100 {
            let page = try queries.sessionList(filter, limit: limit, from: start)
            ids += page.sessions.map(\.sessionID)
            guard page.pagination.hasNext else { return ids }
            if limit == 2, let next = page.pagination.nextCursor {
                start = .after(try #require(ListCursor(next, of: filter.listName)))
            } else {
                start = .offset(start.offset + limit)
            }
        }
        throw LogFixtureFailure(outcome: .conflict(actual: 0))
    }

    @Test("lists show all others, page by page")
    func lists() throws {
        try record()
        try spoil()
        for limit in [1, 2, 3, 50] {
            #expect(Set(try listed(SessionFilter(), limit: limit)) == ["sess-0", "sess-3", "sess-4"])
            #expect(try listed(SessionFilter(), limit: limit).count == 3, "limit \(limit)")
        }
        var filter = SessionFilter()
        filter.audience = Audience(owner: "ann", projects: ["atlas"])
        let own = try Expected(fixture.events()).sessions.values
            .filter { $0.metadata.project == "atlas" }.map(\.sessionID)
        for limit in [1, 2, 50] { #expect(Set(try listed(filter, limit: limit)) == Set(own)) }
        #expect(throws: Never.self) {
            _ = try queries.totals()
            _ = try queries.pausedPipelines(limit: 10)
            _ = try queries.records(AuditFilter(), after: nil, limit: 10)
            _ = try fixture.models.expired(before: SystemClock().now(), behind: nil, limit: 10)
            for partition in 0..<2 {
                _ = try fixture.models.histories(ofPartition: partition)
                _ = try fixture.models.records(ofPartition: partition, in: RecordingViews.audit)
            }
        }
        for session in ["sess-0", "sess-1", "sess-2", "sess-3", "sess-4", "stranger-chunks"] {
            let chunks = try queries.chunkList(
                ofSession: session, ChunkFilter(), limit: 2, from: .offset(0))
            #expect(chunks.chunks.allSatisfy { $0.sessionID == session })
        }
        let failure = #expect(throws: QueryFailure.self) { try queries.session("sess-1") }
        #expect(failure?.description.contains("statistics") == true)
        try queries.ping()
    }

    @Test("each is told of once, kept for others, and forgotten when it is gone or mended")
    func named() throws {
        try record()
        let told = Lock<[String]>([])
        func models() -> MongoReadModels {
            MongoReadModels(
                fixture.pool, RecordingViews.all, database: shown.database,
                foreign: ForeignDocuments { document in told.withLock { $0.append("\(document)") } })
        }
        let first = models()
        try first.reviewForeign(isKeeping: true)
        #expect(first.foreign.count == 0)
        try insert(shown.pipeline) { $0.append("session_id", int32: 7) }
        try set(shown.sessions, "session_id", "sess-1") { $0.append("statistics", "none") }
        for _ in 0..<3 {
            _ = try first.queries.sessionList(SessionFilter(), limit: 10, from: .offset(0))
            try first.reviewForeign(isKeeping: true)
        }
        #expect(first.foreign.count == 2)
        let lines = told.withLock { $0 }
        #expect(lines.count == 2)
        #expect(lines.contains { $0.hasPrefix("\(shown.sessions): ") && $0.contains("statistics") })
        #expect(lines.contains { $0.hasPrefix("\(shown.pipeline): ") && $0.contains("session_id") })
        // Another process has not met the one that only a list shows.
        let second = models()
        try second.reviewForeign(isKeeping: false)
        #expect(second.foreign.current.map(\.collection) == first.foreign.current.map(\.collection))
        #expect(try fixture.replay().isSwapped)
        for models in [first, second] {
            try models.reviewForeign(isKeeping: true)
            #expect(models.foreign.count == 0, "\(models.foreign.current)")
        }
        let third = models()
        try third.reviewForeign(isKeeping: false)
        #expect(third.foreign.count == 0)
    }

    @Test("a document that was asked for and does not read is an answer about it, not a server that is away")
    func asked() throws {
        try record()
        try set(shown.sessions, "session_id", "sess-1") { $0.append("statistics", "none") }
        let failure = #expect(throws: QueryFailure.self) { try queries.session("sess-1") }
        #expect(failure?.isOfRecord == true && failure?.isUnreachable == false)
        #expect(failure?.description.contains(shown.sessions.description) == true)
        #expect(try queries.session("sess-2") != nil)
    }

    @Test("folds that do not read are named before anybody asks for them")
    func folds() throws {
        try record()
        try fixture.models.reviewStates(atMost: 100)
        #expect(fixture.models.foreign.current.isEmpty)
        try set(shown.folds, "session_id", "sess-1") { $0.append("tally.stored_count", double: -1.5) }
        try set(shown.folds, "session_id", "sess-2") { $0.append("version", "seven") }
        try fixture.models.reviewStates(atMost: 100)
        let named = fixture.models.foreign.current.map(\.collection)
        #expect(named == [shown.folds.description, shown.folds.description])
    }

    @Test("what belongs in its place is written over a document that does not read")
    func overwritten() throws {
        let events = fixture.history(seed: 52, sessions: 6)
        let half = events.count / 2
        try fixture.append(Array(events[..<half]))
        try fixture.project()
        // Somebody was there first, and somebody has changed what was there.
        for name in [shown.sessions, shown.pipeline, shown.folds] {
            try set(name, "session_id", "sess-1") { $0.append("version", "seven") }
            try fixture.delete(name, "session_id", "sess-2")
            try insert(name) { builder in
                builder.append("session_id", "sess-2")
                builder.append("note", "mine")
            }
            try set(name, "session_id", "sess-3") { builder in
                builder.append("session", int32: 1)
                builder.append("tally", "x")
                builder.append("statistics", true)
                builder.append("chunks", "x")
            }
        }
        for (id, _) in try Expected(fixture.events()).chunks {
            try set(shown.chunks, "chunk_id", id) { builder in
                builder.append("version") { $0.append("a", "b") }
                builder.append("status", int32: 5)
            }
        }
        try fixture.append(Array(events[half...]))
        try fixture.project()
        // Sessions of which nothing more came keep what they had.
        let touched = Set(events[half...].map(\.partitionKey))
        let expected = try Expected(fixture.events())
        for id in touched.intersection(["sess-1", "sess-2", "sess-3"]) {
            #expect(try queries.session(id) == expected.sessions[id])
            #expect(try queries.pipeline(ofSession: id) == expected.pipelines[id])
        }
        #expect(!touched.isDisjoint(with: ["sess-1", "sess-2", "sess-3"]))
        #expect(try fixture.replay().isSwapped)
        try fixture.expectShown()
    }

    @Test("checkpoints, marker and sums that do not read are made again, and nothing is skipped")
    func checkpoints() throws {
        try record()
        let name = shown.checkpoints
        let changes: [(String, (inout BSONBuilder) -> Void)] = [
            ("projector/p000", { $0.append("position", int32: 3) }),
            ("projector/p001", { $0.append("totals", "many") }),
            ("projector/p000", { $0.append("generation", double: 1e300) }),
            ("projector/p001", { $0.append("generation", "first") }),
            ("projector/p000", { $0.append("totals") { $0.append("behind", true) } }),
            (Checkpoints.markerID, { $0.append("generation", int32: 1) }),
            (Checkpoints.markerID, { $0.append("swap", "soon") }),
            (Checkpoints.markerID, { builder in builder.append("swap") { $0.append("rebuild", true) } }),
            (Checkpoints.markerID, { $0.append("hold", int32: 1) }),
            (
                Checkpoints.markerID,
                { builder in
                    builder.append("hold") { $0.append("until", date_ms: 4_000_000_000_000) }
                }
            ),
            (Checkpoints.markerID, { $0.append("uuids", "none") }),
            (Checkpoints.markerID, { $0.append("lost", int32: 1) }),
            (Checkpoints.markerID, { $0.append("format", "old") }),
            (Checkpoints.markerID, { $0.append("instance", int32: 1) }),
            (Checkpoints.markerID, { $0.append("epoch", true) }),
            ("rebuild", { $0.append("run", int32: 1) }),
        ]
        try insert(name) { builder in
            builder.append("_id", "rebuild")
            builder.append("until", date_ms: 0)
        }
        for (number, (id, change)) in changes.enumerated() {
            try insert(name) { builder in
                builder.append("_id", "projector/p00\(number)x")
                builder.append("subscription", "projector")
                builder.append("generation", int64: Int64(5))
            }
            try set(name, "_id", id, change)
            try fixture.append(
                fixture.history(seed: UInt64(number), sessions: 1, prefix: "more-\(number)"))
            for _ in 0..<3 {
                do {
                    try fixture.project()
                    break
                } catch let failure as ProjectionFailure where failure.isTransient { continue }
            }
            try fixture.expectShown(counted: false)
            #expect(throws: Never.self, "\(number)") {
                _ = try fixture.models.shortcoming(epoch: fixture.log.epoch)
            }
        }
        #expect(throws: Never.self) { _ = try fixture.replay() }
        try fixture.expectShown(counted: false)
    }
}
