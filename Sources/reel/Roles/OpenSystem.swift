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
    var archive: String

    init(
        redisURL: String, mongodbURL: String, spool: String, chunks: String, keys: String, archive: String
    ) {
        self.redisURL = redisURL
        self.mongodbURL = mongodbURL
        self.spool = spool
        self.chunks = chunks
        self.keys = keys
        self.archive = archive
    }

    /// - Parameter data: the data folder, for what was not named.
    init(_ plan: SystemPlan, data: String, redisURL: String, mongodbURL: String) {
        self.redisURL = redisURL
        self.mongodbURL = mongodbURL
        spool = plan.spool ?? DataFolder.spool(in: data)
        chunks = plan.chunkStore ?? DataFolder.chunks(in: data)
        keys = plan.keys ?? DataFolder.keys(in: data)
        archive = plan.archive ?? DataFolder.archive(in: data)
    }
}

/// The log, the read models and, as far as its roles need them, keys and folders, opened and checked. Each
/// process that runs roles has one.
final class OpenSystem: Sendable {
    /// Partitions of a log that is made when nobody said how many.
    static let usualPartitions = 256

    let choice: RoleChoice
    let log: RedisEventLog
    let views: MongoReadModels
    let passwords: MongoPasswordRecords
    let workers: Int
    let chaining: Bool
    let levels: [Codec: Int]
    let archiving: ArchivePolicy
    /// Milliseconds between two looks at what may be archived.
    let archivePause: Int
    /// Milliseconds between two looks for sessions whose retention has passed; 0 for none.
    let retentionPause: Int
    /// The archive's files.
    let archive: FileSegmentStore
    /// Name of this process among the workers; new at every start.
    let instance: String
    let startedAt: Timestamp
    let report: Log
    /// Over the disks of spool and chunk store, as far as they were opened.
    let diskGuard: DiskGuard
    private let openedVault: VaultAccess?

    /// - Parameter command: the command that opens it, for the log's lines.
    init(_ choice: RoleChoice, _ plan: SystemPlan, _ places: Places, command: String) throws {
        self.choice = choice
        report = plan.log
        (workers, chaining, levels) = (plan.workers, plan.chaining, plan.levels)
        (archiving, archivePause) = (plan.archiving, plan.archivePause)
        retentionPause = plan.retentionPause
        archive = FileSegmentStore(root: places.archive)
        log = try Self.openLog(plan, places, command)
        let mongo = try MongoPool(MongoSettings(url: places.mongodbURL))
        views = MongoReadModels(mongo)
        passwords = MongoPasswordRecords(mongo)
        try views.queries.ping()
        report(.info, command, "read models open", [("mongodb", mongo.host)])
        if choice.needsVault {
            openedVault = VaultAccess(
                spool: try Spool(root: places.spool, limitBytes: plan.spoolLimitBytes),
                chunks: try ChunkStore(root: places.chunks),
                ring: try KeyRing.open(folder: places.keys), archive: MongoKeyArchive(mongo))
            report(
                .info, command, "vault open",
                [("spool", places.spool), ("chunks", places.chunks), ("keys", places.keys)])
        } else {
            openedVault = nil
        }
        diskGuard = DiskGuard(
            paths: choice.needsVault ? [places.spool, places.chunks] : [], reserveBytes: plan.diskReserveBytes
        )
        startedAt = SystemClock().now()
        instance = ULID.make(at: startedAt)
    }

    /// Everything that touching content needs.
    func vault() throws -> VaultAccess {
        guard let openedVault else { throw NotOpened(roles: choice.text) }
        return openedVault
    }

    /// A role uses what its declaration does not ask for.
    private struct NotOpened: Error, CustomStringConvertible {
        let roles: String
        var description: String { "the vault was not opened for \(roles)" }
    }

    private static func openLog(
        _ plan: SystemPlan, _ places: Places, _ command: String
    ) throws -> RedisEventLog {
        let report = plan.log
        var options = RedisEventLog.Options()
        options.durability = plan.durability
        options.archive = FileSegmentStore(root: places.archive)
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
        case .partitionHalted(let partition, let reason):
            (.error, "partition \(partition) is halted: \(reason); see 'reel partitions lift --help'")
        case .partitionLifted(let partition, let text):
            (.warning, "partition \(partition) goes on: its halt was lifted by \(text)")
        case .memberRemoved(let group, let member): (.debug, "group \(group): removed member \(member)")
        }
    }
}
