import EventSourcing
import Simulation
import Testing

@testable import RedisLog

/// Somebody who may write to the server puts something else in the place of the log's own keys.
@Suite("Keys that somebody has spoiled", .timeLimit(.minutes(5)))
struct SpoiledKeysTests {
    private static let index = LogKeys.index(0, "key-0")
    private static let ids = LogKeys.ids(0, "key-0")

    /// Commands after which what tells of key-0 is not what was written, with the key that is named.
    private static let spoilings: [(name: String, key: String, commands: [[String]])] = [
        ("a string for the index", index, [["DEL", index], ["SET", index, "spoiled"]]),
        ("a hash for the index", index, [["DEL", index], ["HSET", index, "a", "b"]]),
        ("no index", index, [["DEL", index]]),
        ("text in the index", index, [["LSET", index, "0", "spoiled"]]),
        ("an entry too many", index, [["RPUSH", index, "1-1"]]),
        ("an entry too few", index, [["RPOP", index]]),
        ("a string for the ids", ids, [["DEL", ids], ["SET", ids, "spoiled"]]),
        ("a list for the ids", ids, [["DEL", ids], ["RPUSH", ids, "spoiled"]]),
        ("no ids", ids, [["DEL", ids]]),
        ("no count", ids, [["HDEL", ids, "b"]]),
        ("text for the count", ids, [["HSET", ids, "b", "many"]]),
        ("a count below zero", ids, [["HSET", ids, "b", "-1"]]),
        ("a count beyond all numbers", ids, [["HSET", ids, "b", String(repeating: "9", count: 30)]]),
        ("an id too many", index, [["HSET", ids, "x", "y"]]),
    ]

    @Test("a history is not read on the word of a spoiled key, which is named", arguments: spoilings.indices)
    func history(_ place: Int) throws {
        let (name, key, commands) = Self.spoilings[place]
        let log = try freshLog(partitions: 1)
        try appendSamples(log, 0..<12, keys: 2)
        for command in commands { _ = try rawClient(log).command("test", "test", command) }
        let failure = #expect(throws: LogFailure.self, "\(name)") {
            try log.open().load("key-0", after: 0, limit: 100)
        }
        #expect(failure?.isOfRecord == true, "\(name): \(String(describing: failure))")
        let text = failure.map { "\($0)" } ?? ""
        #expect(text.contains(key), "\(name): \(text)")
        #expect(try log.open().load("key-1", after: 0, limit: 100).count == 6, "\(name)")
    }

    @Test("what is wrong with a history's keys is found without reading it", arguments: spoilings.indices)
    func survey(_ place: Int) throws {
        let (name, key, commands) = Self.spoilings[place]
        let log = try freshLog(partitions: 1)
        try appendSamples(log, 0..<12, keys: 2)
        for command in commands { _ = try rawClient(log).command("test", "test", command) }
        let found = try log.spoiledKeys(keysAtMost: 100)
        // Whether each entry is one of the history, reading it says.
        let expected = ["text in the index", "an entry too many"].contains(name) ? [] : [key]
        let named = found.keys.filter { !$0.text.isEmpty }.map { $0.text.contains("gone") ? $0.text : $0.key }
        #expect(named.count == expected.count, "\(name): \(found.keys)")
        #expect(found.keys.allSatisfy(\.isOfOneHistory) && found.partitions.isEmpty, "\(name)")
    }

    private func looking(at log: RedisEventLog) throws -> RedisEventLog {
        var options = RedisEventLog.Options()
        options.onlyLooks = true
        options.subscriptions = Self.registry
        return try RedisEventLog.open("redis://\(log.address)", createWith: nil, options: options)
    }

    private static let registry = SubscriptionRegistry(
        [
            Subscription("work", .group, parks: true, holdsBack: true),
            Subscription("reader", .index, parks: true, holdsBack: false, indexes: ["facts"]),
        ], tasks: ["sweep"])

    @Test("a spoiled history in the same call takes nothing from the others", arguments: [ids, index])
    func append(_ key: String) throws {
        let log = try freshLog(partitions: 1)
        try appendSamples(log, 0..<4, keys: 2)
        try rawClient(log).raw("DEL", key)
        try rawClient(log).raw("SET", key, "spoiled")
        // The sound one comes first: it stands in the stream by the time that the other is looked at.
        let failure = #expect(throws: LogFailure.self) {
            try log.open().append([
                AppendBatch(to: "key-1", expecting: .any, [SampleEvents.event("a", number: 1)]),
                AppendBatch(to: "key-0", expecting: .any, [SampleEvents.event("b", number: 2)]),
            ])
        }
        #expect(failure?.kind == .lostHistory && failure?.text.contains(key) == true)
        #expect(try log.open().load("key-1", after: 0, limit: 100).count == 3)
        let length = try rawClient(log).raw("XLEN", LogKeys.log(0)).integer
        #expect(length == 5, "no entry stands in the stream and in no index")
    }

    @Test("ranks that were overwritten end no append that has written")
    func ranks() throws {
        let log = try freshLog(partitions: 1)
        try appendSamples(log, 0..<1, keys: 1)
        try rawClient(log).raw("DEL", LogKeys.ranks(0))
        try rawClient(log).raw("SET", LogKeys.ranks(0), "spoiled")
        // About every 256th event sets a milestone among the ranks.
        let outcomes = try log.open().append([
            AppendBatch(
                to: "key-0", expecting: .any,
                (1...900).map { SampleEvents.event("milestone-\($0)", number: $0) })
        ])
        #expect(outcomes.count == 1)
        #expect(try log.open().load("key-0", after: 0, limit: 1000).count == 901)
    }

    @Test("keys of a partition are named by what stands in them, and the rest is counted without it")
    func partitions() throws {
        let written = try freshLog(partitions: 3)
        try appendSamples(written, 0..<90)
        let log = try looking(at: written)
        let client = rawClient(log)
        let overwritten = [
            LogKeys.checkpoints(1), LogKeys.parked(1, "work"), LogKeys.lease(1, "reader"),
            LogKeys.index(1, named: "facts"), LogKeys.halted,
        ]
        for key in overwritten { try client.raw("SET", key, "spoiled") }
        try client.raw("HSET", LogKeys.checkpoints(2), "reader", "nowhere")
        let found = try log.spoiledKeys(keysAtMost: 1000)
        #expect(found.isComplete && found.partitions == [1, 2])
        #expect(Set(found.keys.map(\.key)) == Set(overwritten + [LogKeys.checkpoints(2)]))
        #expect(
            found.keys.first { $0.key == overwritten[0] }?.text
                == "it is a string where a hash belongs: somebody has overwritten it")
        let sound = log.leavingOut(found.partitions)
        #expect(try sound.checkpoints().load("reader") == [:])
        #expect(try sound.leases().holders("reader").map(\.partition) == [0])
        let lags = try sound.groups().lag(ofSubscription: "reader", after: [:], [])
        #expect(lags.map(\.partition) == [0] && lags[0].behind > 0)
        let failure = #expect(throws: LogFailure.self) { try log.checkpoints().load("reader") }
        #expect(failure?.key == LogKeys.checkpoints(1) && failure?.isOfRecord == true)
    }

    @Test("who looks on can open a log whose halts were overwritten, and who appends cannot")
    func halts() throws {
        let log = try freshLog(partitions: 1)
        try appendSamples(log, 0..<3, keys: 1)
        try rawClient(log).raw("SET", LogKeys.halted, "spoiled")
        let failure = #expect(throws: LogFailure.self) {
            try RedisEventLog.open("redis://\(log.address)", createWith: nil)
        }
        #expect(failure?.key == LogKeys.halted && failure?.isOfRecord == true)
        let looking = try looking(at: log)
        #expect(try looking.open().load("key-0", after: 0, limit: 10).count == 3)
        #expect(try looking.survey().halted.isEmpty)
    }

    @Test("an answer about the record is told from a server that does not answer")
    func mapping() {
        let spoiled = ServerError.failure("REELCORRUPT reel:{p001}:s:a is odd", operation: "load", key: "a")
        #expect(spoiled.kind == .corrupt && spoiled.key == "reel:{p001}:s:a" && spoiled.text == "it is odd")
        let cases: [(String, isOfRecord: Bool)] = [
            ("REELCORRUPT reel:{p001}:s:a is odd", true), ("REELLOST reel:{p001}:s:a is gone", true),
            ("WRONGTYPE Operation against a key holding the wrong kind of value", true),
            ("LOADING Redis is loading", false), ("NOAUTH Authentication required.", false),
            ("OOM command not allowed", false), ("ERR something else", false),
        ]
        for (text, isOfRecord) in cases {
            let failure = ServerError.failure(text, operation: "test", key: "key")
            #expect(failure.isOfRecord == isOfRecord, "\(text)")
        }
        // What a halted partition refuses is no answer about anybody's record.
        #expect(!LogFailure(.lostHistory, operation: "append", key: "p001", text: "halted").isOfRecord)
    }
}
