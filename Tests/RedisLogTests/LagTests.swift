import Base
import EventSourcing
import Simulation
import Testing

@testable import RedisLog

@Suite("Lag", .timeLimit(.minutes(10)))
struct LagTests {
    /// All positions of the log, by partition, read without any rank.
    private func positions(_ log: RedisEventLog) throws -> [[LogPosition]] {
        let store = try log.open()
        return try (0..<log.partitioning.count).map { partition in
            try store.read(after: .start(of: partition), limit: 100_000).map(\.position)
        }
    }

    private func serverTime(_ log: RedisEventLog) throws -> Int {
        let time = try rawClient(log).raw("TIME").elements.compactMap(\.integer)
        return (time.first ?? 0) * 1000 + (time.last ?? 0) / 1000
    }

    @Test("a stage's figures are those of a count by hand")
    func stage() throws {
        // Enough for counts to go by ranks and not by counting through.
        let log = try freshLog()
        #expect(try log.groups().lag(ofGroup: "work") == nil)
        try appendSamples(log, 0..<3000)
        let subscription = try member(log, "one")
        let taken = try take(700, from: subscription, limit: 64)
        let handled = Array(taken.prefix(600))
        try subscription.acknowledge(handled.map(\.event.position))
        let spoiled = taken[600]
        try subscription.park(
            spoiled, ParkedReason(stage: "work", errors: ["no"], attempts: 1, time: SystemClock().now()))
        let unfinished = taken.dropFirst(601).map(\.event.position)

        let everything = try positions(log)
        let before = try serverTime(log)
        let lags = try #require(try log.groups().lag(ofGroup: "work"))
        let after = try serverTime(log)
        let delivered = Dictionary(grouping: taken.map(\.event.position), by: \.partition)
        for lag in lags {
            let last = delivered[lag.partition]?.max() ?? .start(of: lag.partition)
            let ahead = everything[lag.partition].filter { $0 > last }
            let pending = unfinished.filter { $0.partition == lag.partition }
            #expect(lag.behind == ahead.count)
            #expect(lag.pending == pending.count)
            #expect(lag.parked == (spoiled.event.position.partition == lag.partition ? 1 : 0))
            #expect(lag.owner == nil)
            expectAge(lag.oldestMilliseconds, of: (ahead + pending).min(), before, after)
            expectAge(lag.oldestPendingMilliseconds, of: pending.min(), before, after)
        }
        #expect(lags.reduce(0) { $0 + $1.behind } > 2000)
        let backlog = try #require(try log.groups().backlog(of: "work"))
        #expect(backlog.behindByPartition == lags.map(\.behind))
        #expect(backlog.pending == 99)
    }

    private func expectAge(_ age: Int?, of oldest: LogPosition?, _ before: Int, _ after: Int) {
        guard let oldest else {
            #expect(age == nil)
            return
        }
        let appended = Int(oldest.milliseconds)
        #expect(age.map { (before - appended...after - appended).contains($0) } == true)
    }

    @Test("an ordered subscription's figures name owners and generations")
    func subscription() throws {
        let log = try freshLog(partitions: 3)
        try appendSamples(log, 0..<1500)
        let everything = try positions(log)
        let leases = try log.leases()
        _ = try leases.acquire("reader", [0, 1], as: "a/0", forMilliseconds: 60_000)
        try leases.release(try leases.acquire("reader", [1], as: "a/0", forMilliseconds: 60_000))
        _ = try leases.acquire("reader", [1], as: "b/0", forMilliseconds: 60_000)
        let saved = [0: everything[0][10], 1: try #require(everything[1].last)]
        let store = try log.open()
        let poison = try #require(try store.read(after: everything[0][4], limit: 1).first)
        try log.orderedParking().park(
            "reader", poison,
            ParkedReason(stage: "reader", errors: ["no"], attempts: 3, time: SystemClock().now()), under: nil)

        let lags = try log.groups().lag(
            ofSubscription: "reader", after: saved, try leases.holders("reader"))
        #expect(lags.map(\.behind) == [everything[0].count - 11, 0, everything[2].count])
        #expect(lags.map(\.owner) == ["a/0", "b/0", ""])
        #expect(lags.map(\.generation) == [1, 2, 0])
        #expect(lags.map(\.parked) == [1, 0, 0])
        #expect(lags[0].oldestMilliseconds != nil)
        #expect(lags[1].oldestMilliseconds == nil)
    }

    @Test("parking under a fence ends with it")
    func fencedParking() throws {
        let log = try freshLog(partitions: 1)
        let position = try #require(try appendSamples(log, 0..<1).first)
        let event = try #require(try log.open().read(after: .start(of: 0), limit: 1).first)
        let leases = try log.leases()
        let old = try leases.acquire("reader", [0], as: "a/0", forMilliseconds: 60_000)
        try leases.release(old)
        let new = try leases.acquire("reader", [0], as: "b/0", forMilliseconds: 60_000)
        let parking = try log.orderedParking()
        let reason = ParkedReason(stage: "reader", errors: ["no"], attempts: 3, time: SystemClock().now())
        do {
            try parking.park("reader", event, reason, under: old.first)
            Issue.record("an owner that was replaced has parked an event")
        } catch { #expect(error.kind == .fenced) }
        #expect(try parking.heldBack("reader", in: 0) == HeldBack())
        #expect(try parking.countTry("reader", of: position) == 1)
        try parking.park("reader", event, reason, under: new.first)
        #expect(try parking.countTry("reader", of: position) == 1)
        #expect(try parking.heldBack("reader", in: 0).keys.map(\.position) == [position])
        #expect(try log.parkedEvents().retry(subscription: "reader", position) == .done)
        #expect(try parking.heldBack("reader", in: 0).keys.map(\.isRetryAsked) == [true])
        do {
            try parking.release("reader", position, under: old.first)
            Issue.record("an owner that was replaced has released an event")
        } catch { #expect(error.kind == .fenced) }
        try parking.release("reader", position, under: new.first)
        #expect(try parking.heldBack("reader", in: 0) == HeldBack())
        #expect(try rawClient(log).raw("EXISTS", LogKeys.tries(0, "reader")).integer == 0)
    }
}
