import Console

/// What `reel up` can be told beyond what every process with roles can.
enum UpSettings {
    static let redisPort = Setting(
        "redis-port", "PORT", .port, variable: "REEL_REDIS_PORT", defaultNote: "any free port",
        help: "Port of its own redis-server on 127.0.0.1")
    static let mongodbPort = Setting(
        "mongodb-port", "PORT", .port, variable: "REEL_MONGODB_PORT", defaultNote: "any free port",
        help: "Port of its own mongod on 127.0.0.1")
    static let partitions = Setting(
        "partitions", "N", .integer(1...4096), variable: "REEL_PARTITIONS", default: "16",
        help: "Partitions of a new log; an existing log keeps its own")

    static let declarations: [OptionDeclaration] =
        [
            Common.data.declaration, Common.config.declaration, ServerURLs.redis.declaration,
            ServerURLs.mongodb.declaration, redisPort.declaration,
            mongodbPort.declaration, partitions.declaration,
        ] + SystemSettings.declarations + WebSettings.declarations
}

/// The checked values of one `reel up`.
struct UpPlan {
    var system: SystemPlan
    var web: WebPlan
    var redisURL: String?
    var mongodbURL: String?
    var redisPort: UInt16?
    var mongodbPort: UInt16?

    init(_ settings: Settings) throws(UsageError) {
        redisURL = settings[ServerURLs.redis]
        mongodbURL = settings[ServerURLs.mongodb]
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
        try ServerURLs.check(redis: redisURL, mongodb: mongodbURL, command: "up")
        web = try WebPlan(settings, .everything)
        system = try SystemPlan(settings)
        system.partitions = try settings.require(UpSettings.partitions)
    }
}
