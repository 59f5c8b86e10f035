import Base
import EventSourcing
import Recording
@testable import RecordingMongo
import Simulation
import TestServers
import Testing

@testable import MongoViews

@Suite("Finding what was kept for long enough", .timeLimit(.minutes(10)))
struct RetentionQueryTests {
    @Test("what is due is found page by page, by an index, in order")
    func due() throws {
        let server = try TestMongo.shared
        let models = MongoReadModels(
            try MongoPool(MongoSettings(url: server.url)), RecordingViews.all,
            database: server.freshDatabaseName("due"))
        var histories = Histories(seed: 91)
        var log = histories.log(sessions: 25)
        let kept = try #require(try Expected(log).sessions.keys.sorted().first)
        let last = try #require(log.last { $0.partitionKey == kept })
        let hold = SessionEvent.HoldChange(sessionID: kept, caseName: "A", reason: "r")
        var position = try #require(log.last { $0.position.partition == last.position.partition }).position
        position.counter += 1
        log.append(
            RecordedEvent(
                event: ProposedEvent(
                    sample: RecordingEvent.session(.legalHoldSet(hold)), id: "hold", time: last.time,
                    context: EventContext(source: "/test", actor: .system("test"))),
                partitionKey: kept, sequence: last.sequence + 1, position: position))
        let projection = models.projection(epoch: "one")
        _ = try projection.checkpoints()
        try projection.apply(log)
        let sessions = try Expected(log).sessions.values
        let ends = sessions.filter { $0.sessionID != kept }.compactMap { session in
            Retention.end(of: session).map { (session.sessionID, $0) }
        }.sorted { ($0.1, $0.0) < ($1.1, $1.0) }
        #expect(ends.count == 24)
        // In the middle: those before that moment, not the one of that moment.
        let now = ends[20].1
        let expected = ends.filter { $0.1 < now }.map(\.0)
        for limit in [1, 3, 100] {
            var found: [String] = []
            var place: (keptUntil: Timestamp, sessionID: String)?
            while true {
                let page = try models.expired(before: now, behind: place, limit: limit)
                found += page.map(\.sessionID)
                guard page.count == limit, let end = page.last else { break }
                place = (end.keptUntil, end.sessionID)
            }
            #expect(found == expected)
        }
    }
}
