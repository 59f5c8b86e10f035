import Base
import EventSourcing
import Simulation
import Testing

@testable import RedisLog

/// Somebody who may write to the server writes numbers that no program would.
@Suite("Hostile numbers beside the log", .timeLimit(.minutes(5)))
struct HostileNumberTests {
    private static let hostile = [
        "9223372036854775807", "-9223372036854775808", "18446744073709551615", "-1", "1e308", "inf", "nan",
        "9007199254740993", "none",
    ]

    @Test("a count of tries that is none counts as often enough", arguments: hostile)
    func tries(_ text: String) throws {
        let log = try freshLog(partitions: 1)
        let position = try appendSamples(log, 0..<1, keys: 1)[0]
        let subscription = try member(log, "one")
        let delivery = try take(1, from: subscription)[0]
        #expect(try subscription.countTry(of: delivery) == 1)
        for group in ["work", "reader"] {
            try rawClient(log).raw("HSET", LogKeys.tries(0, group), position.entryID, text)
        }
        let counts = [
            try subscription.countTry(of: delivery),
            try log.orderedParking().countTry("reader", of: position),
        ]
        #expect(counts == [Int(Int32.max), Int(Int32.max)])
        try subscription.park(
            delivery, ParkedReason(stage: "work", errors: ["no"], attempts: .max, time: SystemClock().now()))
        #expect(try log.parkedEvents().list(group: "work").map(\.reason.attempts) == [Int(Int32.max)])
    }

    private static let payloads = [
        #"{"size_bytes":1e999}"#, #"{"size_bytes":\#(String(repeating: "9", count: 400))}"#, "{", "nonsense",
        #"","data":{}"#,
    ]

    @Test("an event that nobody can read the payload of is set aside like any other", arguments: payloads)
    func payload(_ text: String) throws {
        let log = try freshLog(partitions: 1)
        let position = try appendSamples(log, 0..<1, keys: 1)[0]
        var event = try log.open().load("key-0", after: 0, limit: 1)[0]
        event.event.data = Array(text.utf8)
        let parking = try log.orderedParking()
        let reason = ParkedReason(stage: "reader", errors: ["no"], attempts: 1, time: SystemClock().now())
        try parking.park("reader", event, reason, under: nil)
        let held = HeldKey(partitionKey: "key-0", position: position, sequence: 1, isRetryAsked: false)
        #expect(try parking.heldBack("reader", in: 0).keys == [held])
        #expect(try log.parkedEvents().list(group: "reader").map(\.data) == [event.data])
    }

    @Test("a record that was spoiled holds back the session of its entry, and nobody else")
    func spoiledRecord() throws {
        let log = try freshLog(partitions: 1)
        let position = try appendSamples(log, 0..<1, keys: 1)[0]
        for name in [position.entryID, "no entry"] {
            try rawClient(log).raw("HSET", LogKeys.parked(0, "reader"), name, "spoiled")
        }
        let held = HeldKey(partitionKey: "key-0", position: position, sequence: 1, isRetryAsked: false)
        #expect(try log.orderedParking().heldBack("reader", in: 0).keys == [held])
    }

    @Test("a count of deliveries of any size is one")
    func deliveries() throws {
        let log = try freshLog(partitions: 1)
        try appendSamples(log, 0..<2, keys: 1)
        let subscription = try member(log, "one")
        let taken = try take(2, from: subscription)
        let client = rawClient(log)
        for (delivery, count) in zip(taken, ["9223372036854775807", "0"]) {
            try client.raw(
                "XCLAIM", LogKeys.log(0), "work", "gone/0", "0", delivery.event.position.entryID,
                "RETRYCOUNT", count)
        }
        let heir = try member(log, "heir")
        let deliveries = try take(2, from: heir)
        #expect(deliveries.allSatisfy { $0.attempt >= 1 })
        for delivery in deliveries { try heir.retry(delivery, afterMilliseconds: 0) }
        #expect(try take(2, from: heir).allSatisfy { $0.attempt >= 1 })
    }

    @Test("a lease whose numbers are none is nobody's, and can be had", arguments: hostile)
    func lease(_ text: String) throws {
        let log = try freshLog(partitions: 2)
        let (leases, client) = (try log.leases(), rawClient(log))
        _ = try leases.acquire("s", [0, 1], as: "gone/0", forMilliseconds: 60_000)
        for partition in 0...1 {
            let key = LogKeys.lease(partition, "s")
            try client.raw("HSET", key, "until", text, "span", text)
            if partition == 1 { try client.raw("HSET", key, "generation", text) }
        }
        let holders = try leases.holders("s")
        #expect(holders.count == 2)
        var fences: [Fence] = []
        try waitUntil("both partitions are had", seconds: 10) {
            fences += try leases.acquire("s", [0, 1], as: "a/0", forMilliseconds: 60_000).filter { new in
                !fences.contains { $0.partition == new.partition }
            }
            return fences.count == 2
        }
        #expect(try leases.renew(fences, forMilliseconds: 60_000) == fences)
        let checkpoints = try log.checkpoints()
        let position = try appendSamples(log, 0..<8)[0]
        try checkpoints.save("s", [position], under: fences)
        #expect(try checkpoints.load("s")[position.partition] == position)
        try leases.release(fences)
    }

    @Test("figures are answered whatever the server's own counters say")
    func counters() throws {
        let log = try freshLog(partitions: 1)
        try appendSamples(log, 0..<2000, keys: 3)
        _ = try take(10, from: try member(log, "one"))
        let client = rawClient(log)
        for score in ["-9223372036854775808", "9223372036854775807", "-inf", "inf", "1e308"] {
            for member in ["trimmed", "evicted"] { try client.raw("ZADD", LogKeys.ranks(0), score, member) }
            let lags = try #require(try log.groups().lag(ofGroup: "work"))
            #expect(lags.allSatisfy { $0.behind >= 0 && $0.pending == 10 }, "\(score)")
            _ = try log.groups().backlog(of: "work")
        }
        try client.raw("ZREM", LogKeys.ranks(0), "trimmed", "evicted")
        try client.raw("XGROUP", "SETID", LogKeys.log(0), "work", "$", "ENTRIESREAD", "9223372036854775807")
        #expect(try log.groups().lag(ofGroup: "work")?.first?.pending == 10)
    }

    @Test("a count of what was archived that is none halts its own partition alone")
    func archived() throws {
        let log = try freshLog(partitions: 2)
        let client = rawClient(log)
        try client.raw("ZADD", LogKeys.ranks(0), "-9223372036854775808", "trimmed")
        let states = try PartitionInspector(client: client).states([0, 1])
        #expect(states.map(\.findings.isEmpty) == [false, true])
    }

    private static let last = "18446744073709551615-18446744073709551615"

    @Test("the last position that there can be ends nothing but its partition")
    func lastPosition() throws {
        let log = try freshLog(partitions: 1)
        try appendSamples(log, 0..<3, keys: 1)
        try rawClient(log).raw("XADD", LogKeys.log(0), Self.last, "a", "b")
        let feed = try log.follow(after: [.start(of: 0)])
        var read: [RecordedEvent] = []
        let failure = #expect(throws: LogFailure.self) {
            while true { read += try feed.next(limit: 10, waitMilliseconds: 0) }
        }
        #expect(read.count == 3)
        let last = try #require(failure?.unreadableEntry)
        feed.seek(to: last)
        #expect(try feed.next(limit: 10, waitMilliseconds: 0).isEmpty)
        #expect(throws: LogFailure.self) { try appendSamples(log, 3..<4, keys: 1) }
        #expect(try log.open().load("key-0", after: 0, limit: 10).count == 3)
        _ = try log.groups().lag(ofGroup: "work")
    }

    @Test(
        "a sequence that no history can have is no entry", arguments: ["9999999999999", "-00000000001", "0"])
    func sequence(_ text: String) throws {
        let log = try freshLog(partitions: 1)
        let position = try appendSamples(log, 0..<1, keys: 1)[0]
        let client = rawClient(log)
        let entry = try client.raw("XRANGE", LogKeys.log(0), position.entryID, position.entryID).elements[0]
        var fields = entry.elements[1].elements.compactMap(\.text)
        let place = try #require(fields.firstIndex(of: "sequence"))
        fields[place + 1] = text
        _ = try client.command("test", "test", ["XADD", LogKeys.log(0), "*"] + fields)
        let failure = #expect(throws: LogFailure.self) {
            try log.open().read(after: position, limit: 5)
        }
        #expect(failure?.kind == .unreadable)
    }
}
