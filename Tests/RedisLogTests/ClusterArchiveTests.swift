import EventSourcing
import RedisLog
import Simulation
import TestServers
import Testing

@testable import RedisLog

@Suite("Archive on a cluster")
struct ClusterArchiveTests {
    @Test("everything reads the same, the masters' memory shrinks, and a moved slot is archived on")
    func archive() throws {
        let cluster = try TestCluster.start()
        var options = RedisEventLog.Options()
        options.archive = InMemorySegmentStore()
        let log = try RedisEventLog.open(cluster.url, createWith: 8, options: options)
        try appendSamples(log, 0..<800, keys: 97)
        let starts = (0..<8).map { LogPosition.start(of: $0) }
        let before = try allEvents(log)
        let whole = try log.memory()
        // Every node has some of it, and all of it is counted.
        var keys = 0
        for master in cluster.masters {
            let own = try master.run("KEYS", "reel:{*").split(separator: "\n").count
            #expect(own > 0)
            keys += own
        }
        #expect(whole.keys == keys)
        var policy = ArchivePolicy()
        policy.afterEvents = 20
        let archiver = try log.archiver(policy)
        for partition in 0..<8 { #expect(try archiver.run(partition: partition, all: true).events > 20) }
        #expect(try archiver.status().map(\.archivedEvents).reduce(0, +) == 792)
        #expect(try log.memory().bytes < whole.bytes / 2)
        #expect(try allEvents(log) == before)
        #expect(try log.groups().remaining(after: starts).reduce(0, +) == 800)
        let fresh = try RedisEventLog.open(cluster.url, createWith: nil, options: options)
        #expect(try fresh.open().version(of: "key-1") == UInt64(before.count { $0.partitionKey == "key-1" }))

        let slot = KeySlot.of(LogKeys.log(3))
        let source = try #require(try cluster.master(ofSlot: slot))
        let target = try #require(cluster.masters.first { $0 !== source })
        try cluster.beginMove(slot: slot, from: source, to: target)
        while try cluster.moveKeys(slot: slot, from: source, to: target) > 0 {}
        try cluster.endMove(slot: slot, from: source, to: target)
        try appendSamples(log, 800..<1000, keys: 97)
        let after = try allEvents(log)
        for partition in 0..<8 {
            _ = try archiver.run(partition: partition, all: true)
            #expect(try archiver.verify(partition: partition).events > 20)
        }
        #expect(try allEvents(log) == after)
        #expect(try archiver.status().map(\.archivedEvents).reduce(0, +) == 992)
        #expect(try log.halts().list().isEmpty)
    }
}
