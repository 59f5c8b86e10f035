import EventSourcing
import RedisLog
import Simulation
import TestServers
import Testing

@testable import RedisLog

/// One set of servers for the contract cases, each in a database of its own.
private let sharedSentinel = Result { try TestSentinel.start() }

@Suite("Contracts behind Sentinel")
struct SentinelContractTests {
    private func fresh(_ partitions: Int) throws -> RedisEventLog {
        let servers = try sharedSentinel.get()
        var options = RedisEventLog.Options()
        // Whatever is appended or read waits for the replica.
        options.durability.minReplicas = 1
        return try RedisEventLog.open(
            "\(servers.url)/\(servers.servers[0].freshDatabase())", createWith: partitions,
            options: options)
    }

    @Test("store", arguments: EventStoreContract.cases)
    func store(_ contract: ContractCase) throws { try contract.check(try fresh(4)) }

    @Test("subscription", arguments: SubscriptionContract.cases)
    func subscription(_ contract: ContractCase) throws { try contract.check(try fresh(8)) }

    @Test("feed", arguments: FeedContract.cases)
    func feed(_ contract: ContractCase) throws { try contract.check(try fresh(4)) }

    @Test("leases", arguments: LeaseContract.cases)
    func leases(_ contract: ContractCase) throws { try contract.check(try fresh(4)) }

    @Test("parking", arguments: ParkingContract.cases)
    func parking(_ contract: ContractCase) throws { try contract.check(try fresh(4)) }

    @Test("index", arguments: LogIndexContract.cases)
    func index(_ contract: ContractCase) throws { try contract.check(try fresh(4)) }
}

@Suite("Sentinel")
struct SentinelTests {
    @Test("a master is killed under writers that wait for a replica: nothing acknowledged is lost")
    func failover() throws {
        let servers = try TestSentinel.start()
        var options = RedisEventLog.Options()
        options.durability.minReplicas = 1
        options.durability.waitMilliseconds = 1000
        let log = try RedisEventLog.open(servers.url, createWith: 4, options: options)
        #expect(try log.inspect().durability.contains("1 replica has it in memory"))
        // With one replica, the promoted one has none: from then on appends go without.
        var alone = options
        alone.durability.minReplicas = 0
        let after = try RedisEventLog.open(servers.url, createWith: nil, options: alone)
        let acknowledged = Monitored<[String: AppendedEvent]>([:])
        let promoted = Monitored(false)
        try concurrently(4) { thread in
            guard thread > 0 else {
                try waitUntil("appends under way") { acknowledged.value.count > 100 }
                servers.servers[0].kill()
                try waitUntil("another master") {
                    (try? servers.masterPort()) == servers.servers[1].port
                        && (try? servers.servers[1].run("ROLE"))?.hasPrefix("master") == true
                }
                return promoted.change { $0 = true }
            }
            let before = try log.open()
            let later = try after.open()
            for number in 0..<150 {
                let id = "w\(thread)/\(number)"
                let batch = AppendBatch(
                    to: "key-\(number % 7)", expecting: .any, [SampleEvents.event(id, number: number)])
                try waitUntil("an append of \(id)", seconds: 60) {
                    do throws(LogFailure) {
                        let store = promoted.value ? later : before
                        guard case .appended(let events)? = try store.append([batch]).first else {
                            return false
                        }
                        acknowledged.change { $0[id] = events[0] }
                        return true
                    } catch {
                        guard error.isTransient else { throw error }
                        return false
                    }
                }
            }
        }
        let found = try Set(allEvents(after).map { "\($0.id) \($0.position)" })
        for (id, event) in acknowledged.value { #expect(found.contains("\(id) \(event.position)")) }
        #expect(acknowledged.value.count == 450)
        #expect(found.count == 450)
        #expect(try after.halts().list().isEmpty)
        // The old master comes back as a replica, and nobody is led to it.
        try servers.servers[0].restart()
        let port = try RedisEventLog.open(servers.url, createWith: nil).nodePort()
        #expect(port == Int(servers.servers[1].port))
    }

    @Test("appends that replicas do not confirm fail as unconfirmed, and are one event when they are retried")
    func unconfirmed() throws {
        let servers = try TestSentinel.start()
        var options = RedisEventLog.Options()
        options.durability.minReplicas = 1
        options.durability.waitMilliseconds = 100
        let log = try RedisEventLog.open(servers.url, createWith: 4, options: options)
        let store = try log.open()
        func appendConfirmed(_ id: String) throws {
            try waitUntil("the replica confirms \(id)") {
                do throws(LogFailure) {
                    _ = try store.append([SampleEvents.event(id)], to: "s", expecting: .any)
                    return true
                } catch {
                    guard error.isTransient else { throw error }
                    return false
                }
            }
        }
        try appendConfirmed("a")
        servers.servers[1].pause()
        for _ in 0..<2 {
            let failure = #expect(throws: LogFailure.self) {
                try store.append([SampleEvents.event("b")], to: "s", expecting: .any)
            }
            #expect(failure?.kind == .unconfirmed)
            #expect(failure?.isTransient == true)
            #expect(failure?.text.contains("0 of 1 replicas confirmed it within 100 ms") == true)
        }
        // A connection that has not written itself waits for what stands there already, too.
        let failure = #expect(throws: LogFailure.self) {
            try log.open().append([SampleEvents.event("b")], to: "s", expecting: .any)
        }
        #expect(failure?.kind == .unconfirmed)
        servers.servers[1].resume()
        try appendConfirmed("b")
        #expect(try store.load("s", after: 0, limit: 9).map(\.id) == ["a", "b"])
    }

    @Test("what no replica has is given to nobody, and a failover that takes it back is no loss")
    func takenBack() throws {
        let servers = try TestSentinel.start(replicas: 2, downAfterMilliseconds: 2000)
        let (master, replicas) = (servers.servers[0], servers.servers.dropFirst())
        var options = RedisEventLog.Options()
        options.durability = Durability(minReplicas: 1, waitMilliseconds: 300)
        let log = try RedisEventLog.open(servers.url, createWith: 2, options: options)
        let store = try log.open()
        let partition = log.partitioning.partition(of: "s")
        let feed = try log.follow(after: (0..<2).map { .start(of: $0) })
        let reader = try member(log, "reader")
        func confirmed<Answer>(_ what: String, _ body: () throws(LogFailure) -> Answer?) throws -> Answer {
            var answer: Answer?
            try waitUntil(what) {
                do throws(LogFailure) { answer = try body() } catch  where error.isTransient {}
                return answer != nil
            }
            return try #require(answer)
        }
        func append(_ id: String) throws {
            _ = try confirmed("an append of \(id)") { () throws(LogFailure) in
                try store.append([SampleEvents.event(id)], to: "s", expecting: .any)
            }
        }
        func given() throws -> (feed: [String], reader: [String]) {
            let events = try confirmed("an event in the feed") { () throws(LogFailure) in
                let events = try feed.next(limit: 9, waitMilliseconds: 100)
                return events.isEmpty ? nil : events
            }
            let deliveries = try confirmed("a delivery") { () throws(LogFailure) in
                let deliveries = try reader.next(limit: 9, waitMilliseconds: 100)
                return deliveries.isEmpty ? nil : deliveries
            }
            try confirmed("an acknowledgement") { () throws(LogFailure) in
                try reader.acknowledge(deliveries.map(\.event.position))
            }
            return (events.map(\.id), deliveries.map(\.event.id))
        }
        try append("a")
        #expect(try given() == (["a"], ["a"]))
        // What is confirmed is read at maxmemory, too: else nothing could be trimmed any more.
        try append("full")
        try master.run("CONFIG", "SET", "maxmemory", "1")
        #expect(try given() == (["full"], ["full"]))
        try master.run("CONFIG", "SET", "maxmemory", "0")
        for replica in replicas { try servers.cutOff(replica, from: master) }
        func refused(_ what: String, _ body: () throws(LogFailure) -> some Any) {
            let failure = #expect(throws: LogFailure.self) { try body() }
            #expect(failure?.kind == .unconfirmed, "\(what): \(String(describing: failure))")
        }
        refused("append") { () throws(LogFailure) in
            try store.append([SampleEvents.event("b")], to: "s", expecting: .any)
        }
        for _ in 0..<3 {
            #expect(try feed.next(limit: 9, waitMilliseconds: 100).isEmpty)
            #expect(try reader.next(limit: 9, waitMilliseconds: 100).isEmpty)
        }
        refused("load") { () throws(LogFailure) in try log.open().load("s", after: 0, limit: 9) }
        refused("read") { () throws(LogFailure) in
            try log.open().read(after: .start(of: partition), limit: 9)
        }
        refused("end") { () throws(LogFailure) in try log.open().end(of: partition) }
        options.onlyLooks = true
        options.confirmsReads = false
        let looking = try RedisEventLog.open(servers.url, createWith: nil, options: options)
        let end = try looking.open().end(of: partition)
        // A place that may go is nobody's memory.
        #expect(try log.follow(after: [end]).next(limit: 9, waitMilliseconds: 0).isEmpty)
        // What was confirmed before can be read, and who only looks sees what there is.
        #expect(try store.load("s", after: 0, limit: 1).map(\.id) == ["a"])
        #expect(try looking.open().load("s", after: 0, limit: 9).map(\.id) == ["a", "full", "b"])
        master.kill()
        try waitUntil("another master") { try servers.masterPort() != master.port }
        for replica in replicas {
            try replica.run("CONFIG", "SET", "masteruser", "")
            try replica.run("CONFIG", "SET", "masterauth", "")
        }
        try append("c")
        #expect(try given() == (["c"], ["c"]))
        try append("b")
        #expect(try given() == (["b"], ["b"]))
        #expect(try store.load("s", after: 0, limit: 9).map(\.id) == ["a", "full", "c", "b"])
        #expect(try log.halts().list().isEmpty)
    }

    @Test("sentinels that are not there, or know no such master, are named")
    func wrong() throws {
        let servers = try sharedSentinel.get()
        let place = "127.0.0.1:\(servers.sentinels[0].port)"
        var failure = #expect(throws: LogFailure.self) {
            try RedisEventLog.open("redis+sentinel://\(place)/other", createWith: nil)
        }
        #expect(failure?.kind == .unreachable)
        #expect(failure?.text.contains("\(place): it watches no master of the name other") == true)
        failure = #expect(throws: LogFailure.self) {
            try RedisEventLog.open("redis+sentinel://user:hush@127.0.0.1:1/reel", createWith: nil)
        }
        #expect(failure?.kind == .unreachable)
        #expect(failure.map { "\($0)".contains("hush") } == false)
        // One that is away is passed over.
        let log = try RedisEventLog.open(
            "redis+sentinel://127.0.0.1:1,\(place)/reel/\(servers.servers[0].freshDatabase())", createWith: 2)
        #expect(try log.open().version(of: "s") == 0)
    }
}

/// Every event of a log.
func allEvents(_ log: RedisEventLog) throws -> [RecordedEvent] {
    let store = try log.open()
    var events: [RecordedEvent] = []
    for partition in 0..<log.partitioning.count {
        var position = LogPosition.start(of: partition)
        while true {
            let page = try store.read(after: position, limit: 1000)
            guard let last = page.last else { break }
            events += page
            position = last.position
        }
    }
    return events
}

extension RedisEventLog {
    /// The port of the server that the log's commands go to.
    func nodePort() throws -> Int? {
        var commands = CommandBuffer()
        commands.command("PING")
        return try client("test").onEachMaster("test", commands, accepting: { _ in false }).first?.0.port
    }
}
