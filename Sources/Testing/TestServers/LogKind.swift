package import EventSourcing
internal import RedisLog
internal import Simulation

/// The logs that tests of what runs on one go through: each claim holds on all of them.
package enum LogKind: String, CaseIterable, Sendable {
    case memory, redis

    /// A fresh log of this kind.
    package func open(partitions: Int = 4) throws -> any EventLog {
        switch self {
        case .memory: return InMemoryEventLog(partitions: partitions)
        case .redis:
            let server = try TestRedis.shared
            return try RedisEventLog.open(
                "\(server.url)/\(server.freshDatabase())", createWith: partitions)
        }
    }
}
