import EventSourcing
import Glibc
import Recording
@testable import RecordingMongo
import Supervision
import Synchronization
import TestServers
import Testing

@testable import MongoViews
import ReadModels

@Suite("Killed mongod", .timeLimit(.minutes(10)))
struct CrashTests {
    /// Projects in one thread while the other kills the server; after each failure it starts again from
    /// the checkpoints, as the projector does.
    @Test("kills in the middle of bulk writes lose nothing and count nothing twice", arguments: [0, 1_000])
    func killed(_ held: Int) throws {
        let server = try TestMongo.start()
        var histories = Histories(seed: 11)
        let log = histories.log(sessions: 150, chunks: 4...10)
        var settings = MongoSettings(url: server.url)
        settings.serverSelectionTimeout_ms = 500
        settings.connectTimeout_ms = 500
        let pool = try MongoPool(settings)
        let models = MongoReadModels(pool, RecordingViews.all)
        let batches = Atomic<Int>(0)
        let isDone = Atomic<Bool>(false)

        let killer = try OwnThread<Int>(name: "killer") {
            var kills = 0
            // After every few batches, at whatever the projection is doing then.
            for mark in [2, 6, 11] {
                while batches.load(ordering: .acquiring) < mark, !isDone.load(ordering: .acquiring) {
                    sched_yield()
                }
                if isDone.load(ordering: .acquiring) { break }
                server.kill()
                kills += 1
                try server.restart()
            }
            return kills
        }
        var limits = MongoProjection.Limits()
        limits.catchUpBatch = 400
        limits.eventsHeld = held
        let projection = models.projection(
            epoch: "one", log: HistoryStore(log, histories.partitioning), limits: limits)
        var failures = 0
        while true {
            do {
                let checkpoints = try projection.checkpoints()
                let rest = log.filter { event in
                    checkpoints[event.position.partition].map { event.position > $0 } ?? true
                }
                for start in stride(from: 0, to: rest.count, by: 400) {
                    batches.wrappingAdd(1, ordering: .releasing)
                    try projection.apply(Array(rest[start..<min(rest.count, start + 400)]))
                }
                try projection.apply([])
                break
            } catch let failure as ProjectionFailure {
                failures += 1
                try #require(failure.isTransient && failures < 200, "\(failure)")
            }
        }
        isDone.store(true, ordering: .releasing)
        #expect(try killer.join() > 0)
        #expect(failures > 0)
        let expected = try Expected(log)
        let queries = models.queries
        #expect(try queries.keptTotals() == expected.totals)
        #expect(try queries.sessionCount(SessionFilter()) == expected.sessions.count)
        for (id, session) in expected.sessions {
            #expect(try queries.session(id) == session)
            #expect(try queries.pipeline(ofSession: id) == expected.pipelines[id])
            let chunks = try queries.chunks(ofSession: id, ChunkFilter(), Page(limit: 1000))
            #expect(
                chunks
                    == expected.chunks.values.filter { $0.sessionID == id }.sorted {
                        $0.sequenceNumber < $1.sequenceNumber
                    })
        }
    }
}
