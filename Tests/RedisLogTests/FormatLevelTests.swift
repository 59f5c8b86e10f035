import EventSourcing
import RedisLog
import Simulation
import Testing

@testable import RedisLog

@Suite("The log's format level")
struct FormatLevelTests {
    private let log: RedisEventLog
    private let client: RedisClient

    /// A log of a build that knows of no levels.
    init() throws {
        let fresh = try freshLog(partitions: 1)
        client = rawClient(fresh)
        try client.raw("HDEL", LogKeys.meta, "level")
        log = try Self.open(fresh)
    }

    private static func open(_ log: RedisEventLog) throws(LogFailure) -> RedisEventLog {
        let address = log.address.first
        return try RedisEventLog.open(
            "redis://127.0.0.1:\(address.port)/\(address.database)", createWith: nil)
    }

    @Test("a new log is at the newest level at once")
    func new() throws {
        #expect(try freshLog(partitions: 1).level == .newest)
    }

    @Test("a log of an earlier build is at the first level, and rises when nobody is left who reads less")
    func rises() throws {
        #expect(log.level == .first)
        let store = try log.open()
        #expect(store.level == .first)
        #expect(try log.formatLevel().raise().isEmpty)
        #expect((log.level, store.level) == (.newest, .newest))
        #expect(try Self.open(log).level == .newest)
        #expect(try client.raw("EXISTS", "reel:level:pending").integer == 0)
    }

    @Test(
        "a live process of an earlier build holds the level back and is named; its end lets the log rise",
        arguments: ["worker/01JD3XQ4N8V7Z2M5K9R6T0W1YA", "recorder/some-session"])
    func laggard(mark: String) throws {
        // What that build writes.
        try client.raw("SET", "reel:alive:\(mark)", "1", "PX", "600000")
        try log.liveness().beat("worker/ours", forMilliseconds: 600_000)
        let found = try log.formatLevel().raise()
        #expect(found.map(\.mark) == [mark])
        #expect(found.map(\.level) == [.first])
        #expect(log.level == .first)
        #expect(try client.raw("HEXISTS", LogKeys.meta, "level").integer == 0)
        try client.raw("DEL", "reel:alive:\(mark)")
        #expect(try log.formatLevel().raise().isEmpty)
        #expect(log.level == .newest)
    }

    @Test("the mark of a session that rests for days is no process")
    func resting() throws {
        try client.raw("SET", "reel:alive:recorder/resting", "1", "PX", "2592000000")
        #expect(try log.formatLevel().raise().isEmpty)
        #expect(log.level == .newest)
    }

    @Test("a beat brings the level that others have raised")
    func beats() throws {
        let liveness = try log.liveness()
        try liveness.beat("worker/x", forMilliseconds: 60_000)
        #expect(log.level == .first)
        #expect(try Self.open(log).formatLevel().raise().isEmpty)
        try liveness.beat("worker/x", forMilliseconds: 60_000)
        #expect(log.level == .newest)
    }

    @Test("a level never goes back, whoever was slow to raise it")
    func neverBack() throws {
        try client.raw("HSET", LogKeys.meta, "level", "2")
        #expect(try client.raw("FCALL", "reel_raise", "1", LogKeys.meta, "1").integer == 2)
        #expect(try client.raw("HGET", LogKeys.meta, "level").text == "2")
    }

    @Test("a log beyond what this build reads is refused, at the start and while it runs")
    func beyond() throws {
        let liveness = try log.liveness()
        try liveness.beat("worker/x", forMilliseconds: 60_000)
        try client.raw("HSET", LogKeys.meta, "level", "99")
        for attempt in [
            { _ = try Self.open(self.log) }, { try liveness.beat("worker/x", forMilliseconds: 60_000) },
            { _ = try self.log.formatLevel().isAdmitted() },
        ] {
            let failure = #expect(throws: LogFailure.self) { try attempt() }
            #expect(failure?.kind == .unsuitable)
            #expect(failure?.text.contains("99") == true, "\(failure?.text ?? "no failure")")
        }
    }

    @Test("a process that begins waits while others raise the level beyond what it reads")
    func pending() throws {
        #expect(try log.formatLevel().isAdmitted())
        try client.raw("SET", "reel:level:pending", "99", "PX", "60000")
        #expect(try log.formatLevel().isAdmitted() == false)
        try client.raw("SET", "reel:level:pending", "2", "PX", "60000")
        #expect(try log.formatLevel().isAdmitted())
    }

    @Test("marks say level, host and process")
    func marks() throws {
        try log.liveness().beat("worker/x", forMilliseconds: 60_000)
        let mark = try client.raw("GET", "reel:alive:worker/x").text ?? ""
        #expect(mark.hasPrefix("2 ") && mark.contains(":"), "\(mark)")
    }
}
