import Console
import Supervision

/// The servers of `reel up`: its own, or those it was given.
final class UpServers {
    private let plan: UpPlan
    private let redis: SupervisedServer?
    private let mongodb: SupervisedServer?
    private var started: [SupervisedServer] = []

    init(_ plan: UpPlan, _ folder: DataFolder) {
        self.plan = plan
        let log = plan.system.log
        redis =
            plan.redisURL == nil
            ? .redis(
                folder: folder.redis, port: plan.redisPort, report: { log(.warning, "redis-server", $0) })
            : nil
        mongodb =
            plan.mongodbURL == nil
            ? .mongo(folder: folder.mongodb, port: plan.mongodbPort, report: { log(.warning, "mongod", $0) })
            : nil
    }

    /// The servers as services of a group.
    var services: [any Service] { [redis, mongodb].compactMap { $0 } }

    var redisURL: String { plan.redisURL ?? EmbeddedRedis(folder: "", port: redis?.port ?? 0).url }

    var mongodbURL: String { plan.mongodbURL ?? EmbeddedMongo(folder: "", port: mongodb?.port ?? 0).url }

    /// Starts the own ones at the same time; returns when all are ready.
    func start(_ stop: StopSignal) throws {
        // Two servers on one port would be found out late, by one of them dying.
        if redis != nil, mongodb != nil, let port = plan.redisPort, port == plan.mongodbPort {
            throw UsageError(["--redis-port and --mongodb-port are both \(port)"], command: "up")
        }
        // A start can be cancelled; later on servers stop last, after those who use them.
        let cancel = StopSignal()
        let allStarted = StopSignal()
        stop.whenSet { if !allStarted.isSet { cancel.set() } }
        defer { allStarted.set() }
        let starting = try [redis, mongodb].compactMap { $0 }.map { server in
            started.append(server)
            return (server, try OwnThread(name: "start \(server.name)") { try server.start(stop: cancel) })
        }
        for (server, thread) in starting {
            try thread.join()
            plan.system.log(
                .info, "up", "\(server.name) ready", [("port", "\(server.port)"), ("folder", server.folder)])
        }
    }

    /// Stops what was started and still runs.
    func stop() {
        for server in started.reversed() { server.stop() }
    }
}
