import Console
import Glibc
import Supervision

/// `reel up`: the whole system in one process, with servers of its own.
enum UpCommand: Command {
    static let declaration = CommandDeclaration(
        "up", summary: "Start the whole system: Redis, MongoDB and every role, in one process",
        details: "Keeps everything in the data folder and writes DIR/endpoints.json there once it is ready. "
            + "Runs until SIGINT or SIGTERM, then finishes what it has in hand and stops; a second signal "
            + "ends it at once.",
        options: UpSettings.declarations,
        examples: [
            "reel up", "reel up --data /srv/reel --workers 8",
            "REDIS_URL=redis://10.0.0.5:6379 reel up --mongodb-port 27017",
        ],
        statuses: [
            Common.usageStatus,
            "3  a port is taken, a folder cannot be used or is in use, a server or a role failed for good",
            "130  a second signal ended it before everything had stopped",
        ],
        checksEveryVariable: true)

    /// Milliseconds for all roles and servers to stop.
    private static let stopMilliseconds = 40_000
    /// How long servers of its own that die while it starts may take to come back.
    private static let waitSeconds = 60

    static func run(_ settings: Settings) throws -> ExitStatus {
        let plan = try UpPlan(settings)
        let stop = StopSignal()
        try SignalWatcher.start(stop)
        let folder = try DataFolder(creating: plan.system.data)
        let lock = try lock(folder)
        defer { withExtendedLifetime(lock) {} }
        // What a predecessor left that was killed: it describes a system that is gone.
        unlink(folder.endpoints)
        let log = plan.system.log
        log(.info, "up", "data folder locked", [("path", folder.path), ("pid", "\(getpid())")])
        do {
            try serve(plan, folder, stop)
        } catch  where stop.isSet && !(error is ServiceGroupFailure) {
            // Asked to stop while something was being started: that is no failure.
        }
        log(.info, "up", "stopped")
        return .success
    }

    private static func serve(_ plan: UpPlan, _ folder: DataFolder, _ stop: StopSignal) throws {
        let servers = try UpServers(plan, folder)
        defer { servers.stop() }
        try servers.start(stop)
        let places = Places(
            plan.system, data: folder.path, redisURL: servers.redisURL, mongodbURL: servers.mongodbURL,
            vaultURL: servers.vaultURL)
        var wait = StartupWait(seconds: waitSeconds, log: plan.system.log, command: "up")
        wait.passes = servers.mayComeBack
        let system = try wait.run(stop) {
            try OpenSystem(.everything, plan.system, places, command: "up")
        }
        // Never freed: the driver's connections say goodbye to the server when they are, and wait 5 s for
        // one that has been stopped. The process ends then anyway.
        _ = Unmanaged.passRetained(system)
        system.settle(stop)
        let token = try AdminToken(folder, plan.web)
        var webPlan = plan.web
        webPlan.tokenKeys = webPlan.tokenKeys ?? folder.tokenKeys
        let web = try WebRoles(system, webPlan, command: "up")
        var endpoints = Endpoints(places, pid: getpid(), startedAt: system.startedAt)
        endpoints.dashboardURL = servers.dashboardURL
        endpoints.roleURLs = web.web.urls
        endpoints.adminTokenFile = token.path
        let roles: [any Service] = [
            RolePool(name: "roles", roles: try Roles.make(system), report: system.report.roles), token,
        ]
        let beats = LivenessService(system)
        let group = ServiceGroup(
            servers.services + [
                beats, FormatLevelService(system, after: beats), HostedDomainsService(system),
                LogWatchService(system),
                SweepService(system, ownsChunkStore: plan.system.chunkStore == nil),
                DiskWatchService(system), ReadModelWatchService(system), KeyWatchService(system),
            ] + roles + web.services + [
                ReadinessService(endpoints: endpoints, path: folder.endpoints, log: plan.system.log)
            ], stopWithinMilliseconds: stopMilliseconds)
        try group.run(stop: stop)
    }

    private static func lock(_ folder: DataFolder) throws(CommandFailure) -> FolderLock {
        do throws(FolderLockFailure) {
            return try FolderLock(folder: folder.path, name: "reel.lock")
        } catch {
            switch error {
            case .held(_, let pid):
                let holder = pid.map { "process \($0)" } ?? "another process"
                throw CommandFailure(
                    .dependency,
                    "the data folder \(folder.path) is in use by another 'reel up' (\(holder)); stop that one, "
                        + "or choose another folder with --data")
            case .stopped, .system:
                throw CommandFailure(.dependency, "the data folder \(folder.path) cannot be locked: \(error)")
            }
        }
    }
}

/// Says that the system is ready, and where it is; takes that back when it stops.
struct ReadinessService: Service {
    let name = "readiness"
    let endpoints: Endpoints
    let path: String
    let log: Log

    func run(stop: StopSignal) throws {
        try endpoints.write(to: path)
        defer { unlink(path) }
        log(.info, "up", "ready", [("endpoints", path)])
        stop.wait()
        log(.info, "up", "stopping")
    }
}
