import Access
import Console
import EventSourcing
import Gateway
import Glibc
import HTTPServer
import Metrics
import MongoViews
import Recording
import RedisLog
import Supervision
import Vault

/// A process's HTTP port. It listens from its creation on, and answers until it is told to stop.
final class WebService: Service {
    let name = "http"
    /// Where it listens.
    let url: String
    private let server: HTTPServer

    private init(_ server: HTTPServer, url: String) {
        self.server = server
        self.url = url
    }

    func run(stop: StopSignal) {
        stop.wait()
        server.stop()
    }

    /// The port of a process with these roles: health, status and metrics, and `routes`.
    /// - Parameter authenticator: who may read figures where others than this machine reach the port.
    static func start(
        _ system: OpenSystem, _ plan: WebPlan, _ routes: [Route], _ authenticator: TokenAuthenticator,
        command: String
    ) throws -> WebService {
        let metrics = MetricsRegistry()
        let paths = ServicePaths(
            probes: probes(system), metrics: metrics, readers: plan.isLocal ? nil : authenticator,
            facts: [
                ("service", system.report.service), ("roles", system.choice.text),
                ("stages", system.choice.stagesText), ("instance", system.instance),
                ("started_at", system.startedAt.rfc3339), ("version", Program.version),
            ], clock: SystemClock())
        var settings = ServerSettings()
        settings.speakReel()
        settings.address = plan.address
        settings.connections = plan.connections
        settings.tls = plan.tls
        settings.metrics = metrics
        if !plan.corsOrigins.isEmpty {
            settings.cors = CORSPolicy(origins: plan.corsOrigins)
        }
        let router = Router(paths.routes + routes)
        let usual = system.choice.usualPort
        settings.port = plan.port ?? usual
        let server: HTTPServer
        do throws(SystemFailure) { server = try HTTPServer(settings, router) } catch {
            guard plan.port == nil, error.code == EADDRINUSE else { throw error }
            settings.port = 0
            server = try HTTPServer(settings, router)
            system.report(
                .warning, command, "the usual port is taken; took another",
                [("usual", "\(usual)"), ("port", "\(server.port)")])
        }
        let host = plan.address.contains(":") ? "[\(plan.address)]" : plan.address
        let url = "\(plan.tls == nil ? "http" : "https")://\(host):\(server.port)"
        if let fitting = server.reducedConnections {
            system.report(
                .warning, command, "the system lets this process have fewer open files than connections",
                [("connections", "\(fitting)"), ("asked", "\(plan.connections)")])
        }
        system.report(.info, command, "http port open", [("url", url)])
        return WebService(server, url: url)
    }

    /// Without the log nothing can be done; without the read models lists fail; with little room nothing new
    /// begins.
    private static func probes(_ system: OpenSystem) -> [HealthProbe] {
        var probes = [
            HealthProbe(
                .service, "event_log", failed: .unhealthy, message: "the event log cannot be reached"
            ) { _ = try system.log.inspect() },
            HealthProbe(
                .database, "read_models", failed: .degraded, message: "the read models cannot be reached"
            ) { try system.views.queries.ping() },
        ]
        if system.choice.needsVault {
            probes.append(
                HealthProbe(
                    .storage, "disks", failed: .degraded,
                    message: "there is too little room for new recordings"
                ) {
                    if let room = try system.diskGuard.tightest(), room.state != .open {
                        throw DiskShortage(room)
                    }
                })
        }
        return probes
    }
}
