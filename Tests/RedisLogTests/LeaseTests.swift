import Base
import EventSourcing
import Simulation
import TestServers
import Testing

@testable import RedisLog

@Suite("Leases in Redis", .timeLimit(.minutes(10)))
struct LeaseTests {
    @Test("a lease is a hash beside its partition's log, under the same hash tag")
    func layout() throws {
        let log = try freshLog()
        let fence = try log.leases().acquire("s", [2], as: "a/0", forMilliseconds: 60_000)[0]
        let client = rawClient(log)
        let fields = try client.raw("HMGET", "reel:{p002}:lease:s", "owner", "generation", "span")
        #expect(fields.elements.map(\.text) == ["a/0", "1", "60000"])
        #expect(fence.description == "s p002 generation 1")
        _ = try log.leases().attend("s", as: "a/0", forMilliseconds: 60_000)
        #expect(try client.raw("ZRANGE", "reel:members:s", "0", "-1").elements.map(\.text) == ["a/0"])
    }

    @Test("a server whose clock was set back holds no lease or membership for longer than it was given")
    func clockSetBack() throws {
        let log = try freshLog()
        let (leases, client) = (try log.leases(), rawClient(log))
        let old = try leases.acquire("s", [0], as: "a/0", forMilliseconds: 200)[0]
        // What a clock that was an hour ahead has left.
        let now = SystemClock().now().milliseconds
        try client.raw("HSET", "reel:{p000}:lease:s", "until", "\(now + 3_600_000)")
        try client.raw("ZADD", "reel:members:s", "\(now + 3_600_000)", "dead/0")
        #expect(try leases.holders("s")[0].isFree)
        #expect(try leases.acquire("s", [0], as: "b/0", forMilliseconds: 200) == [])
        #expect(try leases.renew([old], forMilliseconds: 200) == [old])
        try waitUntil("the lease is free", seconds: 5) {
            !(try leases.acquire("s", [0], as: "b/0", forMilliseconds: 200).isEmpty)
        }
        try waitUntil("the dead member is gone", seconds: 5) {
            try leases.attend("s", as: "b/0", forMilliseconds: 200) == ["b/0"]
        }
    }

    @Test("an owner is fenced by name too: a server that lost writes may give a generation out twice")
    func twiceGiven() throws {
        let log = try freshLog()
        let (leases, client) = (try log.leases(), rawClient(log))
        let lost = try leases.acquire("s", [1], as: "a/0", forMilliseconds: 60_000)[0]
        try client.raw("DEL", "reel:{p001}:lease:s")
        let given = try leases.acquire("s", [1], as: "b/0", forMilliseconds: 60_000)[0]
        #expect(given.generation == lost.generation)
        #expect(try leases.renew([lost, given], forMilliseconds: 60_000) == [given])
        let key = SampleEvents.key(in: 1, of: log.partitioning)
        let batches = [lost, given].map {
            AppendBatch(to: key, expecting: .any, [SampleEvents.event($0.owner)], fence: $0)
        }
        let outcomes = try log.open().append(batches)
        #expect(outcomes[0] == .fenced(generation: 1))
        guard case .appended = outcomes[1] else {
            Issue.record("\(outcomes[1])")
            return
        }
    }

    @Test("leases and fences outlive a restart of the server and the loss of its functions")
    func restart() throws {
        let server = try TestRedis.start()
        let log = try RedisEventLog.open(server.url, createWith: 4)
        let leases = try log.leases()
        let fences = try leases.acquire("s", [0, 1], as: "a/0", forMilliseconds: 60_000)
        server.kill()
        try server.restart()
        #expect(try leases.renew(fences, forMilliseconds: 60_000) == fences)
        try rawClient(log).raw("FUNCTION", "FLUSH")
        #expect(try leases.acquire("s", [0], as: "b/0", forMilliseconds: 60_000) == [])
        let key = SampleEvents.key(in: 0, of: log.partitioning)
        var forged = fences[0]
        forged.generation = 7
        let outcomes = try log.open().append([
            AppendBatch(to: key, expecting: .any, [SampleEvents.event("e")], fence: forged)
        ])
        #expect(outcomes == [.fenced(generation: 1)])
        try leases.release(fences)
        #expect(try leases.acquire("s", [0], as: "b/0", forMilliseconds: 60_000).map(\.generation) == [2])
    }
}
