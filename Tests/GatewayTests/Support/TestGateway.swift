import EventSourcing
import Foundation
import Gateway
import HTTPServer
import Metrics
import Recording
import Simulation
import Synchronization
import Testing
import Vault

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
        guard let subject = subjects[token] else { throw TokenRefusal("nobody has signed it") }
        return subject
    }
}

/// Keys in memory.
final class MemoryKeys: SessionKeyAccess {
    private let keys = Mutex<[String: SessionKey]>([:])

    func makeKey(forSession session: String, at time: Timestamp) throws -> SessionKey {
        try keys.withLock { keys in
            if let key = keys[session] { return key }
            let key = try SessionKey.generate(sessionID: session)
            keys[session] = key
            return key
        }
    }

    func key(ofSession session: String) throws -> SessionKey {
        try makeKey(forSession: session, at: SystemClock().now())
    }
}

/// A gateway over a log in memory, and a server in front of it.
final class TestGateway {
    let log: InMemoryEventLog
    let queries: LogQueries
    let keys: MemoryKeys
    let server: HTTPServer
    let folder: String
    private let ownsFolder: Bool

    /// - Parameter other: another gateway whose log, keys and folders are shared.
    init(
        beside other: TestGateway? = nil, tokens: NamedTokens = NamedTokens(),
        _ change: (inout GatewayParts, inout GatewaySettings) -> Void = { _, _ in }
    ) throws {
        log = other?.log ?? InMemoryEventLog()
        queries = LogQueries(log)
        keys = other?.keys ?? MemoryKeys()
        ownsFolder = other == nil
        folder = other?.folder ?? NSTemporaryDirectory() + "gateway-tests-" + UUID().uuidString
        var parts = GatewayParts(
            log: log, queries: queries, authenticator: tokens, keys: keys,
            spool: try Spool(root: folder + "/spool"), chunks: try ChunkStore(root: folder + "/chunks"),
            clock: SystemClock(), metrics: MetricsRegistry())
        var settings = GatewaySettings()
        change(&parts, &settings)
        let gateway = try Gateway(parts, settings)
        var server = ServerSettings()
        server.handlerThreads = 4
        server.transferThreads = 2
        gateway.configure(&server)
        self.server = try HTTPServer(server, Router(gateway.routes))
    }

    deinit {
        server.stop()
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
