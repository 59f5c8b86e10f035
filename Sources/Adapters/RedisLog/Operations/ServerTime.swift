package import Base
package import EventSourcing

extension RedisGroups {
    /// The server's time.
    package func time() throws(LogFailure) -> Timestamp {
        Timestamp(milliseconds: 0)
            .advanced(byMilliseconds: Int64(clamping: try client.serverMilliseconds("time")))
    }
}

extension RedisClient {
    /// The server's clock, by which entries get their ids: milliseconds since 1970.
    func serverMilliseconds(_ operation: String) throws(LogFailure) -> UInt64 {
        let reply = try command(operation, "\(address)", ["TIME"]).elements
        guard reply.count > 1 else { return 0 }
        return UInt64(reply[0].quantity ?? 0) *| 1000 +| UInt64(reply[1].quantity ?? 0) / 1000
    }
}
