import Console
import MongoViews
import RedisLog
import Vault

/// What `reel up` can be told.
enum UpSettings {
    static let redisURL = Setting(
        "redis-url", "URL", .url(["redis"]), variable: "REDIS_URL",
        defaultNote: "a redis-server of its own in DIR/redis",
        help: "Use this Redis, redis://[user:password@]host[:port][/database]")
    static let mongodbURL = Setting(
        "mongodb-url", "URL", .url(["mongodb", "mongodb+srv"]), variable: "MONGODB_URL",
        defaultNote: "a mongod of its own in DIR/mongodb", help: "Use this MongoDB")
    static let redisPort = Setting(
        "redis-port", "PORT", .port, variable: "REEL_REDIS_PORT", defaultNote: "any free port",
        help: "Port of its own redis-server on 127.0.0.1")
    static let mongodbPort = Setting(
        "mongodb-port", "PORT", .port, variable: "REEL_MONGODB_PORT", defaultNote: "any free port",
        help: "Port of its own mongod on 127.0.0.1")
    static let partitions = Setting(
        "partitions", "N", .integer(1...4096), variable: "REEL_PARTITIONS", default: "16",
        help: "Partitions of a new log; an existing log keeps its own")
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
    static let service = Setting(
        "service-name", "NAME", .identifier, variable: "SERVICE_NAME", default: "reel",
        help: "What this process calls itself in its log")
    static let logLevel = Setting(
        "log-level", "LEVEL", .oneOf(LogLevel.allCases.map(\.rawValue)), variable: "REEL_LOG_LEVEL",
        default: "info", help: "Least level that is logged: debug, info, warning or error")

    static let declarations: [OptionDeclaration] =
        Common.places + [
            redisURL.declaration, mongodbURL.declaration, redisPort.declaration, mongodbPort.declaration,
            partitions.declaration, workers.declaration, noChaining.declaration, Common.codec.declaration,
            level.declaration, spool.declaration, chunkStore.declaration, service.declaration,
            logLevel.declaration,
        ]
}

/// The checked values of one `reel up`.
struct UpPlan {
    var data: String
    var redisURL: String?
    var mongodbURL: String?
    var redisPort: UInt16?
    var mongodbPort: UInt16?
    var partitions: Int
    var workers: Int
    var chaining: Bool
    var levels: [Codec: Int]
    var spool: String?
    var chunkStore: String?
    var log: Log

    init(_ settings: Settings) throws(UsageError) {
        data = try settings.require(Common.data)
        redisURL = settings[UpSettings.redisURL]
        mongodbURL = settings[UpSettings.mongodbURL]
        redisPort = settings[UpSettings.redisPort]
        mongodbPort = settings[UpSettings.mongodbPort]
        for (url, port, server) in [
            (redisURL, redisPort, "redis"), (mongodbURL, mongodbPort, "mongodb"),
        ] where url != nil && port != nil {
            throw UsageError(
                [
                    "--\(server)-port is for a server of Reel's own, and --\(server)-url names another; "
                        + "give one of them"
                ], command: "up")
        }
        // The rules of the settings look at the scheme; what reads the URLs knows the rest.
        if let redisURL, RedisAddress(redisURL) == nil {
            throw UsageError(
                ["--redis-url (REDIS_URL): must be redis://[user:password@]host[:port][/database]"],
                command: "up")
        }
        if let mongodbURL {
            do throws(MongoFailure) { _ = try MongoPool(MongoSettings(url: mongodbURL)) } catch {
                throw UsageError(["--mongodb-url (MONGODB_URL): \(error.text)"], command: "up")
            }
        }
        partitions = try settings.require(UpSettings.partitions)
        workers = settings[UpSettings.workers] ?? Machine.cores
        chaining = !settings[UpSettings.noChaining]
        spool = settings[UpSettings.spool]
        chunkStore = settings[UpSettings.chunkStore]
        log = Log(
            level: LogLevel(rawValue: try settings.require(UpSettings.logLevel)) ?? .info,
            service: try settings.require(UpSettings.service))
        levels = [:]
        if let level = settings[UpSettings.level] {
            let codec = Codec(rawValue: try settings.require(Common.codec)) ?? .zstd
            guard let allowed = codec.levels else {
                throw UsageError(["--level \(level): \(codec.rawValue) has no levels"], command: "up")
            }
            guard allowed.contains(level) else {
                throw UsageError(
                    [
                        "--level \(level): must be a whole number from \(allowed.lowerBound) to "
                            + "\(allowed.upperBound) for \(codec.rawValue)"
                    ], command: "up")
            }
            levels[codec] = level
        }
    }
}
