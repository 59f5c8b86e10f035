import Console
import Gateway
import HTTPServer
import Metrics
import Supervision
import APIKit
import Hosting

/// A process's HTTP ports, one for each of its roles. They listen from its creation on, and answer until it
/// is told to stop.
final class WebService: Service {
    let name = "http"
    private let ports: [RolePort]
    private let certificate: CertificateFiles?
    private let report: @Sendable (LogLevel, String) -> Void

    /// Opens the ports: health, status and metrics of each role, and its routes.
    /// - Parameters:
    ///   - authenticator: who may read figures where others than this machine reach the port.
    ///   - figures: adds to what a role's `/metrics` answers.
    init(
        _ system: OpenSystem, _ plan: WebPlan, _ authenticator: TokenAuthenticator, command: String,
        figures: (RoleName, MetricsRegistry) -> Void = { _, _ in },
        routes: (RoleName) -> [Route] = { _ in [] }
    ) throws {
        // Ports that were named come first, so that nobody else's way out takes them.
        let roles = system.choice.listening
        let ordered = roles.filter { plan.ports[$0] != nil } + roles.filter { plan.ports[$0] == nil }
        ports = try ordered.map { role in
            try RolePort(role, system, plan, routes(role), authenticator, command: command) {
                figures(role, $0)
            }
        }
        certificate = plan.tls
        report = { system.report($0, command, $1) }
    }

    /// Where each role answers.
    var urls: [RoleName: String] {
        Dictionary(ports.map { ($0.role, $0.url) }, uniquingKeysWith: { first, _ in first })
    }

    func run(stop: StopSignal) throws {
        if let certificate {
            var watch = CertificateWatch(certificate, report: report)
            while !stop.wait(milliseconds: CertificateWatch.everyMilliseconds) {
                guard let identity = watch.look() else { continue }
                for port in ports { port.server.show(identity) }
            }
        }
        stop.wait()
        // Beside each other: each may have requests to finish.
        let threads = try ports.map { port in
            try OwnThread(name: "http-stop") { port.server.stop() }
        }
        for thread in threads { try thread.join() }
    }
}

extension ErrorAnswers {
    /// What failures become, those of all domains among them.
    static var hosted: ErrorAnswers {
        ErrorAnswers.recording.adding(Domains.all.flatMap(\.errors)) { error in
            Domains.answer(error).map { HTTPError($0) }
        }
    }
}
