public import EventSourcing
public import HTTPServer

/// The session API: its routes, over the parts that it is given.
public final class Gateway: Sendable {
    private let core: Core

    /// A gateway over its parts. Opens the log.
    public init(_ parts: GatewayParts, _ settings: GatewaySettings = GatewaySettings()) throws(LogFailure) {
        core = try Core(parts, settings)
    }

    /// Looks after open streams of events: goes on with those whose clients were slow, and ends those whose
    /// tokens have expired. To be called some twenty times in a second, by one thread; never blocks.
    public func tend() { core.streams.tend(now: core.now()) }

    /// Every route of the API.
    public var routes: [Route] {
        var routes = RouteTable.endpoints(core).map { $0.route(core) }
        if let document = core.settings.openAPI {
            // Its bytes change with the program alone.
            let etag = EntityTag(
                "\(document.count)-\(document.reduce(UInt64(5381)) { $0 &* 33 &+ UInt64($1) })")
            routes.append(
                .quick(.get, Endpoint.base + "/openapi.json") { _ in .json(document, etag: etag) })
        }
        return routes
    }
}
