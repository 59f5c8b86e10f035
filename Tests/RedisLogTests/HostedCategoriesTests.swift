import Base
import EventSourcing
import RedisLog
import Simulation
import Testing

@testable import RedisLog

@Suite("What the processes of a log host")
struct HostedCategoriesTests {
    private let log: RedisEventLog
    private let lamps = Category("lamp")
    private let doors = Category("door")

    init() throws { log = try freshLog(partitions: 1) }

    private func fields() throws -> [String] {
        try rawClient(log).raw("HGETALL", LogKeys.meta).elements.compactMap(\.text)
    }

    @Test("who hosts more than others says so once; who hosts as much or more is let in")
    func more() throws {
        let hosted = log.hostedCategories()
        for own in [[.bare], [.bare], [.bare, lamps], [.bare, lamps], [.bare, doors, lamps]] {
            #expect(try hosted.add(own, isFresh: true) == 0)
        }
        #expect(
            try fields().filter { $0.hasPrefix("category:") }.sorted() == [
                "category:", "category:door", "category:lamp",
            ])
        #expect(try hosted.isHosted(lamps) && !hosted.isHosted(Category("desk")))
    }

    @Test("who lacks what others host is refused, is told what, and changes nothing")
    func less() throws {
        let hosted = log.hostedCategories()
        _ = try hosted.add([.bare, lamps], isFresh: true)
        let before = try fields()
        let cases: [([EventSourcing.Category], String)] = [
            ([.bare], "category 'lamp'"), ([lamps], "no category"), ([.bare, doors], "category 'lamp'"),
        ]
        for (own, lacking) in cases {
            let failure = #expect(throws: LogFailure.self) { try hosted.add(own) }
            #expect(failure?.kind == .unsuitable && failure?.text.contains(lacking) ?? false)
            #expect(try !hosted.lacking(own).isEmpty)
        }
        #expect(try fields() == before)
        // As the error advises.
        try rawClient(log).raw("HDEL", LogKeys.meta, "category:lamp")
        #expect(try hosted.lacking([.bare]).isEmpty)
    }

    @Test("whoever hosts what is new waits for others to end, whoever said it first")
    func settling() throws {
        #expect(try log.hostedCategories().add([.bare]) == 0)
        for _ in 0..<2 {
            let left = try log.hostedCategories().add([.bare, lamps])
            #expect((9_000...RedisHostedCategories.settlingMilliseconds).contains(left))
        }
        // Long ago, by the server's clock.
        try rawClient(log).raw("HSET", LogKeys.meta, "category:lamp", "2026-01-01T00:00:00.000Z")
        #expect(try log.hostedCategories().add([.bare, lamps]) == 0)
        // A time of a clock that is ahead makes nobody wait longer.
        try rawClient(log).raw("HSET", LogKeys.meta, "category:lamp", "2999-01-01T00:00:00.000Z")
        #expect(
            try log.hostedCategories().add([.bare, lamps]) == RedisHostedCategories.settlingMilliseconds)
    }

    @Test("a log of an earlier build, which says nothing, takes everybody")
    func earlier() throws {
        let hosted = log.hostedCategories()
        #expect(try hosted.lacking([]).isEmpty)
        // And so does one that has lost it.
        #expect(try hosted.unsaid([.bare, lamps]) == [.bare, lamps])
        _ = try hosted.add([.bare, lamps])
        #expect(try hosted.unsaid([.bare, lamps]).isEmpty)
    }
}
