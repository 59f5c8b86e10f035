import Engine
import Base
import EventSourcing
import Pipeline
import Recording
import Simulation
import Supervision
import Testing

private func record(_ action: AuditAction = .sessionStart, _ number: Int = 0) -> AuditRecord {
    AuditRecord(
        action, on: AuditResource(.session, id: "s-\(number)"), session: "s-\(number)", outcome: .allowed,
        statusCode: 200, actor: AuditActor(type: .user, subject: "alice", roles: ["admin"]),
        requestID: "req-\(number)")
}

/// A trail that runs while the test does.
private final class Running {
    let trail: AuditTrail
    private let stop = StopSignal()
    private let thread: OwnThread<Void>

    init(_ log: any EventLog, _ change: (inout AuditTrail.Limits) -> Void = { _ in }) throws {
        var limits = AuditTrail.Limits()
        limits.durable_ms = 60_000
        change(&limits)
        let trail = AuditTrail(log: log, source: "/reel/test", limits: limits, report: .silent)
        self.trail = trail
        thread = try OwnThread(name: "audit") { [stop] in try trail.run(stop: stop) }
    }

    func end() throws {
        stop.set()
        try thread.join()
    }

    deinit { stop.set() }
}

private func waitUntil(_ condition: () -> Bool) {
    let stop = StopSignal()
    for _ in 0..<60_000 where !condition() { stop.wait(milliseconds: 1) }
}

@Suite("Audit trail")
struct AuditTrailTests {
    @Test("what is kept is in the log when the call returns, in histories that no session can have")
    func kept() throws {
        let log = InMemoryEventLog()
        let running = try Running(log)
        try running.trail.keep(
            record(), traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        let events = log.allEvents()
        try #require(events.count == 1)
        #expect(AuditRecord.isHistory(events[0].partitionKey))
        #expect(!Identifier.isValid(events[0].partitionKey))
        #expect(events[0].type == "AuditRecorded" && events[0].sequence == 1)
        #expect(events[0].subject == "s-0")
        #expect(events[0].context.actor == Actor(type: "user", id: "alice"))
        #expect(events[0].context.correlationID == "req-0")
        #expect(events[0].context.traceparent.hasPrefix("00-4bf9"))
        #expect(try AuditRecord(events[0]) == record())
        try running.end()
    }

    @Test("many threads share appends, every record is there once, histories stay short")
    func together() throws {
        let log = InMemoryEventLog()
        let appends = Lock(0)
        log.inject { operation in
            if operation == "append" { appends.withLock { $0 += 1 } }
            return nil
        }
        let running = try Running(log) { $0.history = 50 }
        let trail = running.trail
        try concurrently(4) { thread in
            for number in 0..<100 {
                let one = record(.chunkUpload, thread * 100 + number)
                if number % 10 == 9 { try trail.keep(one) } else { trail.note(one) }
            }
        }
        try running.end()
        let events = log.allEvents()
        #expect(Set(events.map(\.subject)).count == 400 && events.count == 400)
        #expect(appends.withLock { $0 } < 200)
        let lengths = Dictionary(grouping: events, by: \.partitionKey).mapValues(\.count)
        #expect(lengths.count > 1 && lengths.values.allSatisfy { $0 <= 50 + 200 })
        #expect(trail.counts == AuditTrail.Counts(written: 400))
    }

    @Test("an append whose answer is lost is not made twice, and one that fails waits")
    func faults() throws {
        let log = InMemoryEventLog()
        let turn = Lock(0)
        log.inject { operation in
            guard operation == "append" else { return nil }
            let failure = LogFailure(.unreachable, operation: "append", key: "test", text: "gone")
            switch turn.withLock({ turn in
                turn += 1
                return turn
            }) {
            case 1, 2: return .before(failure)
            case 3, 4: return .after(failure)
            default: return nil
            }
        }
        let running = try Running(log)
        try running.trail.keep(record())
        #expect(turn.withLock { $0 } == 5)
        #expect(log.allEvents().count == 1)
        try running.end()
    }

    @Test("without the log notes take half of the places, and what finds none is counted in a record")
    func overload() throws {
        let log = InMemoryEventLog()
        let failure = LogFailure(.unreachable, operation: "append", key: "test", text: "gone")
        log.inject { $0 == "append" ? .before(failure) : nil }
        let running = try Running(log) {
            $0.waiting = 20
            $0.batch = 1
            $0.durable_ms = 20
        }
        let trail = running.trail
        #expect(throws: AuditFailure.late(milliseconds: 20)) { try trail.keep(record(.keyExport, 1000)) }
        waitUntil { trail.counts.waiting == 0 }
        for number in 0..<30 { trail.note(record(.sessionRead, number)) }
        #expect(trail.counts == AuditTrail.Counts(written: 0, dropped: 20, waiting: 10))
        let outcomes = Lock<[AuditFailure?]>([])
        for number in 30..<42 {
            trail.keep(record(.sessionStop, number)) { failure in outcomes.withLock { $0.append(failure) } }
        }
        #expect(outcomes.withLock { $0 } == [.overloaded(waiting: 20), .overloaded(waiting: 20)])
        log.inject(nil)
        waitUntil { trail.counts.written >= 22 }
        try running.end()
        let records = try log.allEvents().map { try AuditRecord($0) }
        #expect(records.count { $0.action == .sessionRead } == 10)
        #expect(records.count { $0.action == .sessionStop } == 10)
        #expect(records.count { $0.action == .keyExport } == 1, "late is not lost")
        let dropped = records.filter { $0.action == .auditDropped }
        #expect(dropped.map { $0.details["count"] } == ["20"])
        #expect(outcomes.withLock { $0.count } == 12)
    }

    @Test("the end writes what waits; after it nothing is taken, and nobody waits in vain")
    func ending() throws {
        let log = InMemoryEventLog()
        let running = try Running(log)
        for number in 0..<500 { running.trail.note(record(.sessionRead, number)) }
        try running.end()
        #expect(log.allEvents().count == 500)
        #expect(throws: AuditFailure.ended) { try running.trail.keep(record()) }

        let failure = LogFailure(.unreachable, operation: "append", key: "test", text: "gone")
        log.inject { $0 == "append" ? .before(failure) : nil }
        let cut = try Running(log) { $0.ending_ms = 10 }
        let outcomes = Lock<[AuditFailure?]>([])
        for _ in 0..<300 { cut.trail.keep(record()) { failure in outcomes.withLock { $0.append(failure) } } }
        try cut.end()
        #expect(outcomes.withLock { $0 } == Array(repeating: .ended, count: 300))
    }

    @Test("a record that the log refuses is not tried for ever")
    func refused() throws {
        let log = InMemoryEventLog()
        let failure = LogFailure(.invalid, operation: "append", key: "test", text: "no")
        log.inject { $0 == "append" ? .before(failure) : nil }
        let running = try Running(log)
        #expect(throws: AuditFailure.refused(failure.description)) { try running.trail.keep(record()) }
        try running.end()
    }
}
