import Console

/// Settings that more than one command has.
enum Common {
    static let defaultData = "./var"

    static let data = Setting(
        "data", "DIR", .path, variable: "REEL_DATA", default: defaultData,
        help: "The data folder; a running system is found there")
    static let config = Setting(
        "config", "FILE", .path, variable: "REEL_CONFIG", defaultNote: "DIR/reel.conf, where it exists",
        help: "File of NAME=value lines, with the names of the environment")
    static let json = Flag("json", help: "Print JSON instead of text for people")
    static let codec = Setting(
        "codec", "CODEC", .oneOf(["none", "zstd", "lz4", "gzip"]), variable: "REEL_CODEC", default: "zstd",
        help: "How chunks are compressed: none, zstd, lz4 or gzip")
    static let chunkSize = Setting(
        "chunk-size", "MB", .megabytes(atLeastBytes: 1024, atMostMegabytes: 100),
        variable: "REEL_CHUNK_SIZE_MB", default: "10",
        help: "Largest size of a chunk in megabytes of 1,048,576 bytes; fractions are allowed")

    /// Where a command finds the system it works on.
    static let places: [OptionDeclaration] = [
        data.declaration, config.declaration, ServerURLs.knownRedis.declaration,
        ServerURLs.knownMongodb.declaration, SystemSettings.spool.declaration,
        SystemSettings.chunkStore.declaration, SystemSettings.keys.declaration,
    ]

    static let session = Positional("SESSION", .identifier, help: "Id of the session")

    static let usageStatus = "2  bad usage: an unknown option, or a value that breaks a rule"
    static let dependencyStatus = "3  no system is found, or Redis, MongoDB or a folder cannot be used"
    static let notFoundStatus = "1  there is no such session"
}
