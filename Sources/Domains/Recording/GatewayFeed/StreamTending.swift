package import Gateway
package import Supervision

/// Looks after the gateway's open streams while the process runs.
package final class StreamTending: Service {
    private static let everyMilliseconds = 50

    /// Name of the service.
    package let name = "streams"
    private let gateway: Gateway

    /// The service of a gateway.
    package init(_ gateway: Gateway) { self.gateway = gateway }

    /// Tends until `stop` is set.
    package func run(stop: StopSignal) {
        while !stop.isSet {
            gateway.tend()
            stop.wait(milliseconds: Self.everyMilliseconds)
        }
    }
}
