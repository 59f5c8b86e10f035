import EventSourcing
import Simulation
import TestServers
import Testing

@testable import RedisLog

@Suite("Appends that leave in one call")
struct AppendCallTests {
    private let keys = (0..<4).map { "key-\($0)" }

    private func event(_ id: String, _ number: Int = 0) -> ProposedEvent {
        SampleEvents.event(id, number: number)
    }

    @Test("each has its own answer: what one is refused for leaves the others as they are")
    func independent() throws {
        let log = try freshLog(partitions: 1)
        let store = try log.open()
        _ = try store.append([event("a1", 1)], to: keys[0], expecting: .absent)
        let outcomes = try store.append([
            AppendBatch(to: keys[0], expecting: .exactly(1), [event("a2", 2)]),
            AppendBatch(to: keys[0], expecting: .exactly(1), [event("a3", 3)]),
            AppendBatch(to: keys[1], expecting: .absent, [event("b1"), event("b2"), event("b3")]),
            AppendBatch(to: keys[0], expecting: .any, [event("a1", 9)]),
            AppendBatch(to: keys[0], expecting: .exactly(2), [event("a2", 2), event("a4", 4)]),
            AppendBatch(to: keys[0], expecting: .absent, [event("a1", 1)]),
            AppendBatch(to: keys[1], expecting: .any, [event("b3")]),
        ])
        #expect(
            outcomes.map(summary) == [
                "2", "conflict 2", "1 2 3", "taken a1", "-2 3", "-1", "-3",
            ])
        #expect(try store.load(keys[0], after: 0, limit: 10).map(\.id) == ["a1", "a2", "a4"])
        #expect(try store.load(keys[1], after: 0, limit: 10).map(\.id) == ["b1", "b2", "b3"])
        // The same again finds everything, position by position.
        let again = try store.append([
            AppendBatch(to: keys[1], expecting: .absent, [event("b1"), event("b2")])
        ])
        #expect(again.map(summary) == ["-1 -2"])
        #expect(positions(again) == Array(positions([outcomes[2]]).prefix(2)))
    }

    private func summary(_ outcome: AppendOutcome) -> String {
        switch outcome {
        case .appended(let events):
            events.map { ($0.wasPresent ? "-" : "") + String($0.sequence) }.joined(separator: " ")
        case .conflict(let actual): "conflict \(actual)"
        case .idTaken(let id): "taken \(id)"
        case .fenced(let generation): "fenced \(generation)"
        }
    }

    private func positions(_ outcomes: [AppendOutcome]) -> [LogPosition] {
        outcomes.flatMap { outcome -> [LogPosition] in
            if case .appended(let events) = outcome { events.map(\.position) } else { [] }
        }
    }

    @Test("one that the user may not read for ends the call, and those before it are whole")
    func denied() throws {
        let server = try TestRedis.start()
        let log = try RedisEventLog.open("\(server.url)/0", createWith: 1)
        let store = try log.open()
        _ = try store.append([event("a1", 1)], to: keys[0], expecting: .absent)
        // What an append of an event that is there already reads of its index.
        try rawClient(log).raw("ACL", "SETUSER", "u", "on", ">p", "~*", "&*", "+@all", "-lindex")
        let url = "\(server.url)/0".replacing("redis://", with: "redis://u:p@")
        let limited = try RedisEventLog.open(url, createWith: nil).open()
        let batches = [
            AppendBatch(to: keys[1], expecting: .absent, [event("b1"), event("b2")]),
            AppendBatch(to: keys[0], expecting: .any, [event("a1", 1)]),
        ]
        let failure = #expect(throws: LogFailure.self) { try limited.append(batches) }
        #expect(failure?.kind == .denied)
        #expect(failure?.text.contains("+lindex") == true)
        // No entry stands in the stream that its index does not have.
        #expect(try store.load(keys[1], after: 0, limit: 10).map(\.id) == ["b1", "b2"])
        #expect(try store.read(after: .start(of: 0), limit: 10).map(\.event.id) == ["a1", "b1", "b2"])
        #expect(try store.append(batches).map(summary) == ["-1 -2", "-1"])
    }

    @Test("any mixture of keys and repeated ids in one append gives what one at a time gives")
    func mixtures() throws {
        let (together, single) = (try freshLog(partitions: 2).open(), try freshLog(partitions: 2).open())
        for round in 0..<20 {
            let batches = (0..<Int.random(in: 1...60)).map { _ in
                let version = UInt64.random(in: 0...20)
                let expected: ExpectedVersion =
                    [.any, .any, .absent, .exactly(version)].randomElement() ?? .any
                let events = (0..<Int.random(in: 1...4)).map { _ in
                    event("\(Int.random(in: 0..<200))", Int.random(in: 0...1))
                }
                return AppendBatch(to: keys[Int.random(in: 0..<4)], expecting: expected, events)
            }
            let expected = try batches.flatMap { try single.append([$0]) }.map(summary)
            #expect(try together.append(batches).map(summary) == expected, "round \(round)")
        }
        for key in keys {
            let events = try single.load(key, after: 0, limit: 1000).map(\.event)
            #expect(try together.load(key, after: 0, limit: 1000).map(\.event) == events)
        }
    }

    @Test("the function that earlier versions call reads and writes the same log")
    func earlierVersions() throws {
        let log = try freshLog(partitions: 1)
        let store = try log.open()
        _ = try store.append([event("one", 1)], to: "s", expecting: .absent)
        let client = rawClient(log)
        func call(_ expected: String, _ event: ProposedEvent) throws -> Reply {
            var commands = CommandBuffer()
            commands.begin(9 + EntryCoding.argumentsPerEvent)
            for word in [
                "FCALL", "reel_append", "4", LogKeys.log(0), LogKeys.index(0, "s"), LogKeys.ids(0, "s"),
                LogKeys.ranks(0), expected, "s",
            ] { commands.add(word) }
            EntryCoding.encode(event, into: &commands)
            var reply = Reply.null
            try client.pipeline("append", "s", commands) { reply = Reply($1) }
            return reply
        }
        #expect(try call("1", event("two", 2)).elements.prefix(2).map(\.integer) == [0, 2])
        #expect(try call("1", event("three", 3)) == .array([.integer(1), .integer(2)]))
        #expect(try call("0", event("one", 1)).elements.prefix(2).map(\.integer) == [0, -1])
        #expect(try call("*", event("one", 7)) == .array([.integer(2), .integer(1)]))
        let outcome = try store.append([event("two", 2), event("four", 4)], to: "s", expecting: .exactly(2))
        #expect(summary(outcome) == "-2 3")
    }

    @Test("arguments that do not fit are refused, and nothing is written")
    func misfits() throws {
        let log = try freshLog(partitions: 1)
        let client = rawClient(log)
        let event = [String](repeating: "x", count: 12)
        let good = [String(repeating: "h", count: 16), String(repeating: "d", count: 8)] + event
        let calls: [[String]] = [
            ["0"], ["1"], ["x"], ["1", "*", "k", "0"], ["1", "*", "k", "1.5"] + good,
            ["1", "*", "k", "2"] + good, ["1", "*", "k", "1"] + good + ["more"],
            ["1", "*", "k", "1", "short"] + good.dropFirst(), ["2", "*", "k", "1"] + good,
        ]
        for call in calls {
            let failure = #expect(throws: LogFailure.self, "\(call.prefix(4))") {
                _ = try client.command(
                    "test", "test", ["FCALL", "reel_append_all", "4", "a", "b", "c", "d"] + call)
            }
            #expect(failure?.kind == .invalid, "\(call.prefix(4))")
        }
        #expect(try client.raw("EXISTS", "a", "b", "c", "d").integer == 0)
    }

    @Test("what is read is what was appended, however alike the texts are and however large the reply")
    func texts() throws {
        let log = try freshLog(partitions: 1)
        let store = try log.open()
        var appended: [ProposedEvent] = []
        for number in 0..<400 {
            var event = SampleEvents.event(
                "\(number % 7)-an-id-that-is-long-\(number)-é-and-ends-alike",
                subject: "\(number % 5)-subject-of-some-length-\(number % 3)-same")
            event.context.correlationID = String(repeating: "c", count: 15 + number % 4)
            event.context.causationID = number % 2 == 0 ? "" : "an-event-that-caused-it-\(number % 9)"
            if number % 50 == 0 {
                event.data = Array("{\"text\":\"\(String(repeating: "z", count: 200_000))\"}".utf8)
            }
            appended.append(event)
            _ = try store.append([event], to: "key-\(number % 11)-of-sixteen-bytes", expecting: .any)
        }
        let read = try store.read(after: .start(of: 0), limit: 1000)
        #expect(read.map(\.event) == appended)
        #expect(read.map(\.partitionKey) == (0..<400).map { "key-\($0 % 11)-of-sixteen-bytes" })
    }
}
