import Base
import EventSourcing
import Simulation
import TestServers
import Testing

@testable import RedisLog

@Suite("Layout of the log")
struct LayoutTests {
    @Test("an entry has the sixteen fields in their order, empty where unknown")
    func fields() throws {
        let log = try freshLog(partitions: 16)
        var event = SampleEvents.event("one", subject: "sess-1", number: 42)
        event.context.correlationID = "corr"
        _ = try log.open().append([event], to: "sess-1", expecting: .absent)
        let partition = log.partitioning.partition(of: "sess-1")
        let name = partition < 10 ? "p00\(partition)" : "p0\(partition)"
        let client = rawClient(log)
        let entries = try client.raw("XRANGE", "reel:{\(name)}:log", "-", "+").elements
        #expect(entries.count == 1)
        #expect(
            entries[0].elements[1].elements.map(\.text) == [
                "id", "one", "type", "Sampled", "source", "/reel/test", "specversion", "1.0", "subject",
                "sess-1", "time", "2023-11-14T22:13:20.042Z", "dataschema", "urn:reel:event:Sampled:1",
                "datacontenttype", "application/json", "partitionkey", "sess-1", "sequence", "000000000001",
                "authtype", "system", "authid", "test", "traceparent", "", "correlationid", "corr",
                "causationid", "", "data", "{\"number\":42}",
            ])
        #expect(try client.raw("LLEN", "reel:{\(name)}:s:sess-1").integer == 1)
        #expect(try client.raw("LINDEX", "reel:{\(name)}:s:sess-1", "0") == entries[0].elements[0])
        let digest = Array(SHA256.digest(of: "one".utf8).prefix(16))
        let ids = try client.raw("HGETALL", "reel:{\(name)}:i:sess-1").elements
        let field: [Reply] = [.string(digest), .string([0, 0, 0, 0, 1] + event.bodyDigest.prefix(8))]
        #expect(ids == [.string(Array("b".utf8)), .string(Array("0".utf8))] + field)
    }

    @Test("an entry that says the same in another form than the one in which it is written is not read")
    func otherForms() throws {
        let log = try freshLog(partitions: 1)
        let forms: [(field: String, value: String)] = [
            ("specversion", "2.0"), ("specversion", "1.00"), ("datacontenttype", "text/plain"),
            ("datacontenttype", ""), ("sequence", "2"), ("sequence", "0000000000002"),
            ("sequence", "+00000000002"), ("dataschema", "urn:reel:event:Sampled:01"),
            ("dataschema", "urn:reel:event:Other:1"), ("time", "2023-11-14 22:13:20.042Z"),
        ]
        let client = rawClient(log)
        for (number, form) in forms.enumerated() {
            let key = "sess-\(number)"
            let store = try log.open()
            _ = try store.append([SampleEvents.event("a", subject: key)], to: key, expecting: .absent)
            _ = try store.append([SampleEvents.event("b", subject: key)], to: key, expecting: .exactly(1))
            let index = "reel:{p000}:s:\(key)"
            let id = try #require(try client.raw("LINDEX", index, "1").text)
            var fields = try #require(try client.raw("XRANGE", LogKeys.log(0), id, id).elements.first)
                .elements[1].elements.compactMap(\.text)
            #expect(fields.count == 32)
            let place = try #require(fields.firstIndex(of: form.field))
            fields[place + 1] = form.value
            let forged = try client.command("test", "test", ["XADD", LogKeys.log(0), "*"] + fields)
            try client.raw("LSET", index, "1", try #require(forged.text))
            var entries: [LogEntry] = []
            try store.forEachEntry(of: key) { entries.append($0) }
            let isRead = entries.map { if case .event = $0 { true } else { false } }
            #expect(isRead == [true, false], "\(form.field) \(form.value)")
        }
    }

    @Test("reel:meta is made once; a second opening finds it as it is")
    func meta() throws {
        let log = try freshLog(partitions: 5)
        let meta = try rawClient(log).raw("HGETALL", "reel:meta").elements.map(\.text)
        #expect(meta.count == 10)
        #expect(meta[0...3] == ["format", "1", "partitions", "5"])
        #expect(meta[4] == "created_at" && meta[5].flatMap { Timestamp(rfc3339: $0) } != nil)
        #expect(meta[6] == "epoch" && meta[7] == log.epoch)
        #expect(meta[8...] == ["level", "2"])
        let url = "redis://127.0.0.1:\(log.address.first.port)/\(log.address.first.database)"
        for partitions in [nil, 16] {
            let again = try RedisEventLog.open(url, createWith: partitions)
            #expect(again.partitioning.count == 5)
            #expect(again.epoch == log.epoch)
        }
    }

    @Test("of many that create the log at once all find the same one")
    func creatingAtOnce() throws {
        let server = try TestRedis.shared
        let url = "\(server.url)/\(server.freshDatabase())"
        let epochs = Notebook()
        try concurrently(6) { number in
            let log = try RedisEventLog.open(url, createWith: number + 1)
            epochs.add("\(log.epoch) \(log.partitioning.count)")
        }
        #expect(epochs.all.count == 6)
        #expect(Set(epochs.all).count == 1)
    }

    @Test("a missing log, another format and broken meta data are refused by name")
    func refusals() throws {
        let server = try TestRedis.shared
        let database = server.freshDatabase()
        let url = "\(server.url)/\(database)"
        var failure = #expect(throws: LogFailure.self) { try RedisEventLog.open(url, createWith: nil) }
        #expect(failure?.kind == .unsuitable)
        let log = try RedisEventLog.open(url, createWith: 4)
        let client = rawClient(log)
        try client.raw("HSET", "reel:meta", "format", "2")
        failure = #expect(throws: LogFailure.self) { try RedisEventLog.open(url, createWith: 4) }
        #expect(failure?.kind == .unsuitable)
        #expect(failure?.text.contains("format 2") == true)
        try client.raw("HSET", "reel:meta", "format", "1", "partitions", "none")
        failure = #expect(throws: LogFailure.self) { try RedisEventLog.open(url, createWith: 4) }
        #expect(failure?.kind == .corrupt)
        for partitions in [0, 4097] {
            failure = #expect(throws: LogFailure.self) {
                try RedisEventLog.open(url, createWith: partitions)
            }
            #expect(failure?.kind == .invalid)
        }
    }

    @Test("the functions refuse arguments that do not fit, and write nothing")
    func functionArguments() throws {
        let log = try freshLog()
        let client = rawClient(log)
        let failure = #expect(throws: LogFailure.self) {
            try client.raw("FCALL", "reel_append", "4", "a", "b", "c", "d", "*", "key", "short")
        }
        #expect(failure?.kind == .invalid)
        #expect(try client.raw("EXISTS", "a", "b", "c", "d").integer == 0)
    }

    @Test("a backlog is exact, for a group that is near and for one that is far behind")
    func backlog() throws {
        let log = try freshLog(partitions: 3)
        #expect(try log.groups().backlog(of: "work") == nil)
        let subscription = try member(log, "one")
        #expect(try log.groups().backlog(of: "work")?.behind == 0)
        try appendSamples(log, 0..<4000)
        #expect(try log.groups().backlog(of: "work")?.behind == 4000)
        let deliveries = try take(1500, from: subscription, limit: 60)
        try subscription.acknowledge(deliveries[..<1400].map(\.event.position))
        let backlog = try log.groups().backlog(of: "work")
        #expect(backlog?.behind == 2500)
        #expect(backlog?.pending == 100)
        #expect(backlog?.behindByPartition.reduce(0, +) == 2500)
        #expect(try rawClient(log).raw("ZCARD", LogKeys.ranks(0)).integer ?? 0 > 0)
    }
}

/// Lines that several threads write.
final class Notebook: Sendable {
    private let lines = Monitored<[String]>([])

    var all: [String] { lines.value }

    func add(_ line: String) { lines.change { $0.append(line) } }
}
