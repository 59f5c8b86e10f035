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
    private let core: Core

    /// A gateway over its parts. Opens the log.
    package init(_ parts: GatewayParts, _ settings: GatewaySettings = GatewaySettings()) throws(LogFailure) {
        core = try Core(parts, settings)
    }

    /// Looks after open streams of events: goes on with those whose clients were slow, and ends those whose
    /// tokens have expired. To be called some twenty times in a second, by one thread; never blocks.
    package func tend() { core.streams.tend(now: core.now()) }

    /// Adds figures of what the services have met to what a port's `/metrics` answers.
    package func addFigures(to metrics: MetricsRegistry) {
        let contradictions = core.contradictions
        metrics.reading(
            "reel_read_model_contradictions",
            "Times that the read models showed what the log does not say, and were not believed."
        ) { Double(contradictions.count) }
    }

    /// Looks after the streams that are being taken until `stop` is set: records what is old enough, and does
    /// what other processes ask for. Blocks; to be called by a thread of its own.
    package func runIntake(stop: StopSignal) throws { try core.intake.run(stop: stop) }

    /// Every route of a service.
    package func routes(of service: GatewayService) -> [Route] {
        let prefixes = service == .api ? [Endpoint.base] : ["", Endpoint.base]
        let endpoints = RouteTable.endpoints(of: service, core)
        return prefixes.flatMap { prefix in
            let mount = Mount(service: service, prefix: prefix)
            return endpoints.map { $0.route(core, mount) } + document(of: service, below: prefix)
        }
    }

    private func document(of service: GatewayService, below prefix: String) -> [Route] {
        guard let document = core.settings.documents[service] else { return [] }
        // Its bytes change with the program alone.
        let etag = EntityTag(
            "\(document.count)-\(document.reduce(UInt64(5381)) { $0 &* 33 &+ UInt64($1) })")
        return [.quick(.get, prefix + "/openapi.json") { _ in .json(document, etag: etag) }]
    }
}
