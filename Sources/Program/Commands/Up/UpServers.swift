import Console
import EmbeddedServers
import EventSourcing
import Supervision

/// The servers of `reel up`: its own, or those it was given.
final class UpServers {
    private let plan: UpPlan
    /// Who may use its own; nil when it has none.
    private let credentials: ServerCredentials?
    private let redis: SupervisedServer?
    private let mongodb: SupervisedServer?
    private var started: [SupervisedServer] = []

    init(_ plan: UpPlan, _ folder: DataFolder) throws {
        self.plan = plan
        let log = plan.system.log
        let hasOwn = plan.redisURL == nil || plan.mongodbURL == nil
        let file = CredentialFile(folder: folder.path, redis: folder.redis, mongodb: folder.mongodb)
        credentials = hasOwn ? try file.open(isRotating: plan.isRotating) : nil
        if plan.isRotating {
            log(.warning, "up", "the servers get new passwords", [("file", file.path)])
        }
        redis =
            plan.redisURL == nil
            ? .redis(
                folder: folder.redis, port: plan.redisPort, login: credentials?.redis,
                report: { log(.warning, "redis-server", $0) })
            : nil
        mongodb =
            plan.mongodbURL == nil
            ? .mongo(
                folder: folder.mongodb, port: plan.mongodbPort, logins: credentials?.mongo,
                report: { log(.warning, "mongod", $0) })
            : nil
    }

    /// The servers as services of a group.
    var services: [any Service] { [redis, mongodb].compactMap { $0 } }

    /// Whether what failed is a server of its own, which is kept running: one that dies comes back.
    func mayComeBack(_ error: any Error) -> Bool {
        let server = error is LogFailure ? redis : mongodb
        guard let server, error.knownRemedy == .time else { return false }
        if case .failed = server.state { return false }
        return true
    }

    var redisURL: String {
        plan.redisURL
            ?? EmbeddedRedis(folder: "", port: redis?.port ?? 0, login: credentials?.redis).url
    }

    var mongodbURL: String { plan.mongodbURL ?? ownMongo.url }

    /// Where the vault's database is: beside the read models, with a user of its own, unless that was said.
    var vaultURL: String {
        plan.vaultURL ?? plan.mongodbURL ?? ownMongo.url(of: credentials?.mongo.vault)
    }

    /// For dashboards; nil when the server is somebody else's.
    var dashboardURL: String? {
        plan.mongodbURL == nil ? ownMongo.url(of: credentials?.mongo.dashboards) : nil
    }

    private var ownMongo: EmbeddedMongo {
        EmbeddedMongo(folder: "", port: mongodb?.port ?? 0, logins: credentials?.mongo)
    }

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
