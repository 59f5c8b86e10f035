internal import Arithmetic
public import EventSourcing

extension RedisGroups {
    /// The server's time.
    public func time() throws(LogFailure) -> Timestamp {
        var commands = CommandBuffer()
        commands.command("TIME")
        var now = Timestamp(milliseconds: 0)
        try client.pipeline("time", "\(client.address)", commands) { _, reply throws(LogFailure) in
            let (seconds, microseconds) = (reply[0]?.quantity ?? 0, reply[1]?.quantity ?? 0)
            now = Timestamp(milliseconds: 0)
                .advanced(byMilliseconds: Int64(seconds) *| 1000 +| Int64(microseconds) / 1000)
        }
        return now
    }
}
