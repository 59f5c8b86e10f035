package import APIKit
package import EventSourcing
package import HTTPServer
internal import Intake
package import Metrics
package import Supervision

/// The services that sessions are worked with over.
package enum GatewayService: String, Sendable, CaseIterable {
    /// The session API, below `/api/v1`.
    case api
    /// The Pipeline Manager of seed 001, below nothing and below `/api/v1`.
    case pipeline
    /// The Recorder of seed 001, below nothing and below `/api/v1`.
    case recorder
}

/// The services over the parts that they are given: the session API, and those that do the same work from
/// another side.
package final class Gateway: Sendable {
    private let settings: GatewaySettings
    private let gate: GateParts
    private let contradictions: Contradictions
    private let streams: LiveStreams
    private let resources: Resources

    /// A gateway over its parts. Opens the log.
    package init(_ parts: GatewayParts, _ settings: GatewaySettings = GatewaySettings()) throws(LogFailure) {
        self.settings = settings
        var gate = GateParts(
            authenticator: parts.authenticator, errors: parts.errors, clock: parts.clock)
        gate.limiter = parts.limiter
        gate.rates = settings.rates
        gate.trail = parts.audit.map(AuditedRequests.init)
        self.gate = gate
        contradictions = Contradictions(parts.onContradiction)
        streams = LiveStreams(clock: parts.clock)
        resources = try Resources(parts, settings, contradictions, streams)
    }

    /// What has to run as long as requests are answered.
    package var services: [any Service] { [streams, IntakeService(intake: resources.intake)] }

    /// Adds figures of what the services have met to what a port's `/metrics` answers.
    package func addFigures(to metrics: MetricsRegistry) {
        let contradictions = contradictions
        metrics.reading(
            "reel_read_model_contradictions",
            "Times that the read models showed what the log does not say, and were not believed."
        ) { Double(contradictions.count) }
    }

    /// Every route of a service.
    /// - Parameter more: endpoints of other domains.
    package func routes(of service: GatewayService, and more: [Endpoint] = []) -> [Route] {
        let prefixes = service == .api ? [Endpoint.base] : ["", Endpoint.base]
        let endpoints = resources.endpoints(of: service) + more
        return prefixes.flatMap { prefix in
            let mount = Mount(service: service.rawValue, prefix: prefix)
            return endpoints.map { $0.route(gate, mount) } + document(of: service, below: prefix)
        }
    }

    private func document(of service: GatewayService, below prefix: String) -> [Route] {
        guard let document = settings.documents[service] else { return [] }
        // Its bytes change with the program alone.
        let etag = EntityTag(
            "\(document.count)-\(document.reduce(UInt64(5381)) { $0 &* 33 &+ UInt64($1) })")
        return [.quick(.get, prefix + "/openapi.json") { _ in .json(document, etag: etag) }]
    }
}

/// Looks after the streams that are being taken until it is told to stop: records what is old enough, and
/// does what other processes ask for.
private struct IntakeService: Service {
    let name = "intake"
    let intake: ChunkIntake

    func run(stop: StopSignal) throws { try intake.run(stop: stop) }
}
