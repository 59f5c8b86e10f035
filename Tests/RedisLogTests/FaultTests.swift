import Base
import EventSourcing
import Simulation
import TestServers
import Testing

@testable import RedisLog

/// A server of one's own that may be killed, frozen and emptied.
@Suite("Faults of the server", .serialized)
struct FaultTests {
    private func own(
        partitions: Int = 4, options: RedisEventLog.Options = RedisEventLog.Options(),
        _ body: (TestRedis, RedisEventLog) throws -> Void
    ) throws {
        let server = try TestRedis.start()
        let log = try RedisEventLog.open(server.url, createWith: partitions, options: options)
        // The server ends with its object.
        try withExtendedLifetime(server) { try body(server, log) }
    }

    /// Appends until the server takes it: the same call, again and again.
    private func insist(_ store: any EventStore, _ batch: AppendBatch) throws -> AppendOutcome {
        var outcome: AppendOutcome?
        try waitUntil("an append to \(batch.partitionKey) is acknowledged", seconds: 60) {
            do throws(LogFailure) {
                outcome = try store.append([batch]).first
                return true
            } catch {
                guard error.isTransient else { throw error }
                return false
            }
        }
        guard let outcome else { throw ConditionNotMet(description: "no outcome") }
        return outcome
    }

    @Test("kill -9 under writers and readers: nothing acknowledged is lost, no gaps, nothing twice")
    func killed() throws {
        try own { server, log in
            let perWriter = 300
            let writers = 3
            let acknowledged = Monitored<[String: AppendedEvent]>([:])
            let count = Monitored(0)
            let done = Monitored(0)
            let fed = Monitored<[RecordedEvent]>([])
            try concurrently(writers + 2) { thread in
                switch thread {
                case 0..<writers:
                    let store = try log.open()
                    for number in 0..<perWriter {
                        let id = "w\(thread)/\(number)"
                        let batch = AppendBatch(
                            to: "key-\(number % 7)", expecting: .any, [SampleEvents.event(id, number: number)]
                        )
                        guard case .appended(let events) = try insist(store, batch) else {
                            throw ConditionNotMet(description: "not appended: \(id)")
                        }
                        acknowledged.change { $0[id] = events[0] }
                        count.change { $0 += 1 }
                    }
                    done.change { $0 += 1 }
                case writers:
                    for threshold in [100, 350, 650] {
                        try waitUntil("\(threshold) appends", seconds: 60) {
                            count.value >= threshold
                        }
                        server.kill()
                        try server.restart()
                    }
                    done.change { $0 += 1 }
                default:
                    var received = 0
                    let feed = try log.follow(after: (0..<4).map { .start(of: $0) })
                    try waitUntil("the feed has everything", seconds: 120) {
                        do throws(LogFailure) {
                            let batch = try feed.next(limit: 50, waitMilliseconds: 100)
                            fed.change { $0 += batch }
                            received += batch.count
                        } catch { guard error.isTransient else { throw error } }
                        return done.value == writers + 1 && received >= perWriter * writers
                    }
                }
            }
            let store = try log.open()
            for (id, answer) in acknowledged.value {
                let found = try store.read(
                    after: LogPosition(
                        partition: answer.position.partition, milliseconds: answer.position.milliseconds - 1,
                        counter: .max), limit: 1000
                ).first { $0.position == answer.position }
                #expect(found?.id == id)
                #expect(found?.sequence == answer.sequence)
            }
            for key in 0..<7 {
                var expected: UInt64 = 0
                try store.forEach(of: "key-\(key)") { event in
                    expected += 1
                    #expect(event.sequence == expected)
                }
            }
            #expect(acknowledged.value.count == perWriter * writers)
            #expect(fed.value.count == perWriter * writers)
            #expect(Set(fed.value.map(\.id)).count == perWriter * writers)
        }
    }

    @Test("kill -9 under members of a group: every event is delivered")
    func killedUnderGroup() throws {
        try own { server, log in
            try appendSamples(log, 0..<600)
            let seen = Monitored<Set<String>>([])
            try concurrently(3) { thread in
                if thread == 2 {
                    for threshold in [100, 300] {
                        try waitUntil("\(threshold) deliveries") { seen.value.count >= threshold }
                        server.kill()
                        try server.restart()
                    }
                    return
                }
                var subscription: (any CompetingSubscription)?
                try waitUntil("all were delivered", seconds: 60) {
                    do throws(LogFailure) {
                        let member: any CompetingSubscription
                        if let subscription {
                            member = subscription
                        } else {
                            member = try log.join(
                                group: "work", consumer: ConsumerName(instance: "i", number: thread),
                                types: ["Sampled"])
                        }
                        subscription = member
                        let batch = try member.next(limit: 3, waitMilliseconds: 50)
                        seen.change { $0.formUnion(batch.map(\.event.id)) }
                        try member.acknowledge(batch.map(\.event.position))
                    } catch { guard error.isTransient else { throw error } }
                    return seen.value.count == 600
                }
            }
            #expect(seen.value.count == 600)
        }
    }

    @Test("a member that dies has its entries taken over in less than 5 seconds")
    func takeover() throws {
        try own(partitions: 16) { _, log in
            try appendSamples(log, 0..<50)
            // The dying process beat for the last time just now, for two seconds.
            try log.liveness().beat(ConsumerName.mark(ofInstance: "dying"), forMilliseconds: 2000)
            _ = try take(50, from: try member(log, "dying"), limit: 50)
            let start = monotonicMilliseconds()
            let inherited = try take(50, from: try member(log, "heir"), limit: 50)
            #expect(Set(inherited.map(\.event.id)).count == 50)
            #expect(monotonicMilliseconds() - start < 5000)
        }
    }

    @Test("a frozen server times out, and works again when it wakes")
    func frozen() throws {
        try own(options: Notices().options { $0.commandMilliseconds = 1500 }) { server, log in
            let store = try log.open()
            let batch = AppendBatch(to: "s", expecting: .absent, [SampleEvents.event("one")])
            let subscription = try member(log, "one")
            _ = try subscription.next(limit: 1, waitMilliseconds: 10)
            _ = try store.version(of: "s")
            server.pause()
            defer { server.resume() }
            var failure = #expect(throws: LogFailure.self) { try store.append([batch]) }
            #expect(failure?.kind == .timedOut)
            failure = #expect(throws: LogFailure.self) {
                try subscription.next(limit: 1, waitMilliseconds: 100)
            }
            #expect(failure?.kind == .timedOut)
            server.resume()
            guard case .appended(let events) = try insist(store, batch) else {
                throw ConditionNotMet(description: "not appended")
            }
            // Whether the first try got through is unknown; either way there is one event.
            #expect(events.map(\.sequence) == [1])
            #expect(try take(1, from: subscription)[0].event.id == "one")
        }
    }

    @Test("functions that vanish are loaded again")
    func functionsFlushed() throws {
        let notices = Notices()
        try own(options: notices.options { $0.surveyMilliseconds = 10 }) { _, log in
            let subscription = try member(log, "one")
            let store = try log.open()
            let client = rawClient(log)
            for round in 0..<5 {
                try client.raw("FUNCTION", "FLUSH")
                let batches = (0..<20).map {
                    AppendBatch(to: "key-\($0)", expecting: .any, [SampleEvents.event("\(round)/\($0)")])
                }
                let outcomes = try store.append(batches)
                #expect(outcomes.allSatisfy { if case .appended = $0 { true } else { false } })
                try client.raw("FUNCTION", "FLUSH")
                for delivery in try take(20, from: subscription) {
                    try subscription.park(
                        delivery,
                        ParkedReason(stage: "s", errors: [], attempts: 1, time: Timestamp(milliseconds: 0)))
                }
                try client.raw("FUNCTION", "FLUSH")
                #expect(try log.groups().backlog(of: "work")?.behind == 0)
            }
            #expect(notices.list.contains(.functionsReloaded))
            #expect(try log.parkedEvents().count(group: "work") == 100)
        }
    }

    @Test("a log that was wiped or replaced is refused by name, not read from in silence")
    func wiped() throws {
        try own { _, log in
            let store = try log.open()
            try appendSamples(log, 0..<3)
            let client = rawClient(log)
            try client.raw("FLUSHALL")
            try client.raw("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            let failure = #expect(throws: LogFailure.self) { try store.version(of: "s") }
            #expect(failure?.kind == .otherLog)
            #expect(failure?.text.contains(log.epoch) == true)
        }
    }

    @Test("connections that were closed meanwhile are made again without an error")
    func connectionsClosed() throws {
        let notices = Notices()
        try own(options: notices.options()) { _, log in
            let store = try log.open()
            let subscription = try member(log, "one")
            let client = rawClient(log)
            for round in 0..<3 {
                _ = try store.append([SampleEvents.event("e\(round)")], to: "s", expecting: .any)
                let delivery = try take(1, from: subscription)[0]
                #expect(delivery.event.id == "e\(round)")
                try client.raw("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                // What is held here is known: reading it again from the server does not duplicate it.
                #expect(try subscription.next(limit: 5, waitMilliseconds: 10).isEmpty)
                try subscription.acknowledge([delivery.event.position])
            }
            #expect(notices.list.contains { if case .disconnected = $0 { true } else { false } })
        }
    }

    @Test("a server at maxmemory refuses writes by name, and takes them when it has room")
    func outOfMemory() throws {
        try own { _, log in
            let client = rawClient(log)
            let store = try log.open()
            _ = try store.append([SampleEvents.event("a")], to: "s", expecting: .any)
            try client.raw("CONFIG", "SET", "maxmemory", "1")
            let failure = #expect(throws: LogFailure.self) {
                try store.append([SampleEvents.event("b")], to: "s", expecting: .any)
            }
            #expect(failure?.kind == .refusingWrites)
            #expect(failure?.isTransient == true)
            try client.raw("CONFIG", "SET", "maxmemory", "0")
            _ = try store.append([SampleEvents.event("b")], to: "s", expecting: .any)
            #expect(try store.load("s", after: 0, limit: 5).map(\.id) == ["a", "b"])
        }
    }

    @Test("an evicting server is refused, naming the setting", arguments: ["allkeys-lru", "volatile-ttl"])
    func evicting(policy: String) throws {
        try own { server, log in
            try rawClient(log).raw("CONFIG", "SET", "maxmemory-policy", policy)
            let failure = #expect(throws: LogFailure.self) {
                try RedisEventLog.open(server.url, createWith: 4)
            }
            #expect(failure?.kind == .unsuitable)
            #expect(failure?.text.contains("maxmemory-policy is \(policy)") == true)
            #expect(failure?.text.contains("set maxmemory-policy noeviction") == true)
        }
    }

    @Test("durability is told as it is")
    func durability() throws {
        try own { _, log in
            var settings = try log.inspect()
            #expect(settings.version.hasPrefix("7."))
            #expect(settings.appendOnly == "yes")
            #expect(settings.appendFsync == "always")
            #expect(settings.maxmemoryPolicy == "noeviction")
            #expect(settings.durability.contains("loss of power"))
            try rawClient(log).raw("CONFIG", "SET", "appendfsync", "everysec")
            settings = try log.inspect()
            #expect(settings.durability.contains("last second"))
            try rawClient(log).raw("CONFIG", "SET", "appendonly", "no")
            #expect(try log.inspect().durability.contains("memory only"))
        }
    }

    @Test("passwords work, wrong ones are named, and no error shows one")
    func passwords() throws {
        try own { server, open in
            try rawClient(open).raw("CONFIG", "SET", "requirepass", "secret@1")
            let place = "\(server.host):\(server.port)"
            let log = try RedisEventLog.open("redis://default:secret%401@\(place)/2", createWith: 2)
            try appendSamples(log, 0..<3)
            _ = try RedisEventLog.open("redis://:secret%401@\(place)/2", createWith: nil)
            for url in ["redis://\(place)", "redis://default:wrongpw@\(place)"] {
                let failure = #expect(throws: LogFailure.self) { try RedisEventLog.open(url, createWith: 2) }
                #expect(failure?.kind == .denied)
                #expect(failure?.description.contains("password") == true)
                #expect(failure?.description.contains("wrongpw") == false)
            }
        }
    }

    @Test("a server that is not there is unreachable")
    func unreachable() throws {
        try own { server, log in
            let store = try log.open()
            _ = try store.version(of: "s")
            server.kill()
            for _ in 0..<3 {
                let failure = #expect(throws: LogFailure.self) { try store.version(of: "s") }
                #expect(failure?.kind == .unreachable)
                #expect(failure?.operation == "version")
            }
            try server.restart()
            #expect(try store.version(of: "s") == 0)
        }
    }
}
