package import Base
internal import EventSourcing
package import HTTPServer
package import Metrics
package import Access

/// Something that a service depends on, and how to find out whether it works.
package struct HealthProbe: Sendable {
    /// What kind of thing it is.
    package enum Kind: Sendable {
        case service
        case database
        case storage
    }

    /// What is wrong with something that answers.
    package struct Finding: Sendable, Hashable {
        /// How it is.
        package var status: HealthStatus
        /// What is said to everybody; holds no secret, and names nobody.
        package var message: String
        package init(_ status: HealthStatus, _ message: String) {
            self.status = status
            self.message = message
        }
    }

    let kind: Kind
    let name: String
    let failed: HealthStatus
    let message: String
    let look: @Sendable () throws -> Finding?

    /// A probe of something that works, or does not.
    /// - Parameters:
    ///   - failed: what the service is without it.
    ///   - message: what is said then; what `check` throws is said to nobody.
    package init(
        _ kind: Kind, _ name: String, failed: HealthStatus, message: String,
        check: @escaping @Sendable () throws -> Void
    ) {
        self.init(kind, name, failed: failed, message: message) { () throws -> Finding? in
            try check()
            return nil
        }
    }

    /// A probe that may find something wrong with what answers.
    /// - Parameters:
    ///   - failed: what the service is when nothing answers.
    ///   - message: what is said then; what `finding` throws is said to nobody.
    ///   - finding: finds out how it is; nil when all is well.
    package init(
        _ kind: Kind, _ name: String, failed: HealthStatus, message: String,
        finding: @escaping @Sendable () throws -> Finding?
    ) {
        self.kind = kind
        self.name = name
        self.failed = failed
        self.message = message
        look = finding
    }

    fileprivate func look(at time: Timestamp) -> ServiceHealth {
        let began = ContinuousClock.now
        let finding: Finding?
        do { finding = try look() } catch { finding = Finding(failed, message) }
        let took = (ContinuousClock.now - began).components
        return ServiceHealth(
            finding?.status ?? .healthy, at: time,
            response_ms: Double(took.seconds) * 1000 + Double(took.attoseconds / 1_000_000_000_000) / 1000,
            errorMessage: finding?.message)
    }
}

/// What every role's port answers: `/health`, `/health/live`, `/health/ready`, `/status`, `/metrics`.
package struct ServicePaths: Sendable {
    /// What the service depends on.
    package var probes: [HealthProbe]
    /// Where figures are.
    package var metrics: MetricsRegistry
    /// Who may read `/metrics` and `/status`; nil: anybody.
    package var readers: (any Authenticator)?
    /// What `/status` says, beside the state.
    package var facts: [(name: String, value: String)]
    /// Counts that `/status` says, too, below a name; nil where they are nobody's business.
    package var counts: (name: String, read: @Sendable () throws -> [(name: String, count: Int)])?
    private let permission: Permission
    private let clock: any WallClock
    private let memo = HealthMemo()

    /// Paths of a service.
    /// - Parameter permission: what `/metrics` and `/status` take, where there are readers.
    package init(
        probes: [HealthProbe], metrics: MetricsRegistry, readers: (any Authenticator)?,
        permission: Permission,
        facts: [(name: String, value: String)], clock: any WallClock
    ) {
        self.permission = permission
        self.probes = probes
        self.metrics = metrics
        self.readers = readers
        self.facts = facts
        self.clock = clock
    }

    /// The routes, with and without the API's prefix.
    package var routes: [Route] {
        ["", Endpoint.base].flatMap { prefix in
            [
                Route.quick(.get, prefix + "/health/live") { _ in
                    .json(Array(#"{"status":"healthy"}"#.utf8), headers: [Self.uncached])
                },
                Route(.get, prefix + "/health/ready") { [self] _ in health() },
                Route(.get, prefix + "/health") { [self] _ in health() },
                Route(.get, prefix + "/status") { [self] request in
                    try admit(request)
                    return status()
                },
                Route(.get, prefix + "/metrics") { [self] request in
                    try admit(request)
                    return .bytes(
                        metrics.text(), type: MetricsRegistry.contentType, headers: [Self.uncached])
                },
            ]
        }
    }

    private static let uncached = HeaderField("Cache-Control", "no-store")

    private func admit(_ request: Request) throws {
        guard let readers else { return }
        guard try readers.caller(of: request).may(permission) else {
            throw ErrorInfo(.notAllowed, "your role does not allow reading figures of the system")
        }
    }

    private func health() -> Response {
        let health = memo.value(at: clock.now(), look)
        var writer = JSONWriter()
        health.encode(into: &writer)
        return .json(
            writer.bytes, status: health.status == .unhealthy ? 503 : 200, headers: [Self.uncached])
    }

    private func look(at time: Timestamp) -> HealthResponse {
        var health = HealthResponse(timestamp: time)
        for probe in probes {
            let state = probe.look(at: time)
            switch probe.kind {
            case .service: health.services[probe.name] = state
            case .database: health.database[probe.name] = state
            case .storage: health.storage[probe.name] = state
            }
        }
        return health
    }

    private func status() -> Response {
        let health = memo.value(at: clock.now(), look)
        var writer = JSONWriter()
        writer.object { json in
            json.member("status", health.status.rawValue)
            json.member("timestamp", health.timestamp)
            for fact in facts {
                json.key(dynamic: fact.name)
                json.value(fact.value)
            }
            if let counts { Self.encode(counts.name, try? counts.read(), into: &json) }
        }
        return .json(writer.bytes, headers: [Self.uncached])
    }
}

extension ServicePaths {
    /// Null while nobody can say.
    private static func encode(
        _ name: String, _ counts: [(name: String, count: Int)]?, into json: inout JSONWriter
    ) {
        json.key(dynamic: name)
        guard let counts else { return json.null() }
        json.object { json in
            for (name, count) in counts {
                json.key(dynamic: name)
                json.value(count)
            }
        }
    }
}

/// The last look, for a moment: anybody may ask, and must not wear the servers out thereby.
private final class HealthMemo: Sendable {
    private static let lifetimeMilliseconds: Int64 = 500
    private let kept = Lock<HealthResponse?>(nil)

    func value(at now: Timestamp, _ look: (Timestamp) -> HealthResponse) -> HealthResponse {
        kept.withLock { kept in
            if let kept, abs(now.milliseconds(since: kept.timestamp)) < Self.lifetimeMilliseconds {
                return kept
            }
            let health = look(now)
            kept = health
            return health
        }
    }
}
