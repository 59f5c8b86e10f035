import Engine
import Access
import Base
import EventSourcing
import Foundation
import Gateway
import HTTPServer
import Metrics
import Pipeline
import Recording
import SessionContent
import Simulation
import Supervision
import Testing
import ChunkFiles
import Sealing
import APIKit

/// Tokens that are what they say: the token is the subject's name.
struct NamedTokens: Authenticator {
    var hasKeys = true
    var subjects: [String: Subject] = [
        "admin": Subject(id: "admin", roles: [.admin]),
        "manager": Subject(id: "manager", roles: [.sessionManager]),
        "olga": Subject(id: "olga", roles: [.sessionOperator], projects: ["apollo"]),
        "otto": Subject(id: "otto", roles: [.sessionOperator]),
        "vera": Subject(id: "vera", roles: [.sessionViewer], projects: ["apollo"]),
        "auditor": Subject(id: "auditor", roles: [.auditor]),
    ]

    func subject(ofToken token: String) throws(TokenRefusal) -> Subject {
        guard let subject = subjects[token] else { throw .unknownKey }
        return subject
    }

    func knownAdmission(ofToken token: String) -> Admission? {
        hasKeys ? try? admission(ofToken: token) : nil
    }

    /// Until when tokens hold; for ever where there is nothing.
    var expires: [String: Timestamp] = [:]

    func admission(ofToken token: String) throws(TokenRefusal) -> Admission {
        Admission(subject: try subject(ofToken: token), expires: expires[token])
    }
}

/// The sessions' keys, one caller at a time.
final class LockedKeys: SessionKeyAccess, @unchecked Sendable {
    private let keys: SessionKeys
    private let lock = Lock(())

    init(_ vault: VaultAccess) throws { keys = try vault.openKeys() }

    func makeKey(forSession session: String, at time: Timestamp) throws -> SessionKey {
        try lock.withLock { _ in try keys.make(forSession: session, at: time) }
    }

    func key(ofSession session: String) throws -> SessionKey {
        try lock.withLock { _ in try keys.key(ofSession: session) }
    }
}

/// A gateway over a log in memory, and a server in front of it.
final class TestGateway {
    let log: InMemoryEventLog
    let queries: LogQueries
    let vault: VaultAccess
    let server: HTTPServer
    /// All methods with their paths' templates.
    let table: [(method: HTTPMethod, template: String)]
    let folder: String
    private let ownsFolder: Bool
    private let stop = StopSignal()
    private var threads: [OwnThread<Void>] = []
    private let processingStop = StopSignal()
    private var processing: [OwnThread<Void>] = []

    /// - Parameter other: another gateway whose log, keys and folders are shared.
    init(
        serving service: GatewayService = .api, beside other: TestGateway? = nil,
        tokens: NamedTokens = NamedTokens(), isLive: Bool = false,
        _ change: (inout GatewayParts, inout GatewaySettings) -> Void = { _, _ in }
    ) throws {
        log = other?.log ?? InMemoryEventLog()
        queries = LogQueries(log)
        ownsFolder = other == nil
        folder = other?.folder ?? NSTemporaryDirectory() + "gateway-tests-" + UUID().uuidString
        vault =
            try other?.vault
            ?? VaultAccess(
                spool: try Spool(root: folder + "/spool"), chunks: try ChunkStore(root: folder + "/chunks"),
                ring: try KeyRing.open(folder: folder + "/keys"), archive: InMemoryKeyArchive())
        var parts = GatewayParts(
            log: log, queries: queries, authenticator: tokens, keys: try LockedKeys(vault),
            spool: vault.spool, chunks: vault.chunks, clock: SystemClock())
        let directory = SessionDirectory(log: log, report: .silent)
        let feed = LiveFeed(log: log, listener: directory, report: .silent)
        if isLive {
            parts.feed = feed
            parts.directory = FeedDirectory(directory, feed)
        }
        var settings = GatewaySettings()
        change(&parts, &settings)
        let gateway = try Gateway(parts, settings)
        var server = ServerSettings()
        server.handlerThreads = 4
        server.transferThreads = 2
        server.answerErrors(with: .recording)
        let store = log
        let paths = ServicePaths(
            probes: [
                HealthProbe(.service, "event_log", failed: .unhealthy, message: "it is away") {
                    _ = try store.open().end(of: 0)
                }
            ], metrics: MetricsRegistry(), readers: tokens, permission: .readSystemStatistics,
            facts: [("service", "test")],
            clock: SystemClock())
        let router = Router(paths.routes + gateway.routes(of: service))
        table = router.table
        self.server = try HTTPServer(server, router)
        let stop = stop
        for service in gateway.services {
            threads.append(try OwnThread(name: service.name) { try service.run(stop: stop) })
        }
        guard isLive else { return }
        threads.append(try OwnThread(name: "live") { try feed.run(stop: stop) })
        threads.append(try OwnThread(name: "directory") { try directory.run(stop: stop) })
        feed.waitUntilReady(stop: stop)
        directory.waitUntilReady(stop: stop)
    }

    deinit {
        server.stop()
        stopProcessing()
        stop.set()
        for thread in threads { _ = thread.wait(milliseconds: 10_000) }
        if ownsFolder { try? FileManager.default.removeItem(atPath: folder) }
    }

    /// One request on a connection of its own.
    func ask(
        _ method: String, _ path: String, as token: String? = "admin", _ headers: [String] = [],
        body: String? = nil
    ) throws -> WireAnswer {
        let type = body == nil ? [] : ["Content-Type: application/json"]
        return try Client(server.port).ask(
            method, "/api/v1" + path, as: token, headers + type, body: body.map { Array($0.utf8) })
    }

    /// Makes a session; its id.
    func makeSession(as token: String = "admin", _ more: String = "") throws -> String {
        let answer = try ask("POST", "/sessions", as: token, body: sessionBody(more))
        try #require(answer.status == 201, "\(answer.text)")
        return try #require(answer.json["session_id"]?.string)
    }

    /// Uploads one chunk.
    func upload(
        _ bytes: [UInt8], _ number: Int, to session: String, as token: String = "admin", _ more: String = "",
        headers: [String] = [], among collection: String = "sessions"
    ) throws -> WireAnswer {
        let query = "sequence_number=\(number)&timestamp=2026-01-31T10:00:00.000Z\(more)"
        return try Client(server.port).ask(
            "POST", "/api/v1/\(collection)/\(session)/chunks?\(query)", as: token,
            headers + ["Content-Type: application/octet-stream"], body: bytes)
    }

    /// Nothing is sealed or completed any more, and nothing that this does is under way.
    func stopProcessing() {
        processingStop.set()
        for thread in processing { _ = thread.wait(milliseconds: 10_000) }
    }

    /// Seals what is recorded, until the gateway goes.
    func startProcessing() throws {
        let (log, vault, stop) = (log, vault, processingStop)
        let instance = UUID().uuidString
        try log.liveness().beat(ConsumerName.mark(ofInstance: instance), forMilliseconds: 3_600_000)
        processing.append(
            try OwnThread(name: "stages") {
                let stage = try ChunkStage(
                    chain: [.compress, .encrypt, .validate, .store], log: log, vault: vault, levels: [:],
                    clock: SystemClock())
                try StageWorker(
                    stage: stage, log: log, consumer: ConsumerName(instance: instance, number: 0),
                    policy: RetryPolicy(baseMilliseconds: 5), clock: SystemClock(), report: .silent
                ) { delivery, reason throws(LogFailure) in
                    try ParkedChunk.events(for: delivery, reason, clock: SystemClock(), at: log.level)
                }.run(stop: stop)
            })
        processing.append(
            try OwnThread(name: "completion") {
                let completion = SessionCompletion(
                    spool: vault.spool, clock: SystemClock(), report: .silent)
                try OrderedWorker(handler: completion, log: log, report: .silent).run(stop: stop)
            })
    }

    /// A moment, for loops that wait.
    func pause() { stop.wait(milliseconds: 10) }

    /// Waits until the session is in `status`.
    func wait(for status: String, of session: String) throws {
        for _ in 0..<12_000 {
            if try ask("GET", "/sessions/\(session)").json["status"]?.string == status { return }
            stop.wait(milliseconds: 10)
        }
        Issue.record("the session never was \(status)")
    }

    /// Appends an event that changes nothing.
    func appendNote(to session: String) throws {
        let event = try ProposedEvent(
            RecordingEvent.session(.updated(SessionEvent.Updated(sessionID: session))), id: UUID().uuidString,
            time: SystemClock().now(), context: EventContext(source: "/test", actor: .system("test")),
            at: .newest)
        _ = try log.open().append([event], to: session, expecting: .any)
    }

    /// The events of a session, in order.
    func events(of session: String) -> [RecordedEvent] {
        log.allEvents().filter { $0.partitionKey == session }.sorted { $0.sequence < $1.sequence }
    }
}

/// A lawful body of `POST /sessions`.
func sessionBody(_ more: String = "") -> String {
    let desk = #""rdp_config":{"host":"desk.example","username":"anna"}"#
    return #"{"name":"a desk",\#(desk)\#(more.isEmpty ? "" : ",")\#(more)}"#
}
