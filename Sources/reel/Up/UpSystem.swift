import Console
import EventSourcing
import Glibc
import MongoViews
import Pipeline
import RedisLog
import Supervision
import Vault

/// The log, the read models, keys and folders of `reel up`, opened and checked.
final class UpSystem: Sendable {
    let log: RedisEventLog
    let views: MongoReadModels
    let vault: VaultAccess
    let endpoints: Endpoints
    /// Name of this process among the workers; new at every start.
    let instance: String
    let report: Log

    init(_ plan: UpPlan, _ folder: DataFolder, _ servers: UpServers) throws {
        report = plan.log
        let report = report
        var options = RedisEventLog.Options()
        options.notify = { notice in
            let (level, text) = notice.line
            report(level, "log", text)
        }
        log = try RedisEventLog.open(servers.redisURL, createWith: plan.partitions, options: options)
        let server = try log.inspect()
        let isDurable = server.appendOnly == "yes" && server.appendFsync == "always"
        report(
            isDurable ? .info : .warning, "up", "event log open",
            [
                ("redis", "\(log.address)"), ("version", server.version),
                ("partitions", "\(log.partitioning.count)"), ("durability", server.durability),
            ])
        if log.partitioning.count != plan.partitions {
            report(
                .warning, "up", "the log keeps the partitions it was created with",
                [("partitions", "\(log.partitioning.count)"), ("asked", "\(plan.partitions)")])
        }
        let mongo = try MongoPool(MongoSettings(url: servers.mongodbURL))
        views = MongoReadModels(mongo)
        try views.queries.ping()
        report(.info, "up", "read models open", [("mongodb", mongo.host)])
        vault = VaultAccess(
            spool: try Spool(root: plan.spool ?? folder.spool),
            chunks: try ChunkStore(root: plan.chunkStore ?? folder.chunks),
            ring: try KeyRing.open(folder: folder.keys), archive: MongoKeyArchive(mongo))
        report(
            .info, "up", "vault open",
            [("spool", vault.spool.root), ("chunks", vault.chunks.root), ("keys", folder.keys)])
        let now = SystemClock().now()
        instance = ULID.make(at: now)
        endpoints = Endpoints(
            redisURL: servers.redisURL, mongodbURL: servers.mongodbURL, apiURL: nil,
            chunkStore: DataFolder.absolute(vault.chunks.root) ?? vault.chunks.root, adminTokenFile: nil,
            spool: DataFolder.absolute(vault.spool.root) ?? vault.spool.root, keys: folder.keys,
            pid: getpid(), startedAt: now)
    }
}

extension RedisLogNotice {
    /// How the notice stands in the log.
    fileprivate var line: (LogLevel, String) {
        switch self {
        case .disconnected(let reason): (.warning, "connection lost: \(reason)")
        case .functionsReloaded: (.warning, "the server had lost Reel's functions; they were loaded again")
        case .groupRecreated(let group, let partitions):
            (
                .warning,
                "group \(group) had vanished in \(partitions) partitions and was made again from the log's start"
            )
        case .claimed(let group, let from, let entries):
            (.info, "group \(group): took over \(entries) entries of \(from)")
        case .entryMissing(let group, let position):
            (.error, "group \(group): pending entry \(position) is no longer in the log")
        case .entryMalformed(let group, let position, let text):
            (.error, "group \(group): entry \(position) does not follow the format and was parked: \(text)")
        case .memberRemoved(let group, let member): (.debug, "group \(group): removed member \(member)")
        }
    }
}
