import Console
import Pipeline
import RedisLog

/// What `reel serve` can be told beyond what every process with roles can.
enum ServeSettings {
    static let redisURL = Setting(
        "redis-url", "URL", .url(RedisLocation.schemes), variable: "REDIS_URL", isRequired: true,
        help: "Redis with the event log, in the forms that 'reel up' takes")
    static let mongodbURL = Setting(
        "mongodb-url", "URL", .url(["mongodb", "mongodb+srv"]), variable: "MONGODB_URL", isRequired: true,
        help: "MongoDB with the read models, database reel")
    static let stages = Setting(
        "stages", "LIST", .stages, variable: "REEL_STAGES", defaultNote: "compress,encrypt,validate",
        help: "The processor's stages, with commas: compress, encrypt, validate, store; consecutive ones "
            + "are chained in memory")
    static let partitions = Setting(
        "partitions", "N", .integer(1...4096), variable: "REEL_PARTITIONS",
        defaultNote: "\(OpenSystem.usualPartitions)",
        help: "Partitions of a new log; an existing log keeps its own")
    static let readyFile = Setting(
        "ready-file", "FILE", .path, variable: "REEL_READY_FILE", defaultNote: "no file",
        help: "File that exists while the process is in service; 'reel serve check' reads it")
    static let startupWait = Setting(
        "startup-wait", "SECONDS", .integer(0...3600), variable: "REEL_STARTUP_WAIT_SECONDS", default: "60",
        help: "How long to wait at the start for servers that cannot be reached yet")
    static let stopWithin = Setting(
        "stop-within", "SECONDS", .integer(1...600), variable: "REEL_STOP_SECONDS", default: "25",
        help: "How long work in hand may take after SIGTERM")

    static let declarations: [OptionDeclaration] =
        [
            stages.declaration, redisURL.declaration, mongodbURL.declaration, ServerURLs.vault.declaration,
            readyFile.declaration, startupWait.declaration, stopWithin.declaration, partitions.declaration,
            Common.data.declaration, Common.config.declaration,
        ] + SystemSettings.declarations + WebSettings.declarations
}

extension Rule where Value == Set<StageName> {
    /// Names of stages with commas between.
    static let stages = Rule(
        "must be names of stages with commas between: "
            + StageName.allCases.map(\.rawValue).joined(separator: ", ")
    ) { text in
        let names = text.split(separator: ",", omittingEmptySubsequences: false).map {
            StageName(rawValue: String($0))
        }
        let stages = Set(names.compactMap { $0 })
        return stages.count == names.count ? stages : nil
    }
}

/// The checked values of one `reel serve`.
struct ServePlan {
    var system: SystemPlan
    var web: WebPlan
    var choice: RoleChoice
    var places: Places
    var readyFile: String?
    var startupWaitSeconds: Int
    var stopWithinSeconds: Int

    init(_ settings: Settings) throws(UsageError) {
        let command = settings.command.name
        var names: Set<RoleName> = []
        for text in settings.positionals {
            if let name = RoleName(rawValue: text) { names.insert(name) }
        }
        let stages = settings[ServeSettings.stages]
        if stages != nil, !names.contains(.processor) {
            throw UsageError(
                ["--stages (REEL_STAGES) is for the role processor, which is not among the roles"],
                command: command)
        }
        choice = RoleChoice(names, processorStages: stages)
        let redisURL = try settings.require(ServeSettings.redisURL)
        let mongodbURL = try settings.require(ServeSettings.mongodbURL)
        let vaultURL = settings[ServerURLs.vault]
        try ServerURLs.check(redis: redisURL, mongodb: mongodbURL, vault: vaultURL, command: command)
        web = try WebPlan(settings, choice)
        system = try SystemPlan(settings)
        system.partitions = settings[ServeSettings.partitions]
        places = Places(
            system, data: DataFolder.absolute(system.data) ?? system.data, redisURL: redisURL,
            mongodbURL: mongodbURL, vaultURL: vaultURL ?? mongodbURL)
        readyFile = settings[ServeSettings.readyFile]
        startupWaitSeconds = try settings.require(ServeSettings.startupWait)
        stopWithinSeconds = try settings.require(ServeSettings.stopWithin)
    }
}
