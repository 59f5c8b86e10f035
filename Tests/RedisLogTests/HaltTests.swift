import EventSourcing
import RedisLog
import Simulation
import Testing

@testable import RedisLog

@Suite("Halted partitions")
struct HaltTests {
    private let log: RedisEventLog
    private let notices = Notices()
    private let positions: [LogPosition]

    init() throws {
        log = try freshLog(partitions: 2, options: notices.options())
        positions = try appendSamples(log, 0..<20)
    }

    /// Events of one partition.
    private func own(_ partition: Int) -> [LogPosition] { positions.filter { $0.partition == partition } }

    /// Takes an event away that this process knows of, and lets it notice.
    private func lose(_ position: LogPosition) throws {
        try rawClient(log).raw("XDEL", LogKeys.log(position.partition), position.entryID)
        let failure = #expect(throws: LogFailure.self) { try log.client("test").verify([position]) }
        #expect(failure?.kind == .lostHistory)
    }

    private func reopened() throws -> RedisEventLog {
        try RedisEventLog.open(
            "redis://127.0.0.1:\(log.address.first.port)/\(log.address.first.database)", createWith: nil)
    }

    @Test("a process that runs hears of halts and liftings; what was open before begins anew")
    func running() throws {
        let other = try reopened()
        let subscription = try member(other, "one")
        let feed = try other.follow(after: [.start(of: 0), .start(of: 1)])
        let delivered = try take(20, from: subscription)
        try subscription.acknowledge(delivered.map(\.event.position))
        var followed = 0
        while followed < 20 { followed += try feed.next(limit: 50, waitMilliseconds: 100).count }
        try lose(own(1)[4])
        // Somebody else noticed; the next look brings it here.
        let key = try #require((0..<50).map { "key-\($0)" }.first { log.partitioning.partition(of: $0) == 1 })
        try other.halts().refresh()
        let refused = #expect(throws: LogFailure.self) {
            try other.open().append([SampleEvents.event("no")], to: key, expecting: .any)
        }
        #expect(refused?.kind == .lostHistory)
        #expect(try subscription.next(limit: 5, waitMilliseconds: 0).isEmpty)
        #expect(try feed.next(limit: 5, waitMilliseconds: 0).isEmpty)

        let lifted = try log.halts().lift(1, by: "anna", because: "the backup is older")
        #expect(lifted?.by == "anna")
        #expect(lifted?.reason == "the backup is older")
        #expect(lifted?.halt.contains("\(own(1)[4])") == true)
        #expect(try log.halts().lifted() == [try #require(lifted)])
        #expect(try log.halts().list().isEmpty)
        #expect(try other.open().version(of: key) > 0)
        for process in [log, other] {
            try process.halts().refresh()
            try process.halts().refresh()
        }
        #expect(notices.list.contains(.partitionLifted(1, "anna: the backup is older")))
        // They may hold what was lost; whoever asks anew gets what is there.
        for call in [
            { _ = try feed.next(limit: 5, waitMilliseconds: 0) },
            { _ = try subscription.next(limit: 5, waitMilliseconds: 0) },
        ] {
            #expect(#expect(throws: LogFailure.self, performing: call)?.kind == .lostHistory)
        }
        _ = try other.open().append([SampleEvents.event("yes")], to: key, expecting: .any)
        #expect(try take(1, from: try member(other, "one")).map(\.event.id) == ["yes"])
        // Nobody takes what was known before for lost once more.
        for process in [log, other] { _ = try process.client("test").command("look", "", ["PING"]) }
        #expect(try log.halts().list().isEmpty)
    }

    @Test("a halt after a lifting stands, and is lifted by another one")
    func again() throws {
        try lose(own(0)[2])
        #expect(try log.halts().lift(0, by: "anna", because: "first") != nil)
        try log.halts().refresh()
        try lose(own(0)[3])
        try log.halts().refresh()
        #expect(try log.halts().list().map(\.partition) == [0])
        #expect(try reopened().halts().list().map(\.partition) == [0])
        #expect(log.history.halted == [0])
        #expect(try log.halts().lift(0, by: "anna", because: "second") != nil)
        try log.halts().refresh()
        #expect(log.history.halted == [])
        #expect(try log.halts().lifted().map(\.reason) == ["second"])
    }

    @Test("a mark that is lost itself, as in a failover, is set again and is no lifting")
    func unmarked() throws {
        try lose(own(0)[2])
        try rawClient(log).raw("DEL", LogKeys.halted)
        try log.halts().refresh()
        #expect(log.history.halted == [0])
        #expect(try log.halts().list().map(\.partition) == [0])
    }

    @Test("lifting forgets checkpoints beside the log that are ahead of it, and no others")
    func checkpoints() throws {
        let checkpoints = try log.checkpoints()
        try checkpoints.save("ahead", [own(0)[3], own(1)[3]], under: [])
        try checkpoints.save("behind", [own(0)[1]], under: [])
        try lose(own(0)[3])
        #expect(try log.halts().lift(0, by: "anna", because: "test") != nil)
        #expect(try checkpoints.load("ahead") == [1: own(1)[3]])
        #expect(try checkpoints.load("behind") == [0: own(0)[1]])
    }

    @Test("nothing is archived of a halted partition, and nothing is taken over there")
    func quiet() throws {
        var options = notices.options()
        options.archive = InMemorySegmentStore()
        let log = try freshLog(partitions: 2, options: options)
        let positions = try appendSamples(log, 0..<20)
        let dead = try member(log, "dead")
        _ = try take(20, from: dead)
        let lost = try #require(positions.last { $0.partition == 0 })
        try rawClient(log).raw("XDEL", LogKeys.log(0), lost.entryID)
        #expect(throws: LogFailure.self) { try log.client("test").verify([lost]) }
        let archiver = try log.archiver(ArchivePolicy())
        let failure = #expect(throws: LogFailure.self) { try archiver.run(partition: 0, all: true) }
        #expect(failure?.kind == .lostHistory)
        // The dead member's entries come to the next one, but for those of the halted partition.
        let others = positions.count { $0.partition == 1 }
        let heir = try member(log, "heir")
        let taken = try take(others, from: heir)
        #expect(taken.allSatisfy { $0.event.position.partition == 1 })
        try heir.acknowledge(taken.map(\.event.position))
        for _ in 0..<3 { #expect(try heir.next(limit: 5, waitMilliseconds: 300).isEmpty) }
    }
}
