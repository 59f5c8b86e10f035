import EventSourcing
import RedisLog
import Simulation
import TestServers
import Testing

@testable import RedisLog

@Suite("Acknowledged events that are lost")
struct LostHistoryTests {
    @Test("a replica without the last appends is promoted: the partition is halted, the others go on")
    func sentinel() throws {
        let servers = try TestSentinel.start(downAfterMilliseconds: 2_000)
        let notices = Notices()
        let log = try RedisEventLog.open(servers.url, createWith: 4, options: notices.options())
        let store = try log.open()
        let feed = try log.follow(after: (0..<4).map { .start(of: $0) })
        let subscription = try member(log, "one")
        try appendSamples(log, 0..<40)
        let first = try take(40, from: subscription, limit: 40)
        try subscription.acknowledge(first.map(\.event.position))
        #expect(try drain(feed) == 40)
        try waitUntil("the replica has it all") {
            (try? isInStep(servers.servers[0])) == true
        }
        try servers.cutOff(servers.servers[1], from: servers.servers[0])
        // Acknowledged, read by the feed, and known to one server alone.
        guard
            case .appended(let lost) = try store.append(
                [SampleEvents.event("lost")], to: "key-1", expecting: .any)
        else { throw ConditionNotMet(description: "not appended") }
        let partition = lost[0].position.partition
        #expect(try drain(feed) == 1)
        // A process that knows nothing of that partition, and one that says that it is alive.
        let bystander = try RedisEventLog.open(servers.url, createWith: nil)
        let elsewhere = try bystander.open()
        let far = try #require(
            (0..<20).map { "key-\($0)" }.first { log.partitioning.partition(of: $0) != partition })
        let liveness = try log.liveness()
        try liveness.beat("alive", forMilliseconds: 60_000)
        servers.servers[0].kill()
        try waitUntil("the replica is master", seconds: 40) {
            (try? servers.servers[1].run("ROLE"))?.hasPrefix("master") == true
        }
        var failure: LogFailure?
        try waitUntil("the loss is noticed") {
            do throws(LogFailure) {
                _ = try store.append([SampleEvents.event("next")], to: "key-1", expecting: .any)
                return true
            } catch {
                failure = error
                return !error.isTransient
            }
        }
        // Neither who works elsewhere nor a beat ever fails for good.
        try waitUntil("the others go on") {
            do throws(LogFailure) {
                try liveness.beat("alive", forMilliseconds: 60_000)
                _ = try elsewhere.append([SampleEvents.event("elsewhere")], to: far, expecting: .any)
                return true
            } catch {
                #expect(error.isTransient)
                return !error.isTransient
            }
        }
        #expect(failure?.kind == .lostHistory)
        #expect(failure?.key == LogPosition.partitionName(partition))
        #expect(failure?.text.contains("has lost events that were acknowledged") == true)
        #expect(failure?.text.contains("\(lost[0].position)") == true)
        #expect(try log.halts().list().map(\.partition) == [partition])
        #expect(
            notices.list.contains { if case .partitionHalted(partition, _) = $0 { true } else { false } })
        // The others go on, for the views that are open and for other processes.
        let fresh = try RedisEventLog.open(servers.url, createWith: nil)
        failure = #expect(throws: LogFailure.self) {
            try fresh.open().append([SampleEvents.event("next")], to: "key-1", expecting: .any)
        }
        #expect(failure?.kind == .lostHistory)
        guard
            let other = (0..<20).first(where: { log.partitioning.partition(of: "key-\($0)") != partition })
        else { throw ConditionNotMet(description: "no other key") }
        _ = try store.append([SampleEvents.event("other")], to: "key-\(other)", expecting: .any)
        #expect(Set(try take(2, from: subscription).map(\.event.id)) == ["elsewhere", "other"])
        #expect(try drain(feed) == 2)
        // Somebody decides that it is so.
        let lifted = try log.halts().lift(partition, by: "anna", because: "a test")
        #expect(lifted?.halt.contains("\(lost[0].position)") == true)
        #expect(try log.halts().lift(partition, by: "anna", because: "again") == nil)
        #expect(try log.halts().lifted().map(\.reason) == ["a test"])
        let later = try RedisEventLog.open(servers.url, createWith: nil)
        _ = try later.open().append([SampleEvents.event("next")], to: "key-1", expecting: .any)
        // What was derived from the lost event is still ahead of the log, and is told so.
        failure = #expect(throws: LogFailure.self) { try later.follow(after: [lost[0].position]) }
        #expect(failure?.kind == .lostHistory)
    }

    @Test("the same on a cluster: only the partition of the lost event is halted")
    func cluster() throws {
        let cluster = try TestCluster.start(replicated: true)
        let log = try RedisEventLog.open(cluster.url, createWith: 8)
        let store = try log.open()
        try appendSamples(log, 0..<40)
        try waitUntil("the replicas have it all", seconds: 40) {
            try cluster.masters.allSatisfy(isInStep)
        }
        let partition = log.partitioning.partition(of: "key-1")
        let slot = KeySlot.of(LogKeys.log(partition))
        guard let master = try cluster.master(ofSlot: slot),
            let index = cluster.masters.firstIndex(where: { $0 === master })
        else { throw ConditionNotMet(description: "no master") }
        let replica = cluster.replicas[index]
        try replica.run("CONFIG", "SET", "masteruser", "nobody")
        try replica.run("CONFIG", "SET", "masterauth", "nothing")
        try master.run("CLIENT", "KILL", "TYPE", "replica")
        try waitUntil("the replica is cut off") {
            (try? replica.run("INFO", "replication"))?.contains("master_link_status:down") == true
        }
        _ = try store.append([SampleEvents.event("lost")], to: "key-1", expecting: .any)
        master.kill()
        try replica.run("CLUSTER", "FAILOVER", "TAKEOVER")
        var failure: LogFailure?
        try waitUntil("the loss is noticed", seconds: 40) {
            do throws(LogFailure) {
                _ = try store.append([SampleEvents.event("next")], to: "key-1", expecting: .any)
                return true
            } catch {
                failure = error
                return !error.isTransient
            }
        }
        #expect(failure?.kind == .lostHistory)
        #expect(try log.halts().list().map(\.partition) == [partition])
        for key in 0..<23 where log.partitioning.partition(of: "key-\(key)") != partition {
            _ = try store.append([SampleEvents.event("o\(key)")], to: "key-\(key)", expecting: .any)
        }
    }

    @Test("a restored backup: a checkpoint in the middle of what was written anew is noticed")
    func overwritten() throws {
        let server = try TestRedis.start()
        let log = try RedisEventLog.open(server.url, createWith: 1)
        let positions = try appendSamples(log, 0..<10)
        let client = rawClient(log)
        // The end is lost, and others write on: the checkpoint is no longer beyond the end.
        for position in positions[5...] {
            try client.raw("XDEL", LogKeys.log(0), position.entryID)
        }
        let later = try RedisEventLog.open(server.url, createWith: nil)
        _ = try later.open().append([SampleEvents.event("new")], to: "other", expecting: .any)
        var failure = #expect(throws: LogFailure.self) { try later.follow(after: [positions[7]]) }
        #expect(failure?.kind == .lostHistory)
        #expect(try later.halts().list().map(\.partition) == [0])
        // The next feed leaves the partition out; it does not end the work on the others.
        #expect(try later.follow(after: [positions[7]]).next(limit: 5, waitMilliseconds: 0).isEmpty)
        failure = #expect(throws: LogFailure.self) {
            try later.open().append([SampleEvents.event("x")], to: "other", expecting: .any)
        }
        #expect(failure?.kind == .lostHistory)
    }

    @Test("entries of a time that has not come yet are read: some clock was set back since")
    func clockSetBack() throws {
        let server = try TestRedis.start()
        let log = try RedisEventLog.open(server.url, createWith: 1)
        let positions = try appendSamples(log, 0..<2)
        let client = rawClient(log)
        // What the server would have written an hour from now.
        let key = LogKeys.log(0)
        let entry = try #require(try client.raw("XRANGE", key, positions[1].entryID, "+").elements.first)
        let fields = try #require(entry.elements.last).elements.compactMap(\.text)
        var ahead = positions[1]
        ahead.milliseconds += 3_600_000
        _ = try client.command("test", "test", ["XADD", key, ahead.entryID] + fields)
        let feed = try log.follow(after: [positions[0]])
        #expect(try feed.next(limit: 5, waitMilliseconds: 0).map(\.position) == [positions[1], ahead])
        #expect(try log.follow(after: [ahead]).next(limit: 5, waitMilliseconds: 0).isEmpty)
        // Beyond the end it is nobody's memory, and nothing halts for it.
        var beyond = ahead
        beyond.milliseconds += 1
        let failure = #expect(throws: LogFailure.self) { try log.follow(after: [beyond]) }
        #expect(failure?.kind == .lostHistory)
        #expect(try log.halts().list().isEmpty)
    }

    private func drain(_ feed: any OrderedFeed) throws -> Int {
        var count = 0
        var quiet = 0
        while quiet < 2 {
            let events: [RecordedEvent]
            do throws(LogFailure) { events = try feed.next(limit: 100, waitMilliseconds: 100) } catch {
                guard error.isTransient else { throw error }
                continue
            }
            count += events.count
            quiet = events.isEmpty ? quiet + 1 : 0
        }
        return count
    }
}

@Suite("Durability")
struct DurabilityTests {
    @Test("durable refuses a server that does not give it, and says what to set")
    func refused() throws {
        let server = try TestRedis.start()
        var options = RedisEventLog.Options()
        options.durability.level = .durable
        #expect(
            try RedisEventLog.open(server.url, createWith: 2, options: options).inspect().durability
                == "an acknowledged append is on disk: it survives a crash of the server and a loss of power")
        for (setting, value) in [("appendfsync", "everysec"), ("appendonly", "no")] {
            try server.run("CONFIG", "SET", setting, value)
            let failure = #expect(throws: LogFailure.self) {
                try RedisEventLog.open(server.url, createWith: 2, options: options)
            }
            #expect(failure?.kind == .unsuitable)
            #expect(failure?.text.contains("\(setting) \(value)") == true)
            #expect(failure?.text.contains("REEL_DURABILITY=unconfirmed") == true)
            _ = try RedisEventLog.open(server.url, createWith: 2)
        }
    }

    @Test("what got worse is said until it is right again or somebody accepts it, by new processes too")
    func worsened() throws {
        let server = try TestRedis.start()
        let notices = Notices()
        let log = try RedisEventLog.open(server.url, createWith: 2, options: notices.options())
        #expect(log.watch().look().worsened == nil)
        #expect(try log.survey().worsened == nil)
        try server.run("CONFIG", "SET", "appendfsync", "everysec")
        // A process that never saw the server as it was.
        let later = try RedisEventLog.open(server.url, createWith: nil, options: notices.options())
        for worse in [later.watch().look().worsened, try later.survey().worsened] {
            #expect(worse?.hasPrefix("the server's settings have become worse: ") == true)
            #expect(worse?.contains("a loss of power can take the last second") == true)
            #expect(worse?.hasSuffix("appendfsync was always once") == true)
        }
        #expect(
            notices.list.contains {
                if case .durabilityChanged(_, isWorse: true) = $0 { true } else { false }
            })
        // Worse still, and half of the way back, is worse all the same.
        let watch = later.watch()
        for value in ["no", "everysec"] {
            try server.run("CONFIG", "SET", "appendfsync", value)
            try waitUntil("it is looked at") { watch.look().settings?.appendFsync == value }
            #expect(later.condition.worsened?.hasSuffix("appendfsync was always once") == true)
        }
        try server.run("CONFIG", "SET", "appendfsync", "always")
        try waitUntil("it is right again") { watch.look().worsened == nil }
        #expect(try log.acceptDurability() == nil)
        try server.run("CONFIG", "SET", "appendfsync", "everysec")
        #expect(try later.acceptDurability()?.hasSuffix("appendfsync was always once") == true)
        #expect(try log.survey().worsened == nil)
        #expect(later.watch().look().worsened == nil)
        // From there on less is worse again.
        try server.run("CONFIG", "SET", "appendfsync", "no")
        #expect(try log.survey().worsened?.hasSuffix("appendfsync was everysec once") == true)
        #expect(try log.acceptDurability() != nil)
    }

    @Test("a server that wants fewer replicas than it did has become worse")
    func fewerReplicas() throws {
        let servers = try TestSentinel.start()
        let log = try RedisEventLog.open(servers.url, createWith: 2)
        try waitUntil("the replica is there") {
            try servers.servers[0].run("INFO", "replication").contains("state=online")
        }
        try servers.servers[0].run("CONFIG", "SET", "min-replicas-to-write", "1")
        #expect(log.watch().look().worsened == nil)
        #expect(try log.survey().settings?.minReplicasToWrite == 1)
        try servers.servers[0].run("CONFIG", "SET", "min-replicas-to-write", "0")
        let later = try RedisEventLog.open(servers.url, createWith: nil)
        let worse = later.watch().look().worsened
        #expect(worse?.contains("min-replicas-to-write is 0, and was 1 once") == true)
        #expect(try later.survey().worsened == worse)
    }

    @Test("durable refuses appends while the server gives less or may evict, and takes them again")
    func refusedLater() throws {
        let server = try TestRedis.start()
        let notices = Notices()
        let log = try RedisEventLog.open(
            server.url, createWith: 2, options: notices.options { $0.durability.level = .durable })
        let store = try log.open()
        let watch = log.watch()
        #expect(watch.look().settings?.objection == nil)
        for (setting, value, right) in [
            ("appendfsync", "everysec", "always"), ("maxmemory-policy", "allkeys-lru", "noeviction"),
        ] {
            _ = try store.append([SampleEvents.event("\(setting) before")], to: "s", expecting: .any)
            try server.run("CONFIG", "SET", setting, value)
            try waitUntil("it is noticed") { watch.look().settings?.objection != nil }
            let failure = #expect(throws: LogFailure.self) {
                try store.append([SampleEvents.event("\(setting) refused")], to: "s", expecting: .any)
            }
            #expect(failure?.kind == .unsuitable)
            #expect(failure?.text.contains("\(setting) ") == true && failure?.text.contains(value) == true)
            #expect(failure?.text.contains("set ") == true)
            // What is there is read all the same.
            #expect(try store.load("s", after: 0, limit: 10).last?.id == "\(setting) before")
            try server.run("CONFIG", "SET", setting, right)
            try waitUntil("it is right again") { watch.look().settings?.objection == nil }
        }
        _ = try store.append([SampleEvents.event("after")], to: "s", expecting: .any)
        #expect(
            try store.load("s", after: 0, limit: 10).map(\.id)
                == ["appendfsync before", "maxmemory-policy before", "after"])
        let objections = notices.list.compactMap {
            if case .settingsObjected(let text) = $0 { text ?? "right" } else { nil }
        }
        #expect(objections.count == 4 && objections[1] == "right" && objections[3] == "right")
    }

    @Test("what one server's replicas have says nothing of another server, or of what was given up")
    func confirmedByServer() {
        let watch = HistoryWatch(partitions: 4)
        func place(_ partition: Int, _ milliseconds: UInt64) -> LogPosition {
            LogPosition(partition: partition, milliseconds: milliseconds, counter: 0)
        }
        watch.confirm([place(1, 20), place(1, 10)], on: "a")
        #expect(watch.isConfirmed(place(1, 20), on: "a") && watch.isConfirmed(place(1, 5), on: "a"))
        #expect(!watch.isConfirmed(place(1, 21), on: "a"))
        #expect(!watch.isConfirmed(place(2, 5), on: "a"))
        #expect(!watch.isConfirmed(place(1, 5), on: "b"))
        watch.halt(1, "lost", HaltRegistry())
        let lifted = ["p001", "", "p001 lifted", "somebody"].map { Reply.string(Array($0.utf8)) }
        #expect(watch.take(HaltRegistry(lifted)).lifted == [1])
        #expect(!watch.isConfirmed(place(1, 5), on: "a"))
    }

    @Test("values that make no sense are refused")
    func values() throws {
        let url = try TestRedis.shared.url
        for (replicas, wait) in [(-1, 1000), (17, 1000), (1, 0), (1, 4600)] {
            var options = RedisEventLog.Options()
            options.durability = Durability(minReplicas: replicas, waitMilliseconds: wait)
            let failure = #expect(throws: LogFailure.self) {
                try RedisEventLog.open(url, createWith: 2, options: options)
            }
            #expect(failure?.kind == .invalid)
        }
    }

    @Test("a server without replicas confirms nothing")
    func alone() throws {
        let server = try TestRedis.shared
        var options = RedisEventLog.Options()
        options.durability = Durability(minReplicas: 2, waitMilliseconds: 20)
        let log = try RedisEventLog.open(
            "\(server.url)/\(server.freshDatabase())", createWith: 2, options: options)
        let failure = #expect(throws: LogFailure.self) {
            try log.open().append([SampleEvents.event("a")], to: "s", expecting: .any)
        }
        #expect(failure?.kind == .unconfirmed)
        #expect(
            try log.inspect().durability.hasSuffix("2 replicas have it in memory (waited for at most 20 ms)"))
    }
}

/// Whether a replica has all that a master has. (`WAIT` on a connection that has written nothing asks for
/// nothing.)
private func isInStep(_ master: TestRedis) throws -> Bool {
    let name = "master_repl_offset:"
    let info = try master.run("INFO", "replication").split(whereSeparator: \.isNewline)
    guard let offset = info.first(where: { $0.hasPrefix(name) })?.dropFirst(name.count) else { return false }
    return info.contains { $0.hasPrefix("slave") && $0.contains("state=online,offset=\(offset),") }
}
