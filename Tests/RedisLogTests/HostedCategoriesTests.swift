import Base
import EventSourcing
import RedisLog
import Simulation
import Testing

@testable import RedisLog

@Suite("What the processes of a log host")
struct HostedCategoriesTests {
    private let log: RedisEventLog
    private let now = Timestamp(milliseconds: 1_700_000_000_000)
    private let lamps = Category("lamp")

    init() throws { log = try freshLog(partitions: 1) }

    @Test("who hosts more than others says so once; who hosts as much or more is let in")
    func more() throws {
        let hosted = log.hostedCategories
        #expect(try hosted.add([.bare], at: now) == [.bare])
        #expect(try hosted.add([.bare], at: now) == [])
        #expect(try hosted.add([.bare, lamps], at: now) == [lamps])
        #expect(try hosted.add([.bare, lamps], at: now) == [])
        #expect(try rawClient(log).raw("HGET", LogKeys.meta, "category:lamp").text == now.rfc3339)
    }

    @Test("who lacks what others host is refused, is told what, and changes nothing")
    func less() throws {
        let hosted = log.hostedCategories
        _ = try hosted.add([.bare, lamps], at: now)
        let before = try rawClient(log).raw("HGETALL", LogKeys.meta).elements.compactMap(\.text)
        for (own, lacking) in [
            ([.bare], "lamp"), ([lamps], "no category"), ([.bare, Category("door")], "lamp"),
        ]
            as [([EventSourcing.Category], String)]
        {
            let failure = #expect(throws: LogFailure.self) { try hosted.add(own, at: now) }
            #expect(failure?.kind == .unsuitable)
            #expect(failure?.text.contains(lacking) ?? false)
            #expect(throws: LogFailure.self) { try hosted.require(own) }
        }
        #expect(try rawClient(log).raw("HGETALL", LogKeys.meta).elements.compactMap(\.text) == before)
        // As the error advises.
        _ = try rawClient(log).raw("HDEL", LogKeys.meta, "category:lamp")
        #expect(try hosted.require([.bare]) == [])
    }

    @Test("a log of an earlier build, which says nothing, takes everybody")
    func earlier() throws {
        #expect(try log.hostedCategories.require([.bare]) == [.bare])
        #expect(try log.hostedCategories.require([]) == [])
    }
}
