import Base
import EventSourcing
import Pipeline
import Recording
@testable import RecordingMongo
import Simulation
import TestServers
import Testing

@testable import MongoViews
import ReadModels
import Engine

/// Records of many kinds, the same for the same number.
private func sampleRecord(_ number: Int) -> AuditRecord {
    let actions: [AuditAction] = [.sessionRead, .sessionStart, .chunkDownload, .keyExport]
    let outcomes = AuditOutcome.allCases
    return AuditRecord(
        actions[number % actions.count],
        on: AuditResource(number % 5 == 0 ? .session : .chunk, id: number % 7 == 0 ? nil : "r-\(number)"),
        session: number % 3 == 0 ? nil : "sess-\(number % 4)", outcome: outcomes[number / 2 % outcomes.count],
        statusCode: number % 6 == 0 ? nil : 200 + number, reason: number % 4 == 1 ? "because" : nil,
        actor: number % 9 == 0
            ? .unauthenticated
            : AuditActor(type: .user, subject: "user-\(number % 3)", roles: ["admin", "auditor"]),
        address: "192.0.2.\(number % 250)", requestID: "req-\(number)", userAgent: "test",
        changed: (0..<number % 3).map { "metadata.\($0)" },
        sessionSequence: number % 4 == 0 ? nil : UInt64(number),
        range: number % 5 == 2 ? AuditRange(first: 0, last: UInt64(number), length: 1 << 40) : nil,
        caseName: number % 6 == 1 ? "case \(number)" : nil,
        details: ["a.b": "\(number)", "$c": "d"])
}

extension ReplayFixture {
    /// Appends records, some at the same time, in several histories.
    fileprivate func appendRecords(_ range: Range<Int>) throws {
        for number in range {
            let time = Timestamp(milliseconds: 1_700_000_000_000 + Int64(number / 3) * 1_000)
            let event = ProposedEvent(
                sample: sampleRecord(number), id: "audit-\(1_000_000 + number * 7919 % 10_007)", time: time,
                context: EventContext(source: "/reel/test", actor: .system("test")))
            _ = try store.append([event], to: AuditRecord.historyKey("w", number % 5 + 1), expecting: .any)
        }
    }

    /// What the log says was done, the newest first.
    fileprivate func recordsOfLog() throws -> [AuditView] {
        try events().filter { AuditRecord.isHistory($0.partitionKey) }.map { try AuditView($0) }
            .sorted { AuditCursor($0) > AuditCursor($1) }
    }

    fileprivate func shownRecords() throws -> [AuditView] {
        try models.queries.records(AuditFilter(), after: nil, limit: 1_000).records
    }
}

@Suite("Audit trail in MongoDB", .timeLimit(.minutes(10)))
struct AuditTests {
    @Test("records are shown beside sessions, once, whatever comes again")
    func projected() throws {
        let fixture = try ReplayFixture()
        try fixture.append(fixture.history(seed: 41, sessions: 4))
        try fixture.appendRecords(0..<60)
        try fixture.project()
        #expect(try fixture.shownRecords() == fixture.recordsOfLog())
        #expect(try fixture.recordsOfLog().count == 60)
        try fixture.projectAtOnce()
        try fixture.appendRecords(60..<90)
        try fixture.projectAtOnce()
        #expect(try fixture.shownRecords() == fixture.recordsOfLog())
        try fixture.expectShown()
    }

    @Test("filters, order and pages are those of the log")
    func queries() throws {
        let fixture = try ReplayFixture()
        try fixture.appendRecords(0..<150)
        try fixture.projectAtOnce()
        let all = try fixture.recordsOfLog()
        let queries = fixture.models.queries
        for number in 0..<64 {
            var filter = AuditFilter()
            if number & 1 > 0 { filter.session = "sess-1" }
            if number & 2 > 0 { filter.actor = "user-2" }
            if number & 4 > 0 { filter.action = .chunkDownload }
            if number & 8 > 0 { filter.outcome = .denied }
            if number & 16 > 0 { filter.since = all[120].stamp.time }
            if number & 32 > 0 { filter.until = all[20].stamp.time }
            var found: [AuditView] = []
            var cursor: AuditCursor?
            repeat {
                let page = try queries.records(filter, after: cursor, limit: 7)
                #expect(page.records.count <= 7)
                found += page.records
                cursor = page.next.flatMap { AuditCursor($0.text) }
                #expect((cursor == nil) == (page.next == nil))
            } while cursor != nil && found.count <= all.count
            #expect(found == all.filter(filter.matches), "\(filter)")
        }
        for text in ["", "-", "1", "1-", "x-1", "-1-a", "01-a"] {
            #expect(AuditCursor(text) == nil, "\(text)")
        }
    }

    @Test("every query is served by an index, in its order, without looking at more than it answers")
    func explained() throws {
        let fixture = try ReplayFixture()
        try fixture.appendRecords(0..<600)
        try fixture.projectAtOnce()
        let middle = try #require(fixture.recordsOfLog().dropFirst(300).first)
        var filters = Array(repeating: AuditFilter(), count: 5)
        filters[1].session = "sess-1"
        filters[2].actor = "user-2"
        filters[3].action = .keyExport
        filters[4].outcome = .failed
        for filter in filters {
            for cursor in [nil, AuditCursor(middle)] {
                for since in [nil, fixture.recordsOfLogStart] {
                    var filter = filter
                    filter.since = since
                    let plan = try fixture.explain(MongoQueries.query(filter, after: cursor, limit: 20))
                    #expect(plan.stages.contains("IXSCAN"), "\(filter): \(plan)")
                    #expect(
                        !plan.stages.contains("COLLSCAN") && !plan.stages.contains("SORT"),
                        "\(filter): \(plan)")
                    #expect(plan.examined <= 30, "\(filter): \(plan)")
                }
            }
        }
    }

    @Test("records are rebuilt with the rest, alone, and not with one session")
    func rebuilt() throws {
        let fixture = try ReplayFixture()
        try fixture.append(fixture.history(seed: 42, sessions: 4))
        try fixture.appendRecords(0..<40)
        try fixture.projectAtOnce()
        #expect(try fixture.replay(verify: true).comparison.differences == 0)
        let damaged = try fixture.recordsOfLog()
        let shown = fixture.collections
        try fixture.tamper(shown.audit, "audit_id", damaged[0].id, "outcome", "denied!")
        try fixture.delete(shown.audit, "audit_id", damaged[1].id)
        let expected: Set<ReadModelDifference> = [
            ReadModelDifference(collection: "audit", key: damaged[0].id, .changed(["outcome"])),
            ReadModelDifference(collection: "audit", key: damaged[1].id, .missing),
        ]
        #expect(try Set(fixture.replay(verify: true).comparison.listed) == expected)
        #expect(try fixture.replay(.history("sess-1"), verify: true).comparison.differences == 0)
        #expect(try fixture.replay(.collection("sessions"), verify: true).comparison.differences == 0)
        let outcome = try fixture.replay(.collection("audit"))
        #expect(outcome.isSwapped && Set(outcome.comparison.listed) == expected)
        #expect(try fixture.shownRecords() == damaged)
        try fixture.expectShown()
        try fixture.tamper(shown.audit, "audit_id", damaged[2].id, "reason", "other")
        #expect(try fixture.replay().comparison.differences == 1)
        #expect(try fixture.shownRecords() == damaged)
        // A swapped-in collection has its indexes, and the projector goes on with it.
        try fixture.appendRecords(40..<50)
        try fixture.projectAtOnce()
        #expect(try fixture.shownRecords() == fixture.recordsOfLog())
        let plan = try fixture.explain(MongoQueries.query(AuditFilter(), after: nil, limit: 5))
        #expect(plan.stages.contains("IXSCAN"))
        // One session's documents are put in place without touching the trail.
        try fixture.tamper(shown.sessions, "session_id", "sess-1", "name", "other")
        #expect(try fixture.replay(.history("sess-1")).isSwapped)
        #expect(try fixture.shownRecords() == fixture.recordsOfLog())
        try fixture.expectShown()
    }

    @Test("a password is put, replaced, removed, and cannot come back after a removal for good")
    func passwords() throws {
        let server = try TestMongo.shared
        let records = MongoPasswordRecords(
            try MongoPool(MongoSettings(url: server.url)), database: server.freshDatabaseName("passwords"))
        func record(_ session: String, _ byte: UInt8) -> PasswordRecord {
            PasswordRecord(
                sessionID: session, keyEncryptionKeyID: "kek-1", nonce: Array(repeating: byte, count: 24),
                ciphertext: Array(repeating: byte, count: 272),
                updatedAt: Timestamp(milliseconds: 1_700_000_000_000 + Int64(byte)))
        }
        #expect(try records.record(ofSession: "a") == nil)
        #expect(try records.put(record("a", 1)) && records.put(record("b", 9)))
        #expect(try records.put(record("a", 2)))
        #expect(try records.record(ofSession: "a") == record("a", 2))
        try records.remove(session: "a", forGood: false)
        try records.remove(session: "a", forGood: false)
        #expect(try records.record(ofSession: "a") == nil)
        #expect(try records.put(record("a", 3)))
        try records.remove(session: "a", forGood: true)
        try records.remove(session: "never", forGood: true)
        for session in ["a", "never"] {
            #expect(try records.record(ofSession: session) == nil)
            #expect(try !records.put(record(session, 4)))
            #expect(try records.record(ofSession: session) == nil)
        }
        #expect(try records.record(ofSession: "b") == record("b", 9))
    }
}

private struct Plan: CustomStringConvertible {
    var stages: Set<String> = []
    var examined = 0
    var description: String { "\(stages.sorted()), \(examined) documents" }

    mutating func read(_ document: BSONDocument) throws(BSONError) {
        try document.forEach { (name, value) throws(BSONError) in
            switch value {
            case .string(let text) where name == "stage": stages.insert(text)
            case .document(let inner): if name != "rejectedPlans" { try read(inner) }
            case .array(let items) where name != "rejectedPlans" && name != "allPlansExecution":
                for case .document(let inner) in items { try read(inner) }
            case .int32(let number) where name == "totalDocsExamined": examined = Int(number)
            case .int64(let number) where name == "totalDocsExamined": examined = Int(number)
            default: break
            }
        }
    }
}

extension ReplayFixture {
    fileprivate var recordsOfLogStart: Timestamp { Timestamp(milliseconds: 1_700_000_000_000) }

    fileprivate func explain(_ query: MongoFind) throws -> Plan {
        let command = BSONDocument { builder in
            builder.append("explain") { builder in
                builder.append("find", collections.audit.collection)
                builder.append("filter", document: query.filter)
                if let sort = query.sort { builder.append("sort", document: sort) }
                builder.append("limit", int64: query.limit)
            }
            builder.append("verbosity", "executionStats")
        }
        let reply = try pool.withClient { (client) throws(MongoFailure) in
            try client.command(command, operation: "explain", on: collections.audit)
        }
        var plan = Plan()
        try plan.read(reply)
        return plan
    }
}
