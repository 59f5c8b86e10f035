import Base
import EventSourcing
import Glibc
import RedisLog
import Simulation
import TestServers

@testable import RedisLog

/// A fresh log on the shared server.
func freshLog(partitions: Int = 4, options: RedisEventLog.Options = RedisEventLog.Options()) throws
    -> RedisEventLog
{
    let server = try TestRedis.shared
    return try RedisEventLog.open(
        "\(server.url)/\(server.freshDatabase())", createWith: partitions, options: options)
}

/// A client that sends any command.
func rawClient(_ log: RedisEventLog) -> RedisClient {
    RedisClient(log.address, options: log.options, epoch: nil, name: "test")
}

extension RedisClient {
    @discardableResult
    func raw(_ arguments: String...) throws(LogFailure) -> Reply { try command("test", "test", arguments) }
}

/// Lets entries vanish, and accepts that they are lost.
func loseForGood(_ log: RedisEventLog, _ positions: [LogPosition]) throws {
    for position in positions {
        try rawClient(log).raw("XDEL", LogKeys.log(position.partition), position.entryID)
    }
    for partition in Set(positions.map(\.partition)) {
        _ = try rawClient(log).command(
            "test", "test", ["HSET", LogKeys.halted] + HaltRegistry.halt(partition, "test", missing: nil))
        try log.halts().refresh()
        _ = try log.halts().lift(partition, by: "test", because: "test")
    }
    try log.halts().refresh()
}

/// What a log noticed.
final class Notices: Sendable {
    private let all = Lock<[RedisLogNotice]>([])

    var list: [RedisLogNotice] { all.withLock { $0 } }

    func options(_ change: (inout RedisEventLog.Options) -> Void = { _ in }) -> RedisEventLog.Options {
        var options = RedisEventLog.Options()
        options.notify = { notice in self.all.withLock { $0.append(notice) } }
        change(&options)
        return options
    }
}

struct ConditionNotMet: Error, CustomStringConvertible {
    let description: String
}

/// Calls `condition` until it holds; throws after `seconds`.
func waitUntil(_ what: String, seconds: Int = 90, _ condition: () throws -> Bool) throws {
    let deadline = monotonicMilliseconds() + seconds * 1000
    while try !condition() {
        guard monotonicMilliseconds() < deadline else { throw ConditionNotMet(description: what) }
        // Gives the core away for a moment; the condition decides, not the time.
        poll(nil, 0, 1)
    }
}

/// Appends one event a batch to keys that spread over the partitions.
@discardableResult
func appendSamples(_ log: any EventLog, _ range: Range<Int>, keys: Int = 23) throws -> [LogPosition] {
    let outcomes = try log.open().append(
        range.map {
            AppendBatch(
                to: "key-\($0 % keys)", expecting: .any, [SampleEvents.event("Sampled-\($0)", number: $0)])
        })
    return try outcomes.map { outcome in
        guard case .appended(let events) = outcome, let event = events.first else {
            throw ConditionNotMet(description: "append: \(outcome)")
        }
        return event.position
    }
}

func member(_ log: any EventLog, _ instance: String, _ number: Int = 0) throws -> any CompetingSubscription {
    try log.join(
        group: "work", consumer: ConsumerName(instance: instance, number: number), types: ["Sampled"])
}

/// Takes deliveries until `count` came.
func take(_ count: Int, from subscription: any CompetingSubscription, limit: Int = 10) throws -> [Delivery] {
    var taken: [Delivery] = []
    try waitUntil("\(count) deliveries") {
        taken += try subscription.next(limit: min(limit, count - taken.count), waitMilliseconds: 100)
        return taken.count >= count
    }
    return taken
}

/// A value that several threads change.
final class Monitored<Value: Sendable>: Sendable {
    private let guarded: Lock<Value>

    init(_ value: Value) { guarded = Lock(value) }

    var value: Value { guarded.withLock { $0 } }

    func change(_ body: (inout Value) -> Void) { guarded.withLock { body(&$0) } }
}

/// Everything that a database holds, to be put back later.
struct DatabaseCopy {
    private let values: [(key: String, bytes: [UInt8])]

    var count: Int { values.reduce(0) { $0 + $1.bytes.count } }

    init(_ log: RedisEventLog, where isWanted: (String) -> Bool = { _ in true }) throws {
        let client = rawClient(log)
        values = try client.raw("KEYS", "*").elements.compactMap(\.text).filter(isWanted).map { key in
            guard case .string(let bytes) = try client.raw("DUMP", key) else {
                throw ConditionNotMet(description: "\(key) is gone")
            }
            return (key, bytes)
        }
    }

    /// Keys that hold something else than in another copy, or are in one of both alone.
    func differing(from other: DatabaseCopy) -> [String] {
        let mine = Dictionary(uniqueKeysWithValues: values.map { ($0.key, $0.bytes) })
        let others = Dictionary(uniqueKeysWithValues: other.values.map { ($0.key, $0.bytes) })
        return Set(mine.keys).union(others.keys).filter { mine[$0] != others[$0] }.sorted()
    }

    /// Puts it back in the place of everything that `isWanted`, in one step.
    func restore(_ log: RedisEventLog, where isWanted: (String) -> Bool = { _ in true }) throws {
        let client = rawClient(log)
        var commands = CommandBuffer()
        commands.command("MULTI")
        for key in try client.raw("KEYS", "*").elements.compactMap(\.text) where isWanted(key) {
            commands.command("DEL", key)
        }
        for (key, bytes) in values where isWanted(key) {
            commands.begin(5)
            for word in ["RESTORE", key, "0"] { commands.add(word) }
            commands.add(bytes)
            commands.add("REPLACE")
        }
        commands.command("EXEC")
        try client.pipeline("restore", "test", commands) { _, _ in }
    }
}
