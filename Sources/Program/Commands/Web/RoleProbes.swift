import Gateway
import RecordingMongo
import Metrics
import MongoViews
import Recording
import RedisLog
import ChunkFiles
import APIKit

extension HealthProbe {
    /// What the role depends on: nothing can be done without the log; without MongoDB a projector can do
    /// nothing, lists fail, and the keys of sessions that a worker has not met can't be had; with little room
    /// nothing new begins.
    static func all(of role: RoleName, in system: OpenSystem) -> [HealthProbe] {
        var probes = [
            HealthProbe(
                .service, "event_log", failed: .unhealthy, message: "the event log cannot be reached",
                finding: { try LogHealth.finding(of: system) }),
            HealthProbe(
                .service, "roles", failed: .degraded, message: "",
                finding: { LogHealth.waiting(system.report.outages) }),
            HealthProbe(
                .database, "read_models", failed: role == .projector ? .unhealthy : .degraded,
                message: "the read models cannot be reached",
                finding: { try StoreHealth.readModels(of: system, failed: role == .projector) }),
        ]
        if role != .projector {
            probes.append(
                HealthProbe(
                    .storage, "keys", failed: .degraded, message: "keys cannot be looked at",
                    finding: { StoreHealth.keys(system.keyWatch) }))
            probes.append(
                HealthProbe(
                    .storage, "disks", failed: .degraded,
                    message: "there is too little room for new recordings",
                    check: {
                        if let room = try system.diskGuard.tightest(), room.state != .open {
                            throw DiskShortage(room)
                        }
                    }))
        }
        return probes
    }
}

extension RolePort {
    /// Counts the sessions that are not over, by their status.
    static func openSessions(
        _ system: OpenSystem
    ) -> @Sendable () throws -> [(name: String, count: Int)] {
        let queries = system.views.queries
        return {
            let open: [SessionStatus] = [.created, .starting, .recording, .paused, .stopped, .processing]
            return try open.map { status in
                var filter = SessionFilter()
                filter.status = status
                return (status.rawValue, try queries.sessionCount(filter))
            }
        }
    }
}
