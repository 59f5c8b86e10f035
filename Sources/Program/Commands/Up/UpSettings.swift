import Console

/// What `reel up` can be told beyond what every process with roles can.
enum UpSettings {
    static let redisPort = Setting(
        "redis-port", "PORT", .port, variable: "REEL_REDIS_PORT", defaultNote: "any free port",
        help: "Port of its own redis-server on 127.0.0.1")
    static let mongodbPort = Setting(
        "mongodb-port", "PORT", .port, variable: "REEL_MONGODB_PORT", defaultNote: "any free port",
        help: "Port of its own mongod on 127.0.0.1")
    static let rotateCredentials = Flag(
        "rotate-credentials",
        help: "Give its own servers new passwords; also the way out when DIR/credentials.json is lost")
    static let partitions = Setting(
        "partitions", "N", .integer(1...4096), variable: "REEL_PARTITIONS", default: "16",
        help: "Partitions of a new log; an existing log keeps its own")

    static let declarations: [OptionDeclaration] =
        [
            Common.data.declaration, Common.config.declaration, ServerURLs.redis.declaration,
            ServerURLs.mongodb.declaration, ServerURLs.vault.declaration, redisPort.declaration,
            mongodbPort.declaration, rotateCredentials.declaration, partitions.declaration,
        ] + SystemSettings.declarations + WebSettings.declarations
}

/// The checked values of one `reel up`.
struct UpPlan {
    var system: SystemPlan
    var web: WebPlan
    var redisURL: String?
    var mongodbURL: String?
    /// Where the vault's database is, when that was said.
    var vaultURL: String?
    /// Whether its own servers get new passwords.
    var isRotating: Bool
    var redisPort: UInt16?
    var mongodbPort: UInt16?

    init(_ settings: Settings) throws(UsageError) {
        redisURL = settings[ServerURLs.redis]
        mongodbURL = settings[ServerURLs.mongodb]
        vaultURL = settings[ServerURLs.vault]
        isRotating = settings[UpSettings.rotateCredentials]
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
        try ServerURLs.check(redis: redisURL, mongodb: mongodbURL, vault: vaultURL, command: "up")
        if isRotating, redisURL != nil, mongodbURL != nil {
            throw UsageError(
                [
                    "--rotate-credentials is for servers of Reel's own, and --redis-url and --mongodb-url "
                        + "name others"
                ], command: "up")
        }
        web = try WebPlan(settings, .everything)
        system = try SystemPlan(settings)
        system.partitions = try settings.require(UpSettings.partitions)
    }
}
