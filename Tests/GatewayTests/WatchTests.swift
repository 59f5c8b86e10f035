import Base
import EventSourcing
import Gateway
import HTTPServer
import Recording
import Simulation
import Testing
import ReadModels

/// Keeps records in memory.
final class MemoryAuditWriter: AuditWriter {
    private let kept = Lock<[AuditRecord]>([])
    private let away: Lock<Bool>

    init(isAway: Bool = false) { away = Lock(isAway) }

    var isAway: Bool {
        get { away.withLock { $0 } }
        set { away.withLock { $0 = newValue } }
    }

    var records: [AuditRecord] { kept.withLock { $0 } }

    private struct Away: Error {}

    func note(_ record: AuditRecord, traceparent: String) { kept.withLock { $0.append(record) } }

    func keep(_ record: AuditRecord, traceparent: String) throws {
        if isAway { throw Away() }
        note(record, traceparent: traceparent)
    }
}

/// Lets so many requests of each kind through.
final class FewRequests: RateLimiter {
    private let counts = Lock<[String: Int]>([:])
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    func take(_ rule: RateRule, by subject: String) -> RateDecision {
        let count = counts.withLock { counts in
            counts["\(rule.name) \(subject)", default: 0] += 1
            return counts["\(rule.name) \(subject)", default: 0]
        }
        return RateDecision(
            isAllowed: count <= limit, limit: limit, remaining: max(0, limit - count),
            resetMilliseconds: 1500)
    }
}

/// Takes passwords, and shows what it was given to the test alone.
private final class MemoryPasswords: PasswordWriter {
    private let kept = Lock<[String: [UInt8]]>([:])

    func password(of session: String) -> [UInt8]? { kept.withLock { $0[session] } }

    func put(_ password: RDPPassword, ofSession session: String) throws -> Bool {
        let bytes = password.withBytes { $0 }
        kept.withLock { $0[session] = bytes }
        return true
    }
}

/// A trail of two records of anna's.
private struct TwoRecords: AuditQueries {
    private var all: [AuditView] {
        (1...2).map { number in
            AuditView(
                id: "a-\(number)",
                record: AuditRecord(
                    .sessionRead, on: AuditResource(.session, id: "s"), outcome: .allowed,
                    actor: AuditActor(type: .user, subject: "anna")),
                stamp: EventStamp(
                    time: Timestamp(milliseconds: Int64(number)), sequence: UInt64(number),
                    position: .start(of: 0)))
        }
    }

    func records(
        _ filter: AuditFilter, after cursor: AuditCursor?, limit: Int
    ) throws(QueryFailure) -> AuditPage {
        let found = all.reversed().filter { view in
            filter.matches(view) && cursor.map { AuditCursor(view) < $0 } ?? true
        }
        let records = Array(found.prefix(limit))
        return AuditPage(
            records: records, next: found.count > limit ? records.last.map(AuditCursor.init) : nil)
    }
}

@Suite("Limits, records and secrets")
struct WatchTests {
    @Test("Too many requests are told when to come back, each kind and subject apart")
    func limits() throws {
        let limiter = FewRequests(limit: 2)
        let gateway = try TestGateway { parts, _ in parts.limiter = limiter }
        for remaining in ["1", "0"] {
            let answer = try gateway.ask("GET", "/sessions", as: "olga")
            #expect(answer.status == 200)
            #expect(answer[header: "X-RateLimit-Limit"] == "2")
            #expect(answer[header: "X-RateLimit-Remaining"] == remaining)
        }
        let refused = try gateway.ask("GET", "/sessions", as: "olga")
        #expect(refused.status == 429)
        #expect(refused.code == "REEL_ERR_3010")
        #expect(refused[header: "Retry-After"] == "2")
        #expect(refused.json["error"]?["details"]?["category"]?.string == "temporary")
        #expect(try gateway.ask("GET", "/sessions", as: "otto").status == 200)
        #expect(try gateway.ask("POST", "/sessions", as: "olga", body: sessionBody()).status == 201)
        // Errors count, and say how many are left.
        #expect(try gateway.ask("GET", "/sessions/none", as: "vera")[header: "X-RateLimit-Remaining"] == "1")
        for status in [401, 401, 429] {
            #expect(try gateway.ask("GET", "/sessions", as: "guess").status == status)
        }
    }

    @Test("There is a record of every command, denial and download, and of who did it from where")
    func records() throws {
        let writer = MemoryAuditWriter()
        let gateway = try TestGateway { parts, _ in parts.audit = writer }
        let made = try gateway.ask(
            "POST", "/sessions", as: "olga", ["X-Request-Id: r-1", "User-Agent: tester"], body: sessionBody())
        let id = try #require(made.json["session_id"]?.string)
        _ = try gateway.ask("GET", "/sessions/\(id)", as: "olga")
        _ = try gateway.ask("POST", "/sessions/\(id)/pause", as: "olga")
        _ = try gateway.ask("DELETE", "/sessions/\(id)", as: "vera")
        _ = try gateway.ask("GET", "/sessions/\(id)", as: "guess")
        let records = writer.records
        #expect(
            records.map(\.action) == [.sessionCreate, .sessionPause, .sessionDelete, .authenticate])
        #expect(records.map(\.outcome) == [.allowed, .denied, .denied, .denied])
        #expect(records.map(\.statusCode) == [201, 409, 403, 401])
        let first = try #require(records.first)
        #expect(first.resource == AuditResource(.session, id: id))
        #expect(first.actor == AuditActor(type: .user, subject: "olga", roles: ["session_operator"]))
        #expect(first.address == "127.0.0.1")
        #expect(first.requestID == "r-1")
        #expect(first.userAgent == "tester")
        #expect(records.last?.actor == .unauthenticated)
    }

    @Test("The trail is for auditors and administrators, filtered and paged")
    func trail() throws {
        let gateway = try TestGateway { parts, _ in parts.auditQueries = TwoRecords() }
        #expect(try gateway.ask("GET", "/audit", as: "manager").status == 403)
        let first = try gateway.ask("GET", "/audit?limit=1&actor=anna", as: "auditor")
        #expect(first.status == 200)
        #expect(first.json["records"]?.array?.first?["audit_id"]?.string == "a-2")
        let cursor = try #require(first.json["next_cursor"]?.string)
        let second = try gateway.ask("GET", "/audit?limit=1&actor=anna&cursor=\(cursor)", as: "admin")
        #expect(second.json["records"]?.array?.first?["audit_id"]?.string == "a-1")
        #expect(second.json["next_cursor"] == .null)
        #expect(try gateway.ask("GET", "/audit?actor=otto").json["records"]?.array?.isEmpty == true)
        let wrong = try gateway.ask(
            "GET", "/audit?limit=0&outcome=maybe&action=A&since=now&cursor=x&colour=red")
        #expect(
            Set(wrong.fields) == ["limit", "outcome", "action", "since", "cursor", "colour"])
    }

    @Test("Bytes are not given out while nobody can record that they are")
    func failClosed() throws {
        let writer = MemoryAuditWriter(isAway: true)
        let gateway = try TestGateway { parts, _ in parts.audit = writer }
        let id = try gateway.makeSession()
        _ = try gateway.ask("POST", "/sessions/\(id)/start")
        _ = try gateway.upload([1, 2, 3], 1, to: id)
        _ = try gateway.ask("POST", "/sessions/\(id)/stop")
        try gateway.startProcessing()
        try gateway.wait(for: "completed", of: id)
        let media = try gateway.ask("GET", "/sessions/\(id)/media")
        #expect(media.status == 503)
        #expect(media.code == "REEL_ERR_3015")
    }

    @Test("A desktop's password is in no answer, no event and no record")
    func password() throws {
        let writer = MemoryAuditWriter()
        let passwords = MemoryPasswords()
        let gateway = try TestGateway { parts, _ in
            parts.audit = writer
            parts.passwords = passwords
        }
        let secret = "kQ7-never-shown"
        let body =
            #"{"name":"x","rdp_config":{"host":"h","username":"u","password":"\#(secret)"}}"#
        let made = try gateway.ask("POST", "/sessions", body: body)
        #expect(made.status == 201)
        let id = try #require(made.json["session_id"]?.string)
        #expect(passwords.password(of: id) == Array(secret.utf8))
        let refused = try gateway.ask(
            "POST", "/sessions",
            body: #"{"name":"","rdp_config":{"host":"h","username":"u","password":"\#(secret)"}}"#)
        #expect(refused.status == 422)
        let read = try gateway.ask("GET", "/sessions/\(id)")
        for text in [made.text, refused.text, read.text, "\(writer.records)"] {
            #expect(!text.contains(secret))
        }
        for event in gateway.log.allEvents() {
            #expect(!String(decoding: event.data, as: UTF8.self).contains(secret))
        }
    }

    @Test("A server that can't keep passwords doesn't take one")
    func noPasswords() throws {
        let gateway = try TestGateway()
        let answer = try gateway.ask(
            "POST", "/sessions",
            body: #"{"name":"x","rdp_config":{"host":"h","username":"u","password":"p"}}"#)
        #expect(answer.fields == ["rdp_config.password"])
    }

    @Test("Statistics are of one session for who sees it, and of the system for few")
    func statistics() throws {
        let gateway = try TestGateway()
        let id = try gateway.makeSession(as: "olga")
        _ = try gateway.ask("POST", "/sessions/\(id)/start", as: "olga")
        _ = try gateway.upload(
            [1, 2, 3], 1, to: id, as: "olga", "&frame_count=30&dropped_frames=2&quality_score=80")
        for mode in [LogQueries.Mode.current, .behind] {
            gateway.queries.set(mode)
            let own = try gateway.ask("GET", "/sessions/\(id)/statistics", as: "olga")
            #expect(own.status == 200)
            #expect(own.json["session_id"]?.string == id)
            #expect(own.text.contains(#""dropped_frames":2"#))
        }
        gateway.queries.set(.current)
        #expect(try gateway.ask("GET", "/sessions/\(id)/statistics", as: "otto").status == 404)
        #expect(try gateway.ask("GET", "/statistics", as: "olga").status == 403)
        #expect(try gateway.ask("GET", "/statistics", as: "auditor").status == 200)
    }
}
