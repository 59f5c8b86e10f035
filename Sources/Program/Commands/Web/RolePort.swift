import Base
import Console
import Gateway
import Glibc
import HTTPServer
import Metrics
import Supervision
import APIKit
import Recording

/// One role's HTTP port.
struct RolePort: Sendable {
    let role: RoleName
    /// Where it listens.
    let url: String
    let server: HTTPServer

    /// Connections of a port that is not the API's.
    private static let fewConnections = 1024

    /// Starts to listen: on the port that was named, else on the role's usual one, else, where that is taken,
    /// on a free one, since many processes of one role share a machine.
    init(
        _ role: RoleName, _ system: OpenSystem, _ plan: WebPlan, _ routes: [Route],
        _ authenticator: TokenAuthenticator, command: String, figures: (MetricsRegistry) -> Void
    ) throws {
        let metrics = MetricsRegistry()
        LogHealth.figures(of: system, in: metrics)
        StoreHealth.figures(of: system, in: metrics)
        figures(metrics)
        var paths = ServicePaths(
            probes: HealthProbe.all(of: role, in: system), metrics: metrics,
            readers: plan.isLocal ? nil : authenticator, permission: .readSystemStatistics,
            facts: [
                ("service", system.report.service), ("role", role.rawValue), ("roles", system.choice.text),
                ("stages", system.choice.stagesText), ("instance", system.instance),
                ("started_at", system.startedAt.rfc3339), ("version", Program.version),
            ], clock: SystemClock())
        if role.service != nil { paths.counts = ("sessions", Self.openSessions(system)) }
        var settings = Self.settings(role, system, plan)
        settings.metrics = metrics
        let router = Router(paths.routes + routes)
        do throws(SystemFailure) { server = try HTTPServer(settings, router) } catch {
            guard plan.ports[role] == nil, error.code == EADDRINUSE else { throw error }
            settings.port = 0
            server = try HTTPServer(settings, router)
            system.report(
                .warning, command, "the usual port is taken; took another",
                [("role", role.rawValue), ("usual", "\(role.usualPort)"), ("port", "\(server.port)")])
        }
        if let fitting = server.reducedConnections {
            system.report(
                .warning, command, "the system lets this process have fewer open files than connections",
                [("connections", "\(fitting)"), ("asked", "\(settings.connections)")])
        }
        let host = plan.address.contains(":") ? "[\(plan.address)]" : plan.address
        url = "\(plan.tls == nil ? "http" : "https")://\(host):\(server.port)"
        self.role = role
        system.report(.info, command, "http port open", [("url", url), ("role", role.rawValue)])
    }

    private static func settings(
        _ role: RoleName, _ system: OpenSystem, _ plan: WebPlan
    ) -> ServerSettings {
        var settings = ServerSettings()
        settings.answerErrors(with: .hosted)
        settings.address = plan.address
        settings.port = plan.ports[role] ?? role.usualPort
        settings.connections = plan.connections
        if role != .api {
            // Not asked for much: operators' commands and some streams, or health and figures alone.
            settings.threads = 1
            settings.handlerThreads = role.service == nil ? 2 : 8
            settings.transferThreads = role.service == nil ? 1 : 8
            settings.connections = min(plan.connections, fewConnections)
        }
        settings.tls = plan.tls?.identity
        if !plan.corsOrigins.isEmpty {
            settings.cors = CORSPolicy(origins: plan.corsOrigins)
        }
        return settings
    }
}
