public import EventSourcing
public import HTTPServer
internal import Metrics
internal import Recording

/// The session API: its routes, and what a server needs to speak as it does.
public final class Gateway: Sendable {
    private let core: Core

    /// A gateway over its parts. Opens the log.
    public init(_ parts: GatewayParts, _ settings: GatewaySettings = GatewaySettings()) throws(LogFailure) {
        core = try Core(parts, settings)
    }

    /// Every route, health included.
    public var routes: [Route] {
        HealthPaths.routes(core) + [metrics(""), metrics(Endpoint.base)].compactMap { $0 }
            + RouteTable.endpoints(core).map { $0.route(core) }
    }

    /// Gives a server the API's form of errors, its limits and its figures.
    public func configure(_ settings: inout ServerSettings) {
        settings.renderError = ErrorAnswers.render
        settings.errorFor = { error, _ in ErrorAnswers.answer(error) }
        settings.metrics = core.parts.metrics
    }

    private func metrics(_ prefix: String) -> Route {
        Route(.get, prefix + "/metrics") { [core] request in
            if !core.settings.openMetrics {
                let subject = try core.parts.authenticator.caller(of: request)
                guard subject.may(.readSystemStatistics) else {
                    throw ErrorInfo(.notAllowed, "your role does not allow reading the metrics")
                }
            }
            return .bytes(core.parts.metrics.text(), type: "text/plain; version=0.0.4; charset=utf-8")
        }
    }
}
