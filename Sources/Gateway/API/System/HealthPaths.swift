internal import EventSourcing
internal import HTTPServer
internal import Recording
internal import Vault

/// `/health`, `/health/live`, `/health/ready`: answered to anybody, with and without the API's prefix.
enum HealthPaths {
    static func routes(_ core: Core) -> [Route] {
        ["", Endpoint.base].flatMap { prefix in
            [
                Route.quick(.get, prefix + "/health/live") { _ in .json(Array(#"{"status":"healthy"}"#.utf8))
                },
                Route(.get, prefix + "/health/ready") { _ in try answer(core, isReadiness: true) },
                Route(.get, prefix + "/health") { _ in try answer(core, isReadiness: false) },
            ]
        }
    }

    private static func answer(_ core: Core, isReadiness: Bool) throws -> Response {
        let health = look(core)
        var writer = JSONWriter()
        health.encode(into: &writer)
        let isDown = health.status == .unhealthy
        return .json(
            writer.bytes, status: isDown ? 503 : 200, headers: [HeaderField("Cache-Control", "no-store")])
    }

    /// Without the log nothing can be done; without the read models lists fail; with little room nothing new
    /// begins.
    private static func look(_ core: Core) -> HealthResponse {
        var health = HealthResponse(timestamp: core.now())
        health.services["event_log"] = timed(core, .unhealthy, "the event log cannot be reached") {
            _ = try core.store.end(of: 0)
        }
        health.database["read_models"] = timed(core, .degraded, "the read models cannot be reached") {
            try core.queries.ping()
        }
        if let diskGuard = core.parts.diskGuard {
            health.storage["disks"] = timed(core, .degraded, "there is too little room for new recordings") {
                try DiskRoom.require(diskGuard)
            }
        }
        return health
    }

    private static func timed(
        _ core: Core, _ failed: HealthStatus, _ message: String, _ body: () throws -> Void
    ) -> ServiceHealth {
        let began = ContinuousClock.now
        let works = (try? body()) != nil
        let took = ContinuousClock.now - began
        let milliseconds =
            Double(took.components.attoseconds / 1_000_000_000_000) / 1000
            + Double(took.components.seconds) * 1000
        return ServiceHealth(
            works ? .healthy : failed, at: core.now(), response_ms: milliseconds,
            errorMessage: works ? nil : message)
    }
}
