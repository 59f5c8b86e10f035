import Engine
import EventSourcing
import ReadModels
import Recording
import RedisLog
import Simulation
import TestServers
import Testing

@testable import MongoViews

@Suite("Questions to documents", .timeLimit(.minutes(5)))
struct DocumentQueriesTests {
    @Test("in MongoDB", arguments: DocumentQueriesContract.cases)
    func mongo(_ contract: DocumentQueriesCase) throws {
        let server = try TestMongo.shared
        try contract.check { views, documents in
            let database = server.freshDatabaseName("documents")
            let models = MongoReadModels(
                try MongoPool(MongoSettings(url: server.url)), views, database: database)
            _ = try models.projection(epoch: "one").checkpoints()
            try models.pool.withClient { (client) throws(MongoFailure) in
                for (name, documents) in documents where !documents.isEmpty {
                    _ = try client.bulkWrite(documents.map { .insert($0) }, to: models.collections[name])
                }
            }
            return models.documents
        }
    }

    @Test("in memory", arguments: DocumentQueriesContract.cases)
    func memory(_ contract: DocumentQueriesCase) throws {
        try contract.check { InMemoryDocuments($0, $1) }
    }
}

@Suite("A view that is added", .timeLimit(.minutes(5)))
struct AddedViewTests {
    @Test("is empty for nobody: it is built from the log, and then has its index and all documents")
    func added() throws {
        let fixture = try ReplayFixture()
        let events = fixture.history(seed: 51, sessions: 5)
        try fixture.append(events)
        // Before: a program without the views of today.
        let name = fixture.collections.database
        let before = MongoReadModels(fixture.pool, ViewSet([]), database: name)
        let projection = before.projection(epoch: fixture.log.epoch, log: fixture.store)
        _ = try projection.checkpoints()
        try projection.apply(try fixture.events())
        try projection.apply([])
        // Today's finds collections that it does not know to be whole.
        let failure = #expect(throws: ProjectionFailure.self) { try fixture.projection().checkpoints() }
        #expect(failure?.description.contains("is new; it is built from the log") == true)
        #expect(failure?.isTransient == true)
        #expect(try fixture.models.shortcoming(epoch: fixture.log.epoch) != nil)
        #expect(try fixture.replay().isSwapped)
        #expect(try fixture.models.shortcoming(epoch: fixture.log.epoch) == nil)
        try fixture.expectShown()
    }

    /// A program that shows less than today's.
    private func earlier(_ fixture: ReplayFixture) -> MongoReadModels {
        let less = RecordingViews.all.categories.filter { $0.category == .bare }
        return MongoReadModels(fixture.pool, ViewSet(less), database: fixture.collections.database)
    }

    @Test("is nothing that a program without it has to build, again and again")
    func rolledBack() throws {
        let fixture = try ReplayFixture()
        let earlier = earlier(fixture)
        _ = try earlier.projection(epoch: fixture.log.epoch, log: fixture.store).checkpoints()
        #expect(throws: ProjectionFailure.self) { try fixture.projection().checkpoints() }
        #expect(try fixture.models.shortcoming(epoch: fixture.log.epoch) != nil)
        #expect(try earlier.shortcoming(epoch: fixture.log.epoch) == nil)
    }

    @Test("and that was given up for a while is short, and is built again")
    func takenUpAgain() throws {
        let fixture = try ReplayFixture()
        _ = try fixture.projection().checkpoints()
        #expect(try fixture.models.shortcoming(epoch: fixture.log.epoch) == nil)
        // What comes now is passed over for it.
        _ = try earlier(fixture).projection(epoch: fixture.log.epoch, log: fixture.store).checkpoints()
        let failure = #expect(throws: ProjectionFailure.self) { try fixture.projection().checkpoints() }
        #expect(failure?.description.contains("is new; it is built from the log") == true)
        #expect(try fixture.replay().isSwapped)
        #expect(try fixture.models.shortcoming(epoch: fixture.log.epoch) == nil)
        _ = try fixture.projection().checkpoints()
    }
}
