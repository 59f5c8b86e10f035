import EventSourcing
import Simulation
import TestServers
import Testing

@testable import RedisLog

@Suite("Answers that are lost on the way")
struct LostAnswerTests {
    /// Runs `body` with a log whose only connection goes through a relay.
    private func through(_ body: @escaping @Sendable (LossyProxy, RedisEventLog) throws -> Void) throws {
        let server = try TestRedis.shared
        let proxy = try LossyProxy(to: server.port)
        let database = server.freshDatabase()
        try concurrently(2) { role in
            guard role == 0 else { return proxy.relay() }
            defer { proxy.stop() }
            _ = try RedisEventLog.open("\(server.url)/\(database)", createWith: 2)
            let log = try RedisEventLog.open("redis://127.0.0.1:\(proxy.port)/\(database)", createWith: nil)
            try body(proxy, log)
        }
    }

    @Test("an append whose answer was lost is made once, and its repetition says so")
    func append() throws {
        try through { proxy, log in
            let store = try log.open()
            // What a connection asks before its first append is not what is lost.
            _ = try store.append([SampleEvents.event("before")], to: "t", expecting: .absent)
            _ = try store.append([SampleEvents.event("and")], to: "u", expecting: .absent)
            #expect(try store.version(of: "s") == 0)
            for round in 0..<5 {
                let events = (0..<3).map { SampleEvents.event("\(round)/\($0)", number: round) }
                proxy.loseNextAnswer()
                let outcome = try store.append(events, to: "s", expecting: .exactly(UInt64(round * 3)))
                guard case .appended(let answers) = outcome else {
                    throw ConditionNotMet(description: "\(outcome)")
                }
                #expect(answers.map(\.wasPresent) == [true, true, true])
                #expect(answers.map(\.sequence) == (1...3).map { UInt64(round * 3 + $0) })
            }
            #expect(proxy.lostAnswers == 5)
            #expect(try store.load("s", after: 0, limit: 100).map(\.sequence) == Array(1...15))
        }
    }

    @Test("deliveries whose answer was lost come again from the member's own pending entries")
    func deliveries() throws {
        try through { proxy, log in
            let direct = try RedisEventLog.open(
                "\(try TestRedis.shared.url)/\(log.address.first.database)", createWith: nil)
            try appendSamples(direct, 0..<10)
            let subscription = try member(log, "one")
            // The first look joins and finds its place; after that the answer with events is lost.
            proxy.loseNextAnswer()
            let deliveries = try take(10, from: subscription, limit: 4)
            #expect(Set(deliveries.map(\.event.id)).count == 10)
            proxy.loseNextAnswer()
            try subscription.acknowledge(deliveries.map(\.event.position))
            #expect(try direct.groups().backlog(of: "work")?.pending == 0)
            #expect(proxy.lostAnswers == 2)
        }
    }
}
