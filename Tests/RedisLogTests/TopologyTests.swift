import EventSourcing
import Testing

@testable import RedisLog

@Suite("Slots, maps and redirections")
struct TopologyTests {
    @Test(
        "slots of known keys (values of CLUSTER KEYSLOT)",
        arguments: [
            ("123456789", 12739), ("", 0), ("foo", 12182), ("bar", 5061), ("hello", 866),
            ("foo{hash_tag}", 2515), ("{hash_tag}bar", 2515), ("hash_tag", 2515), ("{}foo", 9500),
            ("foo{}{bar}", 8363), ("foo{{bar}}zap", 4015), ("{bar", 4015), ("foo{bar}{zap}", 5061),
            ("{user1000}.following", 3443), ("{user1000}.followers", 3443),
        ])
    func slots(key: String, slot: Int) { #expect(KeySlot.of(key) == slot) }

    @Test("CRC16 as the cluster specification checks it")
    func crc() { #expect(KeySlot.crc16("123456789".utf8) == 0x31C3) }

    @Test("keys of a partition share a slot, and partitions spread")
    func partitions() {
        var slots: Set<Int> = []
        for partition in 0..<256 {
            let slot = KeySlot.of(LogKeys.log(partition))
            for key in [
                LogKeys.index(partition, "a{b}c"), LogKeys.ids(partition, "x}"), LogKeys.ranks(partition),
                LogKeys.parked(partition, "g"), LogKeys.checkpoints(partition),
            ] { #expect(KeySlot.of(key) == slot) }
            slots.insert(slot)
        }
        #expect(slots.count > 250)
    }

    @Test("every command's key is found")
    func scan() {
        var commands = CommandBuffer()
        commands.command("GET", "foo")
        commands.command("FCALL", "reel_append", "4", "foo", "x", "y", "z", "bar", "*2\r\n$3\r\n")
        commands.command("FCALL_RO", "reel_version", "0")
        commands.command("XREADGROUP", "GROUP", "g", "c", "COUNT", "5", "STREAMS", "hello", ">")
        commands.command("XGROUP", "CREATE", "bar", "g", "0", "MKSTREAM")
        commands.command("INFO")
        commands.command("CONFIG", "GET", "appendfsync")
        commands.command("XRANGE", "foo{hash_tag}", "-", "+")
        let parts = CommandScan.parts(of: commands)
        #expect(parts.map(\.slot) == [12182, 12182, nil, 866, 5061, nil, nil, 2515])
        #expect(parts.map(\.range.lowerBound) == [0] + parts.dropLast().map(\.range.upperBound))
        #expect(parts.last?.range.upperBound == commands.bytes.count)
    }

    @Test("the slot map: ranges, hosts that are not told, moves, nonsense")
    func slotMap() throws {
        func range(_ first: Int, _ last: Int, _ host: String, _ port: Int) -> Reply {
            .array([
                .integer(first), .integer(last),
                .array([.string(Array(host.utf8)), .integer(port), .string([])]),
                .array([.string(Array("replica".utf8)), .integer(1), .string([])]),
            ])
        }
        let asked = try #require(RedisAddress("redis://u:secret@10.0.0.9:7000"))
        var map = try #require(
            SlotMap(.array([range(0, 99, "10.0.0.1", 7001), range(101, 16383, "", 7002)]), asked: asked))
        #expect(map.masters.map(\.description) == ["10.0.0.1:7001", "10.0.0.9:7002"])
        #expect(map.masters.allSatisfy { $0.password == "secret" })
        #expect(map.master(of: 99)?.port == 7001)
        #expect(map.master(of: 100) == nil)
        #expect(map.master(of: 16383)?.port == 7002)
        map.set(100, to: asked.moved(toHost: "10.0.0.3", port: 7003))
        #expect(map.master(of: 100)?.host == "10.0.0.3")
        #expect(map.masters.count == 3)
        for bad in [range(5, 4, "h", 1), range(0, 16384, "h", 1), .array([.integer(1)]), .null] {
            #expect(SlotMap(.array([bad]), asked: asked) == nil)
        }
    }

    @Test(
        "redirections",
        arguments: [
            ("MOVED 3999 127.0.0.1:6381", .moved(slot: 3999, host: "127.0.0.1", port: 6381)),
            ("MOVED 0 ::1:7000", .moved(slot: 0, host: "::1", port: 7000)),
            ("MOVED 3999 :6381", .moved(slot: 3999, host: "", port: 6381)),
            ("ASK 16383 h:1", .ask(host: "h", port: 1)), ("TRYAGAIN Multiple keys", .again),
            ("CLUSTERDOWN The cluster is down", .again), ("ERR MOVED 1 h:1", nil), ("MOVED 16384 h:1", nil),
            ("MOVED 5 h:0", nil), ("ASK 5", nil), ("CROSSSLOT Keys", nil), ("", nil),
        ] as [(String, Redirection?)])
    func redirections(text: String, expected: Redirection?) { #expect(Redirection(text) == expected) }

    @Test("URLs of all three kinds")
    func urls() throws {
        let single = try RedisLocation(url: "redis://u:p%40@h:1/2")
        #expect(single == .single(try #require(RedisAddress("redis://u:p%40@h:1/2"))))
        let sentinel = try RedisLocation(url: "redis+sentinel://u:p%40ss@a:1,b,[::1]:3/main/4")
        guard case .sentinel(let nodes, let master) = sentinel else {
            throw ConditionNotMet(description: "\(sentinel)")
        }
        #expect(master == "main")
        #expect(nodes.map(\.port) == [1, 26379, 3])
        #expect(nodes.allSatisfy { $0.database == 4 && $0.password == "p@ss" })
        #expect("\(sentinel)" == "master main/4 of sentinels a:1,b:26379,[::1]:3")
        let cluster = try RedisLocation(url: "redis+cluster://:pw@a:1,b/")
        guard case .cluster(let seeds) = cluster else { throw ConditionNotMet(description: "\(cluster)") }
        #expect(seeds.map(\.port) == [1, 6379])
        #expect("\(cluster)" == "cluster a:1,b:6379")
    }

    @Test(
        "bad URLs are refused, saying what is wrong and no secret",
        arguments: [
            ("redis+sentinel://u:hush@a:1", "master's name is missing"),
            ("redis+sentinel://u:hush@a:1/", "master's name is missing"),
            ("redis+sentinel://u:hush@a:1/m/x", "no number"),
            ("redis+sentinel://u:hush@a:x/m", "\"a:x\" is no host:port"),
            ("redis+sentinel://u:hush@,/m", "is no host:port"),
            ("redis+sentinel://u:hu%zzsh@a/m", "percent-encoded"),
            ("redis+cluster://u:hush@a:1/3", "no databases"),
            ("redis+cluster://u:hush@", "is no host:port"),
            ("redis+cluster://u:hu/sh@a:99999", "\"a:99999\" is no host:port"),
            ("rediss://u:hush@a", "none of redis, redis+sentinel, redis+cluster"),
            ("u:hush@a", "no scheme"), ("redis://u:hush@a:0", "expected redis://"),
        ])
    func badURLs(url: String, text: String) {
        let failure = #expect(throws: LogFailure.self) { try RedisLocation(url: url) }
        #expect(failure?.kind == .invalid)
        #expect(failure?.text.contains(text) == true)
        #expect(failure.map { "\($0)".contains("hush") || "\($0)".contains("sh@") } == false)
    }
}
