import Base
import EventSourcing
import Simulation
import TestServers
import Testing

@testable import RedisLog

/// What bugs of consumer groups have taught, after the cases of Redis' own stream-cgroups tests.
@Suite("Consumer groups")
struct GroupTests {
    private let reason = ParkedReason(
        stage: "work", errors: ["a \"quoted\" reason,\"data\":", "cause"], attempts: 3,
        time: Timestamp(milliseconds: 1_700_000_000_000))

    private func keepAlive(_ log: RedisEventLog, _ instance: String) throws {
        try log.liveness().beat(ConsumerName.mark(ofInstance: instance), forMilliseconds: 600_000)
    }

    @Test("a new member of a new group has no history, and then gets everything (redis issue 5577)")
    func emptyHistory() throws {
        let log = try freshLog()
        try appendSamples(log, 0..<3)
        let subscription = try member(log, "one")
        #expect(try take(3, from: subscription).allSatisfy { $0.attempt == 1 })
        #expect(try take(3, from: try member(log, "one")).allSatisfy { $0.attempt >= 2 })
    }

    @Test("own pending entries whose loss was accepted are acknowledged and told (redis issue 5570)")
    func deletedFromHistory() throws {
        let notices = Notices()
        let log = try freshLog(options: notices.options())
        let positions = try appendSamples(log, 0..<4)
        try keepAlive(log, "one")
        _ = try take(4, from: try member(log, "one"))
        try loseForGood(log, [positions[1]])
        let again = try member(log, "one")
        let deliveries = try take(3, from: again)
        #expect(!deliveries.contains { $0.event.position == positions[1] })
        try again.acknowledge(deliveries.map(\.event.position))
        #expect(try log.groups().backlog(of: "work")?.pending == 0)
        #expect(notices.list.contains(.entryMissing(group: "work", positions[1])))
    }

    @Test("claimed entries whose loss was accepted are acknowledged and told")
    func deletedBeforeClaim() throws {
        let notices = Notices()
        let log = try freshLog(options: notices.options())
        let positions = try appendSamples(log, 0..<4)
        try keepAlive(log, "dying")
        _ = try take(4, from: try member(log, "dying"))
        try loseForGood(log, Array(positions[..<3]))
        try log.liveness().end(ConsumerName.mark(ofInstance: "dying"))
        let heir = try member(log, "heir")
        let deliveries = try take(1, from: heir)
        #expect(deliveries.map(\.event.position) == [positions[3]])
        try heir.acknowledge([positions[3]])
        try waitUntil("nothing is pending") {
            _ = try heir.next(limit: 5, waitMilliseconds: 100)
            return try log.groups().backlog(of: "work")?.pending == 0
        }
        let missing = notices.list.filter { if case .entryMissing = $0 { true } else { false } }
        #expect(missing.count == 3)
    }

    @Test("a member that begins again is given what it had, however often, and that counts as no delivery")
    func again() throws {
        let log = try freshLog(partitions: 2)
        let positions = try appendSamples(log, 0..<250)
        #expect(try take(250, from: member(log, "m"), limit: 250).count == 250)
        for _ in 0..<60 {
            let deliveries = try take(250, from: member(log, "m"), limit: 250)
            #expect(Set(deliveries.map(\.event.position)) == Set(positions))
            #expect(deliveries.allSatisfy { $0.attempt == 2 })
        }
    }

    @Test("where something else stands in place of the counts of tries, nobody is asked to try for ever")
    func spoiledTries() throws {
        let log = try freshLog(partitions: 1)
        _ = try appendSamples(log, 0..<1)
        let reader = try member(log, "m")
        let delivery = try take(1, from: reader)[0]
        _ = try rawClient(log).raw("SET", LogKeys.tries(0, "work"), "spoiled")
        #expect(try reader.countTry(of: delivery) == Int(Int32.max))
    }

    @Test("a stream that ran dry blocks and then gives what is new (redis issue 5299)")
    func ranDry() throws {
        let log = try freshLog(partitions: 1)
        let positions = try appendSamples(log, 0..<1, keys: 1)
        try loseForGood(log, positions)
        let subscription = try member(log, "one")
        #expect(try subscription.next(limit: 5, waitMilliseconds: 20).isEmpty)
        try appendSamples(log, 1..<2, keys: 1)
        #expect(try take(1, from: subscription)[0].event.id == "Sampled-1")
    }

    @Test("a group that vanishes while members are idle, or blocked, is made again and skips nothing")
    func groupDestroyed() throws {
        let notices = Notices()
        let log = try freshLog(options: notices.options())
        try appendSamples(log, 0..<6)
        let subscription = try member(log, "one")
        try subscription.acknowledge(try take(6, from: subscription).map(\.event.position))
        let client = rawClient(log)
        for partition in 0..<4 { try client.raw("XGROUP", "DESTROY", LogKeys.log(partition), "work") }
        let again = try take(6, from: subscription)
        #expect(Set(again.map(\.event.id)).count == 6)
        try subscription.acknowledge(again.map(\.event.position))
        #expect(notices.list.contains(.groupRecreated(group: "work", partitions: 4)))

        let ids = Notebook()
        try concurrently(2) { role in
            if role == 0 {
                for delivery in try take(6, from: try member(log, "two")) { ids.add(delivery.event.id) }
            } else {
                let client = rawClient(log)
                try waitUntil("a member is blocked") {
                    try client.raw("INFO", "clients").text?.contains("blocked_clients:0") == false
                }
                for partition in 0..<4 { try client.raw("XGROUP", "DESTROY", LogKeys.log(partition), "work") }
            }
        }
        #expect(Set(ids.all).count == 6)
    }

    @Test("a group that vanishes in one partition is made again there")
    func groupDestroyedInOnePartition() throws {
        let notices = Notices()
        let log = try freshLog(options: notices.options())
        let positions = try appendSamples(log, 0..<20)
        let subscription = try member(log, "one")
        try subscription.acknowledge(try take(20, from: subscription).map(\.event.position))
        try rawClient(log).raw("XGROUP", "DESTROY", LogKeys.log(2), "work")
        let again = try take(positions.filter { $0.partition == 2 }.count, from: subscription)
        #expect(Set(again.map(\.event.position)) == Set(positions.filter { $0.partition == 2 }))
        #expect(notices.list.contains(.groupRecreated(group: "work", partitions: 1)))
    }

    @Test("between two members that claim at once each entry moves once")
    func claimingAtOnce() throws {
        let log = try freshLog(options: Notices().options { $0.surveyMilliseconds = 20 })
        try appendSamples(log, 0..<200)
        for instance in ["dying", "a", "b", "c"] { try keepAlive(log, instance) }
        _ = try take(200, from: try member(log, "dying"), limit: 100)
        try log.liveness().end(ConsumerName.mark(ofInstance: "dying"))
        let taken = Notebook()
        try concurrently(3) { number in
            let subscription = try member(log, ["a", "b", "c"][number])
            try waitUntil("all were taken") {
                for delivery in try subscription.next(limit: 5, waitMilliseconds: 20) {
                    taken.add(delivery.event.id)
                }
                return taken.all.count >= 200
            }
        }
        #expect(taken.all.count == 200)
        #expect(Set(taken.all).count == 200)
    }

    @Test("entries that a live member holds for too long are taken over, those that wait there are not")
    func stalled() throws {
        let options = Notices().options {
            $0.surveyMilliseconds = 20
            // Long enough for the slow member to be heard of in between, on any machine.
            $0.processingMilliseconds = 4000
        }
        let log = try freshLog(options: options)
        try appendSamples(log, 0..<2)
        for instance in ["slow", "quick"] { try keepAlive(log, instance) }
        let slow = try member(log, "slow")
        let held = try take(2, from: slow)
        try slow.retry(held[0], afterMilliseconds: 60_000)
        let quick = try member(log, "quick")
        var got: [Delivery] = []
        try waitUntil("the stuck entry was taken over") {
            // The slow member is still there: it shows what waits with it, but not what it has handed out.
            #expect(try slow.next(limit: 5, waitMilliseconds: 1).isEmpty)
            got += try quick.next(limit: 5, waitMilliseconds: 20)
            return !got.isEmpty
        }
        for _ in 0..<50 {
            #expect(try slow.next(limit: 5, waitMilliseconds: 1).isEmpty)
            got += try quick.next(limit: 5, waitMilliseconds: 20)
        }
        #expect(Set(got.map(\.event.position)) == [held[1].event.position])
    }

    @Test("the name of a dead member is removed only when it has nothing pending")
    func forgetting() throws {
        let log = try freshLog(partitions: 1)
        try appendSamples(log, 0..<2, keys: 1)
        _ = try take(2, from: try member(log, "dead"))
        let client = rawClient(log)
        let key = LogKeys.log(0)
        #expect(try client.raw("FCALL", "reel_forget", "1", key, "work", "dead/0").integer == 0)
        #expect(try client.raw("XPENDING", key, "work").elements.first?.integer == 2)
        let notices = Notices()
        let other = try RedisEventLog.open(
            "redis://127.0.0.1:\(log.address.first.port)/\(log.address.first.database)", createWith: nil,
            options: notices.options())
        _ = try log.open().append([SampleEvents.event("late")], to: "key-0", expecting: .any)
        let heir = try member(other, "heir")
        try heir.acknowledge(try take(3, from: heir).map(\.event.position))
        let after = try member(other, "after")
        try waitUntil("both names are gone") {
            _ = try after.next(limit: 1, waitMilliseconds: 50)
            return notices.list.contains(.memberRemoved(group: "work", "dead/0"))
        }
        #expect(try client.raw("XINFO", "CONSUMERS", key, "work").elements.count <= 2)
    }

    @Test("a parked event keeps its payload and reason; retried it comes back, discarded it does not")
    func parking() throws {
        let log = try freshLog()
        try appendSamples(log, 0..<2)
        let subscription = try member(log, "one")
        let deliveries = try take(2, from: subscription)
        for delivery in deliveries { try subscription.park(delivery, reason) }
        let parked = log.parkedEvents()
        #expect(try parked.count(group: "work") == 2)
        #expect(try log.groups().backlog(of: "work")?.pending == 0)
        #expect(try log.groups().backlog(of: "work")?.parked == 2)
        let list = try parked.list(group: "work")
        #expect(Set(list.map(\.position)) == Set(deliveries.map(\.event.position)))
        for event in list {
            let original = deliveries.first { $0.event.position == event.position }?.event
            #expect(event.eventID == original?.id)
            #expect(event.data == original?.data)
            #expect(event.reason == reason)
        }
        let (again, gone) = (deliveries[0].event.position, deliveries[1].event.position)
        #expect(try parked.retry(group: "work", again) == .done)
        #expect(try parked.retry(group: "work", again) == .notParked)
        #expect(try parked.discard(group: "work", gone) == .done)
        #expect(try parked.discard(group: "work", gone) == .notParked)
        let redelivered = try take(1, from: subscription)
        #expect(redelivered[0].event.position == again)
        #expect(redelivered[0].attempt == 1)
        #expect(try parked.count(group: "work") == 0)
    }

    @Test("an entry that does not follow the format is parked, and the others go on")
    func malformed() throws {
        let notices = Notices()
        let log = try freshLog(partitions: 1, options: notices.options())
        try rawClient(log).raw("XADD", LogKeys.log(0), "*", "what", "ever")
        try appendSamples(log, 0..<1, keys: 1)
        let subscription = try member(log, "one")
        #expect(try take(1, from: subscription)[0].event.id == "Sampled-0")
        let parked = try log.parkedEvents().list(group: "work")
        #expect(parked.count == 1)
        #expect(parked.first?.eventID == "")
        #expect(notices.list.contains { if case .entryMalformed = $0 { true } else { false } })
        let failure = #expect(throws: LogFailure.self) {
            try log.follow(after: [.start(of: 0)]).next(limit: 5, waitMilliseconds: 0)
        }
        #expect(failure?.kind == .unreadable)
    }
}
