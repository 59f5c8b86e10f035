import Console
import EventSourcing
import Glibc
import MongoViews
import Pipeline
import RedisLog
import Supervision
import Vault

/// Where the parts of a system are.
struct Places {
    var redisURL: String
    var mongodbURL: String
    var spool: String
    var chunks: String
    var keys: String

    init(_ plan: SystemPlan, _ folder: DataFolder, redisURL: String, mongodbURL: String) {
        self.redisURL = redisURL
        self.mongodbURL = mongodbURL
        spool = plan.spool ?? folder.spool
        chunks = plan.chunkStore ?? folder.chunks
        keys = plan.keys ?? folder.keys
    }
}

/// The log, the read models, keys and folders that roles work on, opened and checked; each process has one.
final class OpenSystem: Sendable {
    /// Partitions of a log that is made when nobody said how many.
    static let usualPartitions = 256

    let log: RedisEventLog
    let views: MongoReadModels
    let vault: VaultAccess
    let endpoints: Endpoints
    let workers: Int
    let chaining: Bool
    let levels: [Codec: Int]
    /// Name of this process among the workers; new at every start.
    let instance: String
    let report: Log

    init(_ plan: SystemPlan, _ places: Places, command: String) throws {
        report = plan.log
        (workers, chaining, levels) = (plan.workers, plan.chaining, plan.levels)
        log = try Self.openLog(plan, places, command)
        let mongo = try MongoPool(MongoSettings(url: places.mongodbURL))
        views = MongoReadModels(mongo)
        try views.queries.ping()
        report(.info, command, "read models open", [("mongodb", mongo.host)])
        vault = VaultAccess(
            spool: try Spool(root: places.spool), chunks: try ChunkStore(root: places.chunks),
            ring: try KeyRing.open(folder: places.keys), archive: MongoKeyArchive(mongo))
        report(
            .info, command, "vault open",
            [("spool", vault.spool.root), ("chunks", vault.chunks.root), ("keys", places.keys)])
        let now = SystemClock().now()
        instance = ULID.make(at: now)
        endpoints = Endpoints(
            redisURL: places.redisURL, mongodbURL: places.mongodbURL, apiURL: nil,
            chunkStore: DataFolder.absolute(vault.chunks.root) ?? vault.chunks.root, adminTokenFile: nil,
            spool: DataFolder.absolute(vault.spool.root) ?? vault.spool.root,
            keys: DataFolder.absolute(places.keys) ?? places.keys, pid: getpid(), startedAt: now)
    }

    private static func openLog(
        _ plan: SystemPlan, _ places: Places, _ command: String
    ) throws -> RedisEventLog {
        let report = plan.log
        var options = RedisEventLog.Options()
        options.notify = { notice in
            let (level, text) = notice.line
            report(level, "log", text)
        }
        let log = try RedisEventLog.open(
            places.redisURL, createWith: plan.partitions ?? usualPartitions, options: options)
        let server = try log.inspect()
        let isDurable = server.appendOnly == "yes" && server.appendFsync == "always"
        report(
            isDurable ? .info : .warning, command, "event log open",
            [
                ("redis", "\(log.address)"), ("version", server.version),
                ("partitions", "\(log.partitioning.count)"), ("durability", server.durability),
            ])
        if let asked = plan.partitions, log.partitioning.count != asked {
            report(
                .warning, command, "the log keeps the partitions it was created with",
                [("partitions", "\(log.partitioning.count)"), ("asked", "\(asked)")])
        }
        return log
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
