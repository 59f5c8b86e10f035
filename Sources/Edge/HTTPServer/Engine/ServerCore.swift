internal import Base
import Metrics
import Synchronization

/// What all connections of a server share.
final class ServerCore: Sendable {
    /// Uploads are written, and streams read, in pieces of about this size.
    static let pieceBytes = 256 << 10

    let settings: ServerSettings
    let router: Router
    let handlers: WorkPool
    let transfers: WorkPool
    let book = ConnectionRegistry()
    private let ids = Lock(IDSource())
    private let stopping = Atomic<Bool>(false)
    private let running = Atomic<Int>(0)
    private let followers = Lock<[ObjectIdentifier: Follower]>([:])
    private let figures: ServerFigures?
    private let shown: Lock<TLSIdentity?>

    private struct Follower {
        weak var stream: EventStream?
    }

    init(_ settings: ServerSettings, _ router: Router, handlers: WorkPool, transfers: WorkPool) {
        self.settings = settings
        self.router = router
        shown = Lock(settings.tls)
        self.handlers = handlers
        self.transfers = transfers
        figures = settings.metrics.map { ServerFigures($0, router) }
        let book = self.book
        settings.metrics?.reading("reel_http_connections", "Open connections.") { Double(book.count) }
    }

    /// What new connections are shown; nil without TLS.
    var identity: TLSIdentity? {
        get { shown.withLock { $0 } }
        set { shown.withLock { $0 = newValue } }
    }

    var isStopping: Bool { stopping.load(ordering: .relaxed) }

    func beginStopping() { stopping.store(true, ordering: .relaxed) }

    /// Requests that were begun and are not over.
    var runningCount: Int { running.load(ordering: .acquiring) }

    func newID() -> String { ids.withLock { $0.hex(2) } }

    func newTrace() -> TraceContext { ids.withLock { TraceContext(from: &$0) } }

    func began() { running.wrappingAdd(1, ordering: .acquiringAndReleasing) }

    /// The answer to `exchange`; never fails, for an error has an answer too.
    func answer(_ result: Result<Response, any Error>, for exchange: Exchange) -> Answer {
        let headers = commonHeaders(exchange)
        do {
            let response = try result.get()
            let prepared = try PreparedResponse(
                response, to: exchange.request, compressFrom: settings.compressFrom)
            if case .events(let stream) = prepared.body { follow(stream) }
            if let answer = Answer(prepared, headers, for: exchange) { return answer }
        } catch {
            if let answer = errorAnswer(error, headers, exchange) { return answer }
        }
        let error = HTTPError(.internalError, "the answer could not be made")
        guard let answer = errorAnswer(error, headers, exchange) else {
            preconditionFailure("no memory is left for an answer")
        }
        return answer
    }

    private func errorAnswer(
        _ error: any Error, _ headers: [HeaderField], _ exchange: Exchange
    ) -> Answer? {
        let shown: HTTPError
        if let error = error as? HTTPError {
            shown = error
        } else if let request = exchange.request {
            shown = settings.errorFor(error, request)
        } else {
            shown = HTTPError(.internalError, "the server failed")
        }
        let context = ErrorContext(
            requestID: exchange.requestID, method: exchange.method,
            template: exchange.leaf?.route.template ?? "")
        let (contentType, body) = settings.renderError(shown, context)
        let response = Response.bytes(
            body, type: contentType, status: shown.status, headers: shown.headers)
        guard
            let prepared = try? PreparedResponse(
                response, to: exchange.request, compressFrom: settings.compressFrom)
        else { return nil }
        return Answer(prepared, headers, for: exchange)
    }

    /// An error's answer as bytes, the last ones of its connection.
    func lastAnswer(_ error: HTTPError, for exchange: Exchange) -> [UInt8] {
        let context = ErrorContext(requestID: exchange.requestID, method: exchange.method, template: "")
        let (contentType, body) = settings.renderError(error, context)
        let headers =
            commonHeaders(exchange) + error.headers + [
                HeaderField("Content-Type", contentType), HeaderField("Content-Length", "\(body.count)"),
                HeaderField("Cache-Control", "no-store"), HeaderField("Connection", "close"),
            ]
        let lines = ["HTTP/1.1 \(error.status) Refused"] + headers.map { "\($0.name): \($0.value)" }
        let head = Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
        return exchange.method == "HEAD" ? head : head + body
    }

    /// What every answer carries. The API's answers are data: nothing in them may be run, framed or
    /// kept by caches, unless a handler says so.
    func commonHeaders(_ exchange: Exchange) -> [HeaderField] {
        var headers = [HeaderField("X-Request-Id", exchange.requestID)] + Self.securityHeaders
        if settings.tls != nil {
            headers.append(HeaderField("Strict-Transport-Security", "max-age=31536000"))
        }
        guard let policy = settings.cors else { return headers }
        headers.append(HeaderField("Vary", "Origin"))
        if let origin = exchange.request?.headers["Origin"], policy.allows(origin) {
            headers.append(
                HeaderField("Access-Control-Allow-Origin", policy.origins.contains("*") ? "*" : origin))
            headers.append(
                HeaderField(
                    "Access-Control-Expose-Headers", policy.exposedHeaders.joined(separator: ", ")))
        }
        return headers
    }

    private static let securityHeaders = [
        HeaderField("X-Content-Type-Options", "nosniff"),
        HeaderField("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
        HeaderField("Referrer-Policy", "no-referrer"),
    ]

    private func follow(_ stream: EventStream) {
        followers.withLock { $0[ObjectIdentifier(stream)] = Follower(stream: stream) }
        if isStopping { stream.finish() }
    }

    /// Followers that are there; those that are gone are forgotten.
    var streams: [EventStream] {
        followers.withLock { followers in
            followers = followers.filter { $0.value.stream.map { !$0.isClosed } ?? false }
            return followers.values.compactMap(\.stream)
        }
    }

    func report(_ exchange: Exchange, isComplete: Bool) {
        running.wrappingSubtract(1, ordering: .acquiringAndReleasing)
        let nanoseconds = monotonicNanoseconds() &- exchange.began
        figures?.record(exchange.leaf?.index, exchange.method, exchange.status, nanoseconds)
        guard let tell = settings.onExchange else { return }
        tell(
            ExchangeReport(
                requestID: exchange.requestID, method: exchange.method,
                template: exchange.leaf?.route.template ?? "", status: exchange.status,
                nanoseconds: nanoseconds, isComplete: isComplete, peer: exchange.record.peer))
    }
}

/// Requests by route and status, and how long they took.
private final class ServerFigures: Sendable {
    private struct Key: Hashable {
        let route: Int
        let isHead: Bool
        let status: Int
    }

    private let registry: MetricsRegistry
    private let routes: [Route]
    private let durations: [Histogram]
    private let counters = Lock<[Key: Counter]>([:])

    init(_ registry: MetricsRegistry, _ router: Router) {
        self.registry = registry
        routes = router.routes
        durations = router.routes.map {
            registry.histogram(
                "reel_http_request_duration_seconds", "Time from a request's first line to its answer's end.",
                [Label("method", $0.method.rawValue), Label("route", $0.template)])
        }
    }

    func record(_ index: Int?, _ method: String, _ status: Int, _ nanoseconds: UInt64) {
        if let index { durations[index].record(nanoseconds: nanoseconds) }
        // Methods that no route has are one label value together: clients must not make up label values.
        let key = Key(route: index ?? -1, isHead: method == "HEAD", status: status)
        let counter = counters.withLock { counters in
            if let counter = counters[key] { return counter }
            let labels = [
                Label("code", String(status)),
                Label("method", index.map { key.isHead ? "HEAD" : routes[$0].method.rawValue } ?? "none"),
                Label("route", index.map { routes[$0].template } ?? "none"),
            ]
            let counter = registry.counter("reel_http_requests_total", "Requests that are over.", labels)
            counters[key] = counter
            return counter
        }
        counter.add()
    }
}
