import Console
import EventSourcing
import Glibc
import MongoViews
import Recording
import Supervision

/// `reel serve`: some roles in a process of their own, on servers that are there.
enum ServeCommand: Command {
    static let declaration = CommandDeclaration(
        "serve", summary: "Run roles against a Redis and a MongoDB that are there",
        details:
            "Start as many of each as there is work for, on one machine or many: they share the event log "
            + "and need no other configuration. All but projector share the spool, the chunk store and the folder "
            + "of keys. Each role answers over HTTP on a port of its own.\n"
            + "Roles: pipeline (Merkle trees, completion, watch over recorders; pipelines over HTTP), recorder "
            + "(recordings over HTTP), processor (compress, encrypt, validate, or --stages), storage (store), api "
            + "(sessions over HTTP), projector (read models in MongoDB).\n"
            + "SIGTERM and SIGINT: finishes what it has in hand and stops; a second signal ends it at once.",
        positionals: [
            Positional(
                "ROLE", .oneOf(RoleName.allCases.map(\.rawValue)), isRepeatable: true,
                help: "pipeline, recorder, processor, storage, api or projector; several run in one process")
        ],
        options: ServeSettings.declarations,
        examples: [
            "reel serve processor storage --workers 8",
            "reel serve processor --stages compress --spool /mnt/reel/spool",
            "reel serve pipeline projector --ready-file /run/reel/ready",
        ],
        statuses: [
            Common.usageStatus,
            "3  a server cannot be reached in time, a folder cannot be used, or a role failed for good",
            "130  a second signal ended it before everything had stopped",
        ],
        checksEveryVariable: true)

    static func run(_ settings: Settings) throws -> ExitStatus {
        let plan = try ServePlan(settings)
        let stop = StopSignal()
        try SignalWatcher.start(stop)
        let log = plan.system.log
        log(
            .info, "serve", "starting",
            [("roles", plan.choice.text), ("stages", plan.choice.stagesText), ("pid", "\(getpid())")])
        // What a predecessor left that was killed.
        if let file = plan.readyFile { unlink(file) }
        do {
            try serve(plan, stop)
        } catch  where stop.isSet && !(error is ServiceGroupFailure) {
            // Asked to stop while it was waiting for a server: that is no failure.
        }
        log(.info, "serve", "stopped")
        return .success
    }

    private static func serve(_ plan: ServePlan, _ stop: StopSignal) throws {
        let system = try StartupWait(seconds: plan.startupWaitSeconds, log: plan.system.log, command: "serve")
            .run(stop) {
                try OpenSystem(plan.choice, plan.system, plan.places, command: "serve")
            }
        // Never freed, see UpCommand.
        _ = Unmanaged.passRetained(system)
        system.settle(stop)
        let beats = LivenessService(system)
        var services: [any Service] = [
            beats, FormatLevelService(system, after: beats), HostedDomainsService(system),
            LogWatchService(system),
        ]
        if plan.choice.needsVault {
            services += [
                SweepService(system, ownsChunkStore: false), DiskWatchService(system),
                KeyWatchService(system),
            ]
        }
        if plan.choice.servesSessions || plan.choice.names.contains(.projector) {
            services.append(ReadModelWatchService(system))
        }
        services.append(RolePool(name: "roles", roles: try Roles.make(system), report: system.report.roles))
        services += try WebRoles(system, plan.web, command: "serve").services
        services.append(InServiceMark(system, path: plan.readyFile, beats: beats.health))
        let group = ServiceGroup(services, stopWithinMilliseconds: plan.stopWithinSeconds * 1000)
        try group.run(stop: stop)
    }
}
