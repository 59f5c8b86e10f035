public import Gateway
public import Supervision

/// Looks after the gateway's open streams while the process runs.
public final class StreamTending: Service {
    private static let everyMilliseconds = 50

    /// Name of the service.
    public let name = "streams"
    private let gateway: Gateway

    /// The service of a gateway.
    public init(_ gateway: Gateway) { self.gateway = gateway }

    /// Tends until `stop` is set.
    public func run(stop: StopSignal) {
        while !stop.isSet {
            gateway.tend()
            stop.wait(milliseconds: Self.everyMilliseconds)
        }
    }
}
