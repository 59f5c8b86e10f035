import Pipeline
import Console
import EventSourcing
import MongoViews
import RedisLog
import Files
import Sealing

/// What every process that runs roles can be told, however it was started.
enum SystemSettings {
    static let workers = Setting(
        "workers", "N", .integer(1...256), variable: "REEL_WORKERS", defaultNote: "the number of cores",
        help: "Threads that work on chunks")
    static let noChaining = Flag(
        "no-chaining", help: "Hand chunks from stage to stage through the spool instead of in memory")
    static let level = Setting(
        "level", "LEVEL", .integer(1...19), variable: "REEL_COMPRESSION_LEVEL",
        defaultNote: "3 for zstd, 6 for gzip",
        help: "Compression level for --codec: 1 to 19 for zstd, 1 to 9 for gzip")
    static let spool = Setting(
        "spool", "DIR", .path, variable: "REEL_RECORDING_PATH", defaultNote: "DIR/spool",
        help: "Folder of recorded chunks that are not stored yet")
    static let chunkStore = Setting(
        "chunk-store", "DIR", .path, variable: "REEL_CHUNK_OUTPUT_PATH", defaultNote: "DIR/chunks",
        help: "Root folder of the sealed files")
    static let keys = Setting(
        "keys", "DIR", .path, variable: "REEL_KEYS", defaultNote: "DIR/keys",
        help: "Folder of the key-encryption keys")
    static let archive = Setting(
        "archive", "DIR", .path, variable: "REEL_ARCHIVE_PATH", defaultNote: "DIR/archive",
        help: "Folder of the log's archived segments; every process that reads the log needs it")
    static let archiveAfterEvents = Setting(
        "archive-after-events", "N", .integer(10...100_000), variable: "REEL_ARCHIVE_AFTER_EVENTS",
        default: "5000", help: "Archive a partition's oldest events when there are this many")
    static let archiveAfterHours = Setting(
        "archive-after-hours", "HOURS", .integer(1...87_600), variable: "REEL_ARCHIVE_AFTER_HOURS",
        default: "24", help: "Archive events that are older than this, even where they are few")
    static let archiveEvery = Setting(
        "archive-every", "SECONDS", .integer(1...3600), variable: "REEL_ARCHIVE_EVERY_SECONDS",
        default: "10", help: "How often to look whether something may be archived")
    static let retentionEvery = Setting(
        "retention-every", "SECONDS", .integer(0...86_400), variable: "REEL_RETENTION_EVERY_SECONDS",
        default: "300",
        help: "How often to look for sessions to delete because their retention_days have passed; 0: never")
    static let verifyEvery = Setting(
        "verify-every", "DAYS", .integer(0...3650), variable: "REEL_VERIFY_EVERY_DAYS", default: "30",
        help: "Verify each session that is over at least this often, in the background; 0: never")
    static let verifyShare = Setting(
        "verify-share", "PERCENT", .integer(1...100), variable: "REEL_VERIFY_SHARE_PERCENT", default: "10",
        help: "The share of its time that the background may spend on reading sessions again")
    static let service = Setting(
        "service-name", "NAME", .identifier, variable: "SERVICE_NAME", default: "reel",
        help: "What this process calls itself in its log")
    static let logLevel = Setting(
        "log-level", "LEVEL", .oneOf(LogLevel.allCases.map(\.rawValue)), variable: "REEL_LOG_LEVEL",
        default: "info", help: "Least level that is logged: debug, info, warning or error")

    static let declarations: [OptionDeclaration] =
        [
            workers.declaration, noChaining.declaration, Common.codec.declaration, level.declaration,
            spool.declaration, chunkStore.declaration, keys.declaration, Common.diskReserve.declaration,
            Common.spoolQuota.declaration,
            archive.declaration, archiveAfterEvents.declaration, archiveAfterHours.declaration,
            archiveEvery.declaration, retentionEvery.declaration,
            verifyEvery.declaration, verifyShare.declaration, service.declaration, logLevel.declaration,
        ] + DurabilitySettings.declarations + LogDecision.declarations
}

/// The checked values that say how roles run in one process.
struct SystemPlan {
    var data: String
    /// Partitions of a new log; nil when nobody said, see `OpenSystem`.
    var partitions: Int?
    var workers: Int
    var chaining: Bool
    var levels: [Codec: Int]
    /// Folders that were named; each has its usual place in the data folder.
    var spool: String?
    var chunkStore: String?
    var keys: String?
    var diskReserveBytes: Int?
    /// What may lie in the spool; nil when nobody has said.
    var spoolLimitBytes: Int?
    var durability: Durability
    /// What to do where another log is expected.
    var decision: LogDecision
    var archive: String?
    var archiving: ArchivePolicy
    /// Milliseconds between two looks at what may be archived.
    var archivePause: Int
    /// Milliseconds between two looks for sessions whose retention has passed; 0 for none.
    var retentionPause: Int
    /// How sessions are verified in the background.
    var verification: VerificationPolicy
    var log: Log

    init(_ settings: Settings) throws(UsageError) {
        let command = settings.command.name
        data = try settings.require(Common.data)
        workers = settings[SystemSettings.workers] ?? Processors.online
        chaining = !settings[SystemSettings.noChaining]
        spool = settings[SystemSettings.spool]
        chunkStore = settings[SystemSettings.chunkStore]
        keys = settings[SystemSettings.keys]
        diskReserveBytes = settings[Common.diskReserve].map { $0 << 20 }
        spoolLimitBytes = try Common.spoolLimit(settings)
        durability = try DurabilitySettings.durability(settings)
        decision = try LogDecision(settings)
        archive = settings[SystemSettings.archive]
        archiving = try ArchivePolicy(settings)
        archivePause = try settings.require(SystemSettings.archiveEvery) * 1000
        retentionPause = try settings.require(SystemSettings.retentionEvery) * 1000
        verification = VerificationPolicy(
            period_ms: Int64(try settings.require(SystemSettings.verifyEvery)) * 86_400_000,
            diskShare: Double(try settings.require(SystemSettings.verifyShare)) / 100)
        log = Log(
            level: LogLevel(rawValue: try settings.require(SystemSettings.logLevel)) ?? .info,
            service: try settings.require(SystemSettings.service))
        levels = [:]
        guard let level = settings[SystemSettings.level] else { return }
        let codec = Codec(rawValue: try settings.require(Common.codec)) ?? .zstd
        guard let allowed = codec.levels else {
            throw UsageError(["--level \(level): \(codec.rawValue) has no levels"], command: command)
        }
        guard allowed.contains(level) else {
            throw UsageError(
                [
                    "--level \(level): must be a whole number from \(allowed.lowerBound) to "
                        + "\(allowed.upperBound) for \(codec.rawValue)"
                ], command: command)
        }
        levels[codec] = level
    }
}

/// Servers that a process is given instead of starting its own.
enum ServerURLs {
    static let redis = Setting(
        "redis-url", "URL", .url(RedisLocation.schemes), variable: "REDIS_URL",
        defaultNote: "a redis-server of its own in DIR/redis",
        help: "Use this Redis: redis://[user:password@]host[:port][/database], "
            + "redis+sentinel://[user:password@]host:port,…/master[/database] or "
            + "redis+cluster://[user:password@]host:port,…")
    static let mongodb = Setting(
        "mongodb-url", "URL", .url(["mongodb", "mongodb+srv"]), variable: "MONGODB_URL",
        defaultNote: "a mongod of its own in DIR/mongodb", help: "Use this MongoDB")

    /// For commands on a system that runs: found by its servers, or by its data folder.
    static let knownRedis = Setting(
        "redis-url", "URL", .url(RedisLocation.schemes), variable: "REDIS_URL",
        defaultNote: "what DIR/endpoints.json says",
        help: "Redis of the system, in the forms that 'reel up' takes; with --mongodb-url")
    static let knownMongodb = Setting(
        "mongodb-url", "URL", .url(["mongodb", "mongodb+srv"]), variable: "MONGODB_URL",
        defaultNote: "what DIR/endpoints.json says", help: "MongoDB of the system; with --redis-url")

    /// Where keys and sealed passwords are, so that they can have a user, or a server, of their own.
    static let vault = Setting(
        "vault-mongodb-url", "URL", .url(["mongodb", "mongodb+srv"]), variable: "REEL_VAULT_MONGODB_URL",
        defaultNote: "the same as --mongodb-url",
        help: "MongoDB with the wrapped keys and sealed passwords, database reel_vault")

    /// The rules of the settings look at the scheme; what reads the URLs knows the rest.
    static func check(
        redis: String?, mongodb: String?, vault: String?, command: String
    ) throws(UsageError) {
        if let redis {
            do throws(LogFailure) { _ = try RedisLocation(url: redis) } catch {
                throw UsageError(["--redis-url (REDIS_URL): \(error.text)"], command: command)
            }
        }
        let urls = [
            (mongodb, "--mongodb-url (MONGODB_URL)"),
            (vault, "--vault-mongodb-url (REEL_VAULT_MONGODB_URL)"),
        ]
        for case (let url?, let name) in urls {
            do throws(MongoFailure) { _ = try MongoPool(MongoSettings(url: url)) } catch {
                throw UsageError(["\(name): \(error.text)"], command: command)
            }
        }
    }
}
