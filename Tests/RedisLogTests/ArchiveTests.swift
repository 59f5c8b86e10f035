import Base
import EventSourcing
import RedisLog
import Simulation
import TestServers
import Testing

@testable import RedisLog

@Suite("Contracts on a log that is archived before every call")
struct ArchivedContractTests {
    @Test("store", arguments: EventStoreContract.cases)
    func store(_ contract: ContractCase) throws { try contract.check(try ArchivingLog()) }

    @Test("subscription", arguments: SubscriptionContract.cases)
    func subscription(_ contract: ContractCase) throws {
        try contract.check(
            try ArchivingLog(
                partitions: 8, required: ["work"],
                others: ["a", "b", "late"] + (0..<8).map { "group-\($0)" }))
    }

    @Test("feed", arguments: FeedContract.cases)
    func feed(_ contract: ContractCase) throws { try contract.check(try ArchivingLog()) }

    @Test("leases", arguments: LeaseContract.cases)
    func leases(_ contract: ContractCase) throws { try contract.check(try ArchivingLog()) }

    @Test("parking", arguments: ParkingContract.cases)
    func parking(_ contract: ContractCase) throws { try contract.check(try ArchivingLog()) }
}

/// A log with an archive in memory, and its archiver.
struct ArchivedLog {
    let store = InMemorySegmentStore()
    let log: RedisEventLog

    /// - Parameter server: a server of its own; the shared one where nil.
    init(partitions: Int = 2, on server: TestRedis? = nil) throws {
        var options = RedisEventLog.Options()
        options.archive = store
        log =
            try server.map { try RedisEventLog.open($0.url, createWith: partitions, options: options) }
            ?? freshLog(partitions: partitions, options: options)
    }

    /// The same log with nothing kept in this process's memory.
    func reopened(_ subscriptions: SubscriptionRegistry? = nil) throws -> RedisEventLog {
        var options = RedisEventLog.Options()
        options.archive = store
        options.subscriptions = subscriptions
        return try RedisEventLog.open(
            "redis://127.0.0.1:\(log.address.first.port)/\(log.address.first.database)", createWith: nil,
            options: options
        )
    }

    @discardableResult
    func archive(
        _ policy: ArchivePolicy = ArchivePolicy(), upTo: LogPosition? = nil,
        reached: @escaping (ArchiveStep) throws(LogFailure) -> Void = { _ in }
    ) throws(LogFailure) -> [ArchiveRun] {
        let archiver = try log.archiver(policy, reached: reached)
        var runs: [ArchiveRun] = []
        for partition in 0..<log.partitioning.count {
            runs.append(try archiver.run(partition: partition, upTo: upTo, all: true))
        }
        return runs
    }

    /// Everything that can be read, in every way.
    func everything(keys: Int) throws -> [[RecordedEvent]] {
        let log = try reopened()
        let store = try log.open()
        let starts = (0..<log.partitioning.count).map { LogPosition.start(of: $0) }
        var all = try starts.map { try store.read(after: $0, limit: 100_000) }
        let feed = try log.follow(after: starts)
        var followed: [RecordedEvent] = []
        while true {
            let batch = try feed.next(limit: 33, waitMilliseconds: 0)
            if batch.isEmpty { break }
            followed += batch
        }
        all.append(followed.sorted { $0.position < $1.position })
        for key in 0..<keys {
            var events: [RecordedEvent] = []
            try store.forEach(of: "key-\(key)", pageSize: 3) { events.append($0) }
            #expect(try store.version(of: "key-\(key)") == UInt64(events.count))
            all.append(events)
        }
        return all
    }

    func names(_ partition: Int) throws -> [SegmentName] {
        try store.names(in: ArchivePart(epoch: log.epoch, partition: partition))
    }

    func damage(_ name: SegmentName) {
        store.damage(name, in: ArchivePart(epoch: log.epoch, partition: name.last.partition))
    }

    func keys(_ partition: Int) throws -> [String] {
        try rawClient(log).raw("KEYS", "reel:{\(LogPosition.partitionName(partition))}:*").elements
            .compactMap(\.text)
    }
}

@Suite("Archive")
struct ArchiveTests {
    @Test("everything reads the same before and after, from any position and page size")
    func sameReads() throws {
        let archived = try ArchivedLog()
        var policy = ArchivePolicy()
        policy.afterEvents = 37
        try appendSamples(archived.log, 0..<500)
        let before = try archived.everything(keys: 23)
        let position = before[0][100].position
        let remaining = try archived.log.groups().remaining(after: [.start(of: 0), position])
        let runs = try archived.archive(policy)
        #expect(runs.map(\.events).reduce(0, +) == 498)
        #expect(runs.allSatisfy { $0.segments > 3 })
        #expect(try archived.everything(keys: 23) == before)
        #expect(try archived.log.groups().remaining(after: [.start(of: 0), position]) == remaining)
        for partition in 0..<2 {
            #expect(try rawClient(archived.log).raw("XLEN", LogKeys.log(partition)).integer == 1)
            let archiver = try archived.log.archiver(policy)
            #expect(try archiver.verify(partition: partition).events == runs[partition].events)
        }
        let store = try archived.log.open()
        for (place, event) in before[0].enumerated() {
            let page = try store.read(after: event.position, limit: 41)
            #expect(page == Array(before[0][(place + 1)...].prefix(41)))
        }
        // What comes later joins on without a seam.
        try appendSamples(archived.log, 500..<600)
        let later = try archived.everything(keys: 23)
        #expect(Array(later[0].prefix(before[0].count)) == before[0])
        #expect(later[..<2].map(\.count).reduce(0, +) == 600)
        try archived.archive(policy)
        #expect(try archived.everything(keys: 23) == later)
    }

    @Test("nothing stays in the server for keys that are archived; ids and versions count all the same")
    func evicted() throws {
        let archived = try ArchivedLog(partitions: 1)
        let store = try archived.log.open()
        let events = (0..<20).map { SampleEvents.event("e\($0)", number: $0) }
        _ = try store.append(events, to: "s", expecting: .absent)
        _ = try store.append([SampleEvents.event("last")], to: "other", expecting: .absent)
        try archived.archive()
        let left = try archived.keys(0).filter {
            $0.hasSuffix(":s") || $0.contains(":s:s") || $0.contains(":i:s")
        }
        #expect(left == [])
        let fresh = try archived.reopened().open()
        guard case .appended(let again) = try fresh.append(events, to: "s", expecting: .absent) else {
            return #expect(Bool(false), "a repeated append was not taken")
        }
        #expect(again.map(\.sequence) == Array(1...20))
        #expect(again.filter(\.wasPresent).count == 20)
        #expect(try fresh.load("s", after: 0, limit: 30).map(\.position) == again.map(\.position))
        let other = [SampleEvents.event("e3", number: 99)]
        #expect(try fresh.append(other, to: "s", expecting: .any) == .idTaken(eventID: "e3"))
        let new = [SampleEvents.event("new")]
        #expect(try fresh.append(new, to: "s", expecting: .exactly(19)) == .conflict(actual: 20))
        guard case .appended(let added) = try fresh.append(new, to: "s", expecting: .exactly(20)) else {
            return #expect(Bool(false), "an append with the right version was not taken")
        }
        #expect(added.map(\.sequence) == [21])
        #expect(try rawClient(archived.log).raw("TTL", LogKeys.ids(0, "s")).integer == -1)
        _ = try store.append([SampleEvents.event("more")], to: "other", expecting: .exactly(1))
        #expect(try fresh.load("s", after: 18, limit: 9).map(\.sequence) == [19, 20, 21])
        try archived.archive()
        #expect(try fresh.load("s", after: 18, limit: 9).map(\.sequence) == [19, 20, 21])
        // A key that is new may have the archive's blessing only while nothing is evicted meanwhile.
        #expect(try fresh.append(new, to: "unknown", expecting: .exactly(3)) == .conflict(actual: 0))
        guard case .appended = try fresh.append(new, to: "unknown", expecting: .absent) else {
            return #expect(Bool(false), "a new key was not taken")
        }
    }

    @Test("restored ids that no append follows go again by themselves, and nothing depends on them")
    func restoredExpires() throws {
        let archived = try ArchivedLog(partitions: 1)
        let store = try archived.log.open()
        _ = try store.append([SampleEvents.event("a")], to: "s", expecting: .absent)
        _ = try store.append([SampleEvents.event("b")], to: "t", expecting: .absent)
        try archived.archive()
        let new = [SampleEvents.event("c")]
        #expect(try store.append(new, to: "s", expecting: .absent) == .conflict(actual: 1))
        let client = rawClient(archived.log)
        #expect(try client.raw("TTL", LogKeys.ids(0, "s")).integer ?? 0 > 0)
        #expect(try client.raw("DEL", LogKeys.ids(0, "s")).integer == 1)
        #expect(try store.version(of: "s") == 1)
        #expect(try store.append(new, to: "s", expecting: .absent) == .conflict(actual: 1))
    }

    @Test("nothing passes a pending entry, a group that lags, a parked event or a checkpoint")
    func holds() throws {
        let archived = try ArchivedLog(partitions: 1)
        let log = archived.log
        let positions = try appendSamples(log, 0..<100)
        let subscription = try member(log, "one")
        #expect(try archived.archive()[0].events == 0)
        let deliveries = try take(60, from: subscription)
        #expect(try archived.archive()[0].events == 0)
        try subscription.acknowledge(
            deliveries.map(\.event.position).filter { $0 != positions[10] && $0 != positions[20] })
        #expect(try archived.archive()[0].events == 10)
        let tenth = deliveries.first { $0.event.position == positions[10] }
        let reason = ParkedReason(stage: "work", errors: ["e"], attempts: 1, time: Timestamp(milliseconds: 0))
        try subscription.park(try #require(tenth), reason)
        #expect(try archived.archive()[0].events == 0)
        #expect(try log.archiver(ArchivePolicy()).status()[0].hold?.kind == "parked event")
        #expect(try log.parkedEvents().retry(group: "work", positions[10]) == .done)
        #expect(try archived.archive()[0].events == 0)
        var again: [Delivery] = []
        while !again.contains(where: { $0.event.position == positions[10] }) {
            again += try take(1, from: subscription)
        }
        try subscription.acknowledge(again.map(\.event.position))
        #expect(try archived.archive()[0].events == 10)
        try subscription.acknowledge([positions[20]])
        try log.checkpoints().save("completion", [positions[39]])
        #expect(try archived.archive()[0].events == 20)
        try log.checkpoints().save("completion", [positions[99]])
        #expect(try archived.archive(upTo: positions[49])[0].events == 10)
        #expect(try archived.archive()[0].events >= 10)
        let more = try appendSamples(log, 100..<150)
        try log.checkpoints().save("completion", [more[49]])
        let rest = try take(91 - again.count, from: subscription)
        try subscription.acknowledge(rest.map(\.event.position))
        func events(_ group: String, _ checkpoint: String, holdsBack: Bool = true) throws -> Int {
            let registry = SubscriptionRegistry([
                Subscription(group, .group, parks: true, holdsBack: holdsBack),
                Subscription(checkpoint, .log, parks: true, holdsBack: holdsBack),
            ])
            let archiver = try archived.reopened(registry).archiver(ArchivePolicy())
            return try archiver.run(partition: 0, all: true).events
        }
        #expect(try events("absent", "completion") == 0)
        #expect(try events("work", "absent") == 0)
        #expect(try events("work", "completion") > 0)
        #expect(try log.archiver(ArchivePolicy()).status()[0].archivedEvents == 149)
    }

    @Test("nobody reads on under a name that the archiver does not know")
    func unregistered() throws {
        let archived = try ArchivedLog(partitions: 1)
        let positions = try appendSamples(archived.log, 0..<10)
        let log = try archived.reopened(
            SubscriptionRegistry([
                Subscription("work", .group, parks: true, holdsBack: true),
                Subscription("reader", .log, parks: true, holdsBack: true),
            ]))
        let me = ConsumerName(instance: "i", number: 0)
        for name in ["reader", "other"] {
            let failure = #expect(throws: LogFailure.self) {
                try log.join(group: name, consumer: me, types: [])
            }
            #expect(failure?.kind == .invalid && failure?.key == name)
        }
        for name in ["work", "other"] {
            let failure = #expect(throws: LogFailure.self) { try log.checkpoints().save(name, positions) }
            #expect(failure?.kind == .invalid && failure?.key == name)
        }
        #expect(try log.checkpoints().load("other").isEmpty)
        _ = try log.join(group: "work", consumer: me, types: [])
        try log.checkpoints().save("reader", [positions[4]])
        #expect(try log.checkpoints().load("reader") == [0: positions[4]])
    }

    @Test("the server itself refuses to trim beyond what is needed, whatever the archiver believes")
    func atomicRefusal() throws {
        let archived = try ArchivedLog(partitions: 1)
        let log = archived.log
        let positions = try appendSamples(log, 0..<50)
        let notified = Monitored(false)
        let runs = try archived.archive { step throws(LogFailure) in
            // Between the archiver's look and the trim a group comes that has read nothing.
            guard step == .verified, !notified.value else { return }
            notified.change { $0 = true }
            _ = try log.join(
                group: "late", consumer: ConsumerName(instance: "one", number: 0), types: ["Sampled"])
        }
        #expect(runs[0].events == 0)
        #expect(runs[0].hold?.kind == "group")
        #expect(try rawClient(log).raw("XLEN", LogKeys.log(0)).integer == 50)
        let late = try log.join(
            group: "late", consumer: ConsumerName(instance: "one", number: 0), types: ["Sampled"])
        let deliveries = try take(50, from: late)
        #expect(deliveries.map(\.event.position) == positions)
        try late.acknowledge(positions)
        #expect(try archived.archive()[0].events == 49)
        #expect(try archived.archive()[0].segments == 0)
    }

    @Test("a damaged or missing segment is named, and nothing is trimmed")
    func damage() throws {
        let archived = try ArchivedLog(partitions: 1)
        var policy = ArchivePolicy()
        policy.afterEvents = 20
        try appendSamples(archived.log, 0..<100)
        try archived.archive(policy)
        let names = try archived.names(0)
        #expect(names.count == 5)
        try appendSamples(archived.log, 100..<200)
        let part = ArchivePart(epoch: archived.log.epoch, partition: 0)
        let lost = try #require(archived.store.remove(names[2], in: part))
        let live = try rawClient(archived.log).raw("XLEN", LogKeys.log(0)).integer
        var failure = #expect(throws: LogFailure.self) { try archived.archive(policy) }
        #expect(failure?.kind == .corrupt)
        #expect(failure?.key == "p000/\(names[2])")
        failure = #expect(throws: LogFailure.self) {
            try archived.reopened().open().read(after: .start(of: 0), limit: 100)
        }
        #expect(failure?.key == "\(names[2])")
        failure = #expect(throws: LogFailure.self) {
            try archived.log.archiver(policy).verify(partition: 0)
        }
        #expect(failure?.key.contains(names[2].last.entryID) == true)
        archived.store.put(lost, as: names[2], in: part)
        archived.damage(names[3])
        failure = #expect(throws: LogFailure.self) {
            try archived.log.archiver(policy).verify(partition: 0)
        }
        #expect(failure?.key == "\(names[3])")
        failure = #expect(throws: LogFailure.self) {
            try archived.reopened().open().read(after: .start(of: 0), limit: 1000)
        }
        #expect(failure?.key == "\(names[3])")
        #expect(try rawClient(archived.log).raw("XLEN", LogKeys.log(0)).integer == live)
    }

    @Test("a segment that was damaged before the log is trimmed keeps the log as it is")
    func damagedBeforeTrim() throws {
        let archived = try ArchivedLog(partitions: 1)
        try appendSamples(archived.log, 0..<50)
        let failure = #expect(throws: LogFailure.self) {
            try archived.archive(ArchivePolicy()) { step throws(LogFailure) in
                guard step == .written else { return }
                do { for name in try archived.names(0) { archived.damage(name) } } catch { return }
            }
        }
        #expect(failure?.kind == .corrupt)
        #expect(try rawClient(archived.log).raw("XLEN", LogKeys.log(0)).integer == 50)
        #expect(throws: LogFailure.self) { try archived.archive() }
        #expect(try rawClient(archived.log).raw("XLEN", LogKeys.log(0)).integer == 50)
    }

    @Test("a run that dies at any step is gone on with, and nothing is lost or different")
    func crashes() throws {
        for step in ArchiveStep.allCases {
            for nth in 1...3 {
                let archived = try ArchivedLog()
                var policy = ArchivePolicy()
                policy.afterEvents = 40
                try appendSamples(archived.log, 0..<300, keys: 11)
                let before = try archived.everything(keys: 11)
                let seen = Monitored(0)
                let died = #expect(throws: LogFailure.self) {
                    try archived.archive(policy) { reached throws(LogFailure) in
                        guard reached == step else { return }
                        seen.change { $0 += 1 }
                        if seen.value == nth {
                            throw LogFailure(.server, operation: "die", key: step.rawValue, text: "killed")
                        }
                    }
                }
                #expect(died?.operation == "die")
                #expect(try archived.everything(keys: 11) == before, "after dying at \(step) \(nth)")
                let store = try archived.reopened().open()
                for events in before[3...] {
                    // Every id is still known, and every version.
                    let key = events[0].partitionKey
                    let outcome = try store.append(events.map(\.event), to: key, expecting: .absent)
                    guard case .appended(let present) = outcome else {
                        return #expect(Bool(false), "\(outcome)")
                    }
                    #expect(present.filter(\.wasPresent).count == events.count)
                    #expect(present.map(\.position) == events.map(\.position))
                }
                let runs = try archived.archive(policy)
                #expect(runs.count == 2)
                #expect(try archived.everything(keys: 11) == before, "gone on after \(step) \(nth)")
                let status = try archived.log.archiver(policy).status()
                #expect(status.map(\.liveEvents) == [1, 1])
                #expect(status.map(\.archivedEvents).reduce(0, +) == 298)
            }
        }
    }

    @Test("two archivers at once, appends and reads in between: nothing twice, nothing lost")
    func concurrent() throws {
        let archived = try ArchivedLog()
        var policy = ArchivePolicy()
        policy.afterEvents = 25
        let chosen = policy
        try concurrently(4) { thread in
            if thread < 2 {
                for _ in 0..<15 { try archived.archive(chosen) }
            } else if thread == 2 {
                for round in 0..<40 {
                    try appendSamples(archived.log, round * 20..<(round + 1) * 20, keys: 60)
                }
            } else {
                for _ in 0..<10 {
                    let store = try archived.log.open()
                    for partition in 0..<2 {
                        let events = try store.read(after: .start(of: partition), limit: 10_000)
                        var last: [String: UInt64] = [:]
                        for event in events {
                            #expect(event.sequence == last[event.partitionKey, default: 0] + 1)
                            last[event.partitionKey] = event.sequence
                        }
                    }
                }
            }
        }
        try archived.archive(policy)
        let all = try archived.everything(keys: 60)
        #expect(all[2].map(\.id).count == 800)
        #expect(Set(all[2].map(\.id)).count == 800)
        for partition in 0..<2 { _ = try archived.log.archiver(policy).verify(partition: partition) }
    }

    @Test("a process without the archive says so instead of skipping what is archived")
    func withoutArchive() throws {
        let archived = try ArchivedLog(partitions: 1)
        try appendSamples(archived.log, 0..<50)
        try archived.archive()
        let log = try RedisEventLog.open(
            "redis://127.0.0.1:\(archived.log.address.first.port)/\(archived.log.address.first.database)",
            createWith: nil
        )
        let store = try log.open()
        for read in [
            { _ = try store.read(after: .start(of: 0), limit: 5) },
            { _ = try store.load("key-1", after: 0, limit: 5) },
            { _ = try log.follow(after: [.start(of: 0)]).next(limit: 5, waitMilliseconds: 0) },
            { _ = try store.append([SampleEvents.event("x")], to: "new", expecting: .any) },
        ] as [() throws -> Void] {
            let failure = #expect(throws: LogFailure.self) { try read() }
            #expect(failure?.kind == .unsuitable)
        }
    }
}
