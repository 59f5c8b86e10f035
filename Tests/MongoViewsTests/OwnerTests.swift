import EventSourcing
import Recording
@testable import RecordingMongo
import TestServers
import Testing

@testable import MongoViews

/// What later owners of partitions leave to earlier ones: nothing.
@Suite("Owners of a projection", .timeLimit(.minutes(10)))
struct OwnerTests {
    private let pool: MongoPool
    private let models: MongoReadModels
    private let log: [RecordedEvent]
    private let partitions: Int

    init() throws {
        let server = try TestMongo.shared
        pool = try MongoPool(MongoSettings(url: server.url))
        models = MongoReadModels(pool, RecordingViews.all, database: server.freshDatabaseName("owners"))
        var histories = Histories(seed: 21)
        log = histories.log(sessions: 8)
        partitions = histories.partitioning.count
    }

    private func fences(_ generation: UInt64, of owner: String, _ partitions: Range<Int>? = nil) -> [Fence] {
        (partitions ?? 0..<self.partitions).map {
            Fence(subscription: "projector", partition: $0, owner: owner, generation: generation)
        }
    }

    private func owner(_ generation: UInt64, _ name: String, held: Int = 0) throws -> (
        MongoProjection, [Int: LogPosition]
    ) {
        var limits = MongoProjection.Limits()
        limits.catchUpBatch = 10
        limits.eventsHeld = held
        let projection = models.projection(epoch: "one", limits: limits)
        projection.own(fences(generation, of: name))
        return (projection, try projection.checkpoints())
    }

    private func ends(_ events: [RecordedEvent]) -> [Int: LogPosition] {
        Dictionary(events.map { ($0.position.partition, $0.position) }, uniquingKeysWith: max)
    }

    private func expectModels() throws {
        let expected = try Expected(log)
        for (id, session) in expected.sessions { #expect(try models.queries.session(id) == session) }
        #expect(try models.queries.sessionCount(SessionFilter()) == expected.sessions.count)
    }

    @Test("a later owner goes on exactly where the one before saved")
    func handOver() throws {
        let (first, begin) = try owner(1, "a/0", held: 1000)
        #expect(begin == [:])
        try first.apply(Array(log[..<50]))
        // What was held back is written before the partitions are given away.
        try first.apply([])
        let (second, saved) = try owner(2, "b/0")
        #expect(saved == ends(Array(log[..<50])))
        try second.apply(Array(log[50...]))
        #expect(try owner(3, "c/0").1 == ends(log))
        try expectModels()
    }

    @Test("an owner that wakes up late moves no checkpoint, even before the next one has saved any")
    func late() throws {
        let (late, _) = try owner(1, "a/0")
        try late.apply(Array(log[..<20]))
        let (next, saved) = try owner(2, "b/0")
        let failure = #expect(throws: ProjectionFailure.self) { try late.apply(Array(log[20..<60])) }
        let refused = Set(log[20..<60].map(\.position.partition)).intersection(saved.keys)
        guard case .fenced("projector", let partitions) = failure else {
            Issue.record("\(String(describing: failure))")
            return
        }
        #expect(refused.isSubset(of: partitions))
        #expect(failure?.isFenced == true)
        #expect(failure?.isTransient == true)
        #expect(failure?.position == nil)
        let now = try owner(2, "b/0").1
        for (partition, position) in saved { #expect(now[partition] == position) }
        // It is told so as well when it asks where to go on.
        #expect(throws: ProjectionFailure.self) { try late.checkpoints() }
        try next.apply(Array(log[20...]))
        try expectModels()
        #expect(try owner(2, "b/0").1 == ends(log))
    }

    @Test("owners of different partitions don't hinder each other")
    func apart() throws {
        let (low, high) = (models.projection(epoch: "one"), models.projection(epoch: "one"))
        let middle = partitions / 2
        low.own(fences(5, of: "a/0", 0..<middle))
        high.own(fences(2, of: "b/0", middle..<partitions))
        _ = try low.checkpoints()
        _ = try high.checkpoints()
        try low.apply(log.filter { $0.position.partition < middle })
        try high.apply(log.filter { $0.position.partition >= middle })
        _ = try low.checkpoints()
        #expect(try high.checkpoints() == ends(log))
        try expectModels()
    }

    @Test("checkpoints that were saved before there were owners are taken over")
    func unfenced() throws {
        let projection = models.projection(epoch: "one")
        _ = try projection.checkpoints()
        try projection.apply(Array(log[..<30]))
        let (owner, saved) = try owner(1, "a/0")
        #expect(saved == ends(Array(log[..<30])))
        try owner.apply(Array(log[30...]))
        try expectModels()
    }
}
