import Base
import EventSourcing
import RedisLog
import Simulation
import TestServers
import Testing

@testable import RedisLog

/// One cluster for the contract cases. It has one database, so that they come one after the other.
private let sharedCluster = Result { try TestCluster.start() }
private let clusterInUse = Lock(())

@Suite("Contracts on a cluster of three masters", .serialized)
struct ClusterContractTests {
    private func check(_ contract: ContractCase, partitions: Int) throws {
        try clusterInUse.withLock { _ in
            let cluster = try sharedCluster.get()
            try cluster.flush()
            try contract.check(try RedisEventLog.open(cluster.url, createWith: partitions))
        }
    }

    @Test("store", arguments: EventStoreContract.cases)
    func store(_ contract: ContractCase) throws { try check(contract, partitions: 4) }

    @Test("subscription", arguments: SubscriptionContract.cases)
    func subscription(_ contract: ContractCase) throws { try check(contract, partitions: 8) }

    @Test("feed", arguments: FeedContract.cases)
    func feed(_ contract: ContractCase) throws { try check(contract, partitions: 4) }

    @Test("leases", arguments: LeaseContract.cases)
    func leases(_ contract: ContractCase) throws { try check(contract, partitions: 4) }

    @Test("parking", arguments: ParkingContract.cases)
    func parking(_ contract: ContractCase) throws { try check(contract, partitions: 4) }

    @Test("group figures, parked events and liveness over all nodes")
    func operations() throws {
        try clusterInUse.withLock { _ in
            let cluster = try sharedCluster.get()
            try cluster.flush()
            let log = try RedisEventLog.open(cluster.url, createWith: 16)
            for master in cluster.masters { #expect(try master.run("FUNCTION", "LIST").contains("reel")) }
            try appendSamples(log, 0..<300)
            let subscription = try member(log, "one")
            let taken = try take(100, from: subscription)
            try subscription.acknowledge(taken.dropFirst().map(\.event.position))
            let reason = ParkedReason(
                stage: "s", errors: ["e"], attempts: 1, time: Timestamp(milliseconds: 0))
            try subscription.park(taken[0], reason)
            let backlog = try log.groups().backlog(of: "work")
            #expect((backlog?.behind ?? 0) + (backlog?.pending ?? 0) == 200)
            #expect(backlog?.parked == 1)
            #expect(try log.parkedEvents().list(group: "work").map(\.position) == [taken[0].event.position])
            #expect(try log.parkedEvents().retry(group: "work", taken[0].event.position) == .done)
            let counts = try cluster.masters.map { Int(try $0.run("DBSIZE")) ?? 0 }
            #expect(counts.allSatisfy { $0 > 5 })
            #expect(try log.inspect().durability.contains("a failover loses"))
        }
    }

    @Test("index", arguments: LogIndexContract.cases)
    func index(_ contract: ContractCase) throws { try check(contract, partitions: 4) }
}

@Suite("Redis Cluster")
struct ClusterTests {
    /// Appends numbered events until `stop`, waiting out what is transient.
    private func write(
        _ log: RedisEventLog, _ writer: Int, _ acknowledged: Monitored<[String: LogPosition]>,
        until stop: () -> Bool
    ) throws {
        let store = try log.open()
        var number = 0
        while !stop() {
            let batches = (0..<5).map {
                AppendBatch(
                    to: "key-\((number + $0) % 40)", expecting: .any,
                    [SampleEvents.event("w\(writer)/\(number + $0)", number: number + $0)])
            }
            try waitUntil("an append is acknowledged", seconds: 60) {
                do throws(LogFailure) {
                    for (batch, outcome) in zip(batches, try store.append(batches)) {
                        guard case .appended(let events) = outcome else { return false }
                        acknowledged.change { $0[batch.events[0].id] = events[0].position }
                    }
                    return true
                } catch {
                    guard error.isTransient else { throw error }
                    return false
                }
            }
            number += 5
        }
    }

    /// Follows the log and joins a group until both have seen everything that was acknowledged.
    private func read(
        _ log: RedisEventLog, _ acknowledged: Monitored<[String: LogPosition]>, when done: () -> Bool
    ) throws {
        let feed = try log.follow(after: (0..<log.partitioning.count).map { .start(of: $0) })
        let subscription = try member(log, "reader")
        var fed: [String] = []
        var delivered: Set<String> = []
        try waitUntil("everything was read", seconds: 60) {
            do throws(LogFailure) {
                fed += try feed.next(limit: 100, waitMilliseconds: 20).map(\.id)
                let batch = try subscription.next(limit: 50, waitMilliseconds: 20)
                delivered.formUnion(batch.map(\.event.id))
                try subscription.acknowledge(batch.map(\.event.position))
            } catch { guard error.isTransient else { throw error } }
            let expected = acknowledged.value.count
            return done() && fed.count >= expected && delivered.count >= expected
        }
        #expect(Set(fed) == Set(acknowledged.value.keys))
        #expect(fed.count == acknowledged.value.count)
        #expect(delivered == Set(acknowledged.value.keys))
    }

    private func requireAll(
        _ log: RedisEventLog, _ acknowledged: Monitored<[String: LogPosition]>
    ) throws {
        let events = try allEvents(log)
        #expect(events.count == acknowledged.value.count)
        for event in events { #expect(acknowledged.value[event.id] == event.position) }
        var sequences: [String: UInt64] = [:]
        for event in events {
            #expect(event.sequence == (sequences[event.partitionKey] ?? 0) + 1)
            sequences[event.partitionKey] = event.sequence
        }
    }

    @Test("what a master without replicas holds back holds up no other partition")
    func oneWithoutReplicas() throws {
        let cluster = try TestCluster.start(replicated: true)
        var options = RedisEventLog.Options()
        options.durability = Durability(minReplicas: 1, waitMilliseconds: 200)
        let log = try RedisEventLog.open(cluster.url, createWith: 12, options: options)
        let feed = try log.follow(after: (0..<12).map { .start(of: $0) })
        let reader = try member(log, "reader")
        let alone = Set(
            try (0..<12).filter {
                try cluster.master(ofSlot: KeySlot.of(LogKeys.log($0)))?.port == cluster.masters[0].port
            })
        #expect(!alone.isEmpty && alone.count < 12)
        let store = try log.open()
        func append(_ number: Int, _ round: Int) throws {
            let event = SampleEvents.event("\(number)/\(round)")
            try waitUntil("an append of \(event.id)") {
                do throws(LogFailure) {
                    _ = try store.append([event], to: "key-\(number)", expecting: .any)
                    return true
                } catch {
                    guard error.kind == .unconfirmed else { throw error }
                    return false
                }
            }
        }
        for number in 0..<20 { try append(number, 0) }
        var followed: Set<String> = []
        try waitUntil("everything comes") {
            followed.formUnion(try feed.next(limit: 100, waitMilliseconds: 50).map(\.id))
            return followed.count == 20
        }
        try reader.acknowledge(try take(20, from: reader).map(\.event.position))
        cluster.replicas[0].pause()
        defer { cluster.replicas[0].resume() }
        for round in 1...2 {
            for number in 0..<20 {
                guard alone.contains(log.partitioning.partition(of: "key-\(number)")) else {
                    try append(number, round)
                    continue
                }
                let failure = #expect(throws: LogFailure.self) {
                    try store.append(
                        [SampleEvents.event("\(number)/\(round)")], to: "key-\(number)", expecting: .any)
                }
                #expect(failure?.kind == .unconfirmed)
            }
            var (followed, delivered): (Set<String>, Set<String>) = ([], [])
            let expected = Set(
                (0..<20).filter { !alone.contains(log.partitioning.partition(of: "key-\($0)")) }
                    .map { "\($0)/\(round)" })
            try waitUntil("the others go on in round \(round)", seconds: 60) {
                followed.formUnion(try feed.next(limit: 100, waitMilliseconds: 50).map(\.id))
                // One at a time: what is held back takes nobody's place.
                let deliveries = try reader.next(limit: 1, waitMilliseconds: 50)
                try reader.acknowledge(deliveries.map(\.event.position))
                delivered.formUnion(deliveries.map(\.event.id))
                return followed == expected && delivered == expected
            }
        }
        cluster.replicas[0].resume()
        var late: Set<String> = []
        try waitUntil("what was held back comes", seconds: 60) {
            let deliveries = try reader.next(limit: 10, waitMilliseconds: 50)
            try reader.acknowledge(deliveries.map(\.event.position))
            late.formUnion(deliveries.map(\.event.id))
            return late.count == 2
                * (0..<20).count {
                    alone.contains(log.partitioning.partition(of: "key-\($0)"))
                }
        }
    }

    @Test("an append whose master dies before it has said that replicas have it is not acknowledged")
    func diesWhileWaiting() throws {
        let cluster = try TestCluster.start(replicated: true)
        var options = RedisEventLog.Options()
        options.durability = Durability(minReplicas: 1, waitMilliseconds: 3000)
        let log = try RedisEventLog.open(cluster.url, createWith: 1, options: options)
        let store = try log.open()
        try waitUntil("the first append") {
            do throws(LogFailure) {
                _ = try store.append([SampleEvents.event("a")], to: "s", expecting: .any)
                return true
            } catch {
                guard error.isTransient else { throw error }
                return false
            }
        }
        let owner = try cluster.master(ofSlot: KeySlot.of(LogKeys.log(0)))
        let master = try #require(owner)
        let place = try #require(cluster.masters.firstIndex { $0.port == master.port })
        cluster.replicas[place].pause()
        try concurrently(2) { thread in
            guard thread > 0 else {
                try waitUntil("the master has it") { try master.run("XLEN", LogKeys.log(0)).contains("2") }
                return master.kill()
            }
            let own = try log.open()
            do throws(LogFailure) {
                _ = try own.append([SampleEvents.event("b")], to: "s", expecting: .any)
                Issue.record("it is acknowledged")
            } catch { #expect(error.isTransient) }
        }
    }

    @Test("slots move to another node under writers and readers")
    func resharding() throws {
        let cluster = try TestCluster.start()
        let log = try RedisEventLog.open(cluster.url, createWith: 8)
        let acknowledged = Monitored<[String: LogPosition]>([:])
        let moved = Monitored(0)
        let finished = Monitored(0)
        try concurrently(4) { thread in
            switch thread {
            case 0:
                for partition in 0..<4 {
                    let slot = KeySlot.of(LogKeys.log(partition))
                    guard let source = try cluster.master(ofSlot: slot),
                        let target = cluster.masters.first(where: { $0 !== source })
                    else { throw ConditionNotMet(description: "no master of \(slot)") }
                    let before = acknowledged.value.count
                    try waitUntil("appends go on") { acknowledged.value.count > before + 50 }
                    try cluster.beginMove(slot: slot, from: source, to: target)
                    while try cluster.moveKeys(slot: slot, limit: 3, from: source, to: target) > 0 {}
                    try cluster.endMove(slot: slot, from: source, to: target)
                    moved.change { $0 += 1 }
                }
            case 1, 2:
                try write(log, thread, acknowledged) { moved.value == 4 && acknowledged.value.count > 500 }
                finished.change { $0 += 1 }
            default: try read(log, acknowledged) { finished.value == 2 }
            }
        }
        try requireAll(log, acknowledged)
        #expect(try log.halts().list().isEmpty)
    }

    @Test("MOVED is followed and learned; ASK is followed for one command; TRYAGAIN is waited out")
    func redirections() throws {
        let cluster = try TestCluster.start()
        let log = try RedisEventLog.open(cluster.url, createWith: 1)
        try appendSamples(log, 0..<20)
        let store = try log.open()
        #expect(try store.version(of: "key-1") == 1)
        let slot = KeySlot.of(LogKeys.log(0))
        guard let source = try cluster.master(ofSlot: slot),
            let target = cluster.masters.first(where: { $0 !== source })
        else { throw ConditionNotMet(description: "no master") }
        func errors(_ node: TestRedis, _ name: String) throws -> Int {
            let line = try node.run("INFO", "errorstats").split(whereSeparator: \.isNewline)
                .first { $0.hasPrefix("errorstat_\(name):count=") }
            return line.flatMap { Int($0.split(separator: "=")[1]) } ?? 0
        }
        try cluster.beginMove(slot: slot, from: source, to: target)
        try source.run("MIGRATE", "127.0.0.1", "\(target.port)", LogKeys.log(0), "0", "5000")
        // Each command of a read has one key, so that it can be sent on by itself.
        #expect(try store.read(after: .start(of: 0), limit: 100).count == 20)
        #expect(try errors(source, "ASK") >= 1)
        // One key is here and the others there: appends wait until the move is over, and then give up.
        let failure = #expect(throws: LogFailure.self) {
            try store.append([SampleEvents.event("late")], to: "key-1", expecting: .any)
        }
        #expect(failure?.kind == .refusingWrites)
        #expect(failure?.isTransient == true)
        #expect(try errors(source, "TRYAGAIN") > 1)
        while try cluster.moveKeys(slot: slot, from: source, to: target) > 0 {}
        try cluster.endMove(slot: slot, from: source, to: target)
        // A view that has not noticed: its first command is sent away, the next ones go to the right node.
        let before = try errors(source, "MOVED")
        _ = try store.append([SampleEvents.event("late")], to: "key-1", expecting: .any)
        #expect(try store.load("key-1", after: 0, limit: 9).map(\.id) == ["Sampled-1", "late"])
        #expect(try errors(source, "MOVED") - before <= 1)
        // It has refreshed its map while it waited; a fresh slot change is seen as MOVED.
        try cluster.beginMove(slot: slot, from: target, to: source)
        while try cluster.moveKeys(slot: slot, from: target, to: source) > 0 {}
        try cluster.endMove(slot: slot, from: target, to: source)
        #expect(try store.version(of: "key-1") == 2)
        #expect(try store.version(of: "key-1") == 2)
        #expect(try errors(target, "MOVED") == 1)
    }

    @Test("a master is killed, its replica takes over: nothing that a replica confirmed is lost")
    func failover() throws {
        let cluster = try TestCluster.start(replicated: true)
        var options = RedisEventLog.Options()
        options.durability.minReplicas = 1
        let log = try RedisEventLog.open(cluster.url, createWith: 8, options: options)
        let slot = KeySlot.of(LogKeys.log(0))
        guard let victim = try cluster.master(ofSlot: slot) else {
            throw ConditionNotMet(description: "no master")
        }
        let acknowledged = Monitored<[String: LogPosition]>([:])
        let back = Monitored(false)
        let finished = Monitored(0)
        try concurrently(4) { thread in
            switch thread {
            case 0:
                try waitUntil("appends under way") { acknowledged.value.count > 200 }
                victim.kill()
                try waitUntil("the replica has taken over") {
                    (try? cluster.master(ofSlot: slot)).map { $0 !== victim } ?? false
                }
                // It comes back as replica of the one that took over, which then has one to confirm.
                try victim.restart()
                back.change { $0 = true }
            case 1, 2:
                try write(log, thread, acknowledged) { back.value && acknowledged.value.count > 600 }
                finished.change { $0 += 1 }
            default: try read(log, acknowledged) { finished.value == 2 }
            }
        }
        try requireAll(log, acknowledged)
        #expect(try log.halts().list().isEmpty)
    }
}
