import Base
import EventSourcing
import Recording
@testable import RecordingMongo
import Simulation
import TestServers
import Testing

@testable import MongoViews

/// The log has lost events that the read models have seen.
@Suite("Read models ahead of their log", .timeLimit(.minutes(10)))
struct LostSessionTests {
    @Test("sessions are removed, and come back as the log has them; others stay as they are")
    func startOver() throws {
        let server = try TestMongo.shared
        let pool = try MongoPool(MongoSettings(url: server.url))
        let models = MongoReadModels(pool, RecordingViews.all, database: server.freshDatabaseName("lost"))
        var histories = Histories(seed: 5)
        let log = histories.log(sessions: 8)
        let projector = models.projection(epoch: "one")
        _ = try projector.checkpoints()
        try projector.apply(log)
        let partition = try #require(log.last).position.partition
        let shown = try models.histories(ofPartition: partition)
        let newest = Dictionary(grouping: log, by: \.partitionKey).compactMapValues(\.last)
            .filter { $0.value.position.partition == partition }
        #expect(Set(shown.map(\.partitionKey)) == Set(newest.keys))
        for session in shown {
            #expect(session.version == newest[session.partitionKey]?.sequence)
            #expect(session.position == newest[session.partitionKey]?.position)
        }
        // The last events of that partition are lost, and with them the whole of one session.
        let (cut, gone) = (
            try #require(log.last).partitionKey, shown.first { $0.partitionKey != log.last?.partitionKey }
        )
        let kept = log.filter { event in
            if event.partitionKey == gone?.partitionKey { return false }
            return event.partitionKey != cut || event.sequence < newest[cut]?.sequence ?? 0
        }
        let end = try #require(kept.last { $0.position.partition == partition }).position
        try models.startOver(
            partition: partition, upTo: end, without: [cut] + [gone?.partitionKey].compactMap { $0 })
        #expect(try models.queries.keptTotals() == nil)
        for id in [cut, gone?.partitionKey].compactMap({ $0 }) {
            #expect(try models.queries.session(id) == nil)
        }
        // Whoever was at it forgets what it knew.
        #expect(throws: ProjectionFailure.self) { try projector.apply([try #require(log.last)]) }
        let from = try projector.checkpoints()
        #expect(from[partition] == .start(of: partition))
        #expect(from.count > 1)
        try projector.apply(kept.filter { $0.position.partition == partition })
        let expected = try Expected(kept)
        for (id, session) in expected.sessions { #expect(try models.queries.session(id) == session) }
        #expect(try models.queries.sessionCount(SessionFilter()) == expected.sessions.count)
        #expect(try models.queries.keptTotals() == expected.totals)
    }

    @Test("records of who did what are listed by place, and those that are lost are removed")
    func audit() throws {
        let server = try TestMongo.shared
        let models = MongoReadModels(
            try MongoPool(MongoSettings(url: server.url)), RecordingViews.all,
            database: server.freshDatabaseName("lostaudit"))
        let projector = models.projection(epoch: "one")
        _ = try projector.checkpoints()
        let records = (1...12).map { number in
            let record = AuditRecord(
                .sessionRead, on: AuditResource(.session, id: "s"), session: "s", outcome: .allowed,
                actor: AuditActor(type: .user, subject: "ann"))
            return RecordedEvent(
                event: ProposedEvent(
                    sample: record, id: "r-\(number)", time: Timestamp(milliseconds: 1_700_000_000_000),
                    context: EventContext(source: "/test", actor: .system("test"))),
                partitionKey: "audit/w/1", sequence: UInt64(number),
                position: LogPosition(
                    partition: number % 2, milliseconds: 1_700_000_000_000, counter: UInt64(number)))
        }
        try projector.apply(records)
        let shown = try models.records(ofPartition: 1, in: RecordingViews.audit)
        #expect(shown.map(\.key) == [1, 3, 5, 7, 9, 11].map { "r-\($0)" })
        try models.remove(["r-3", "r-11", "r-99"], from: RecordingViews.audit)
        let left = try models.records(ofPartition: 1, in: RecordingViews.audit)
        #expect(left.map(\.key) == ["r-1", "r-5", "r-7", "r-9"])
        #expect(try models.records(ofPartition: 0, in: RecordingViews.audit).count == 6)
    }
}
