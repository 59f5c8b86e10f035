import Console
import ChunkFiles

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

    static let diskReserve = Setting(
        "disk-reserve", "MB", .integer(0...1_000_000_000), variable: "REEL_DISK_RESERVE_MB",
        defaultNote: "5 % of the disk and at least 1024, but at most a quarter of it",
        help: "Megabytes to keep free on the disks of spool and chunk store: below, no new session begins; "
            + "below half of it, running recordings are closed; 0 switches that off")

    static let spoolQuota = Setting(
        "spool-quota", "MB", .integer(0...1_000_000_000), variable: "REEL_SPOOL_QUOTA_MB", default: "0",
        help:
            "Megabytes that may lie in the spool, of all recorders together: without room for a chunk no new "
            + "session begins, and running recordings wait; 0 sets no quota")

    /// The quota of the spool in bytes; nil when there is none.
    static func spoolLimit(_ settings: Settings) throws(UsageError) -> Int? {
        let megabytes = try settings.require(spoolQuota)
        return megabytes == 0 ? nil : megabytes << 20
    }

    /// The guard over the disks of a system's folders.
    static func diskGuard(_ settings: Settings, spool: String, chunks: String) -> DiskGuard {
        DiskGuard(paths: [spool, chunks], reserveBytes: settings[diskReserve].map { $0 << 20 })
    }

    /// Where a command finds the system it works on.
    static let places: [OptionDeclaration] =
        [
            data.declaration, config.declaration, ServerURLs.knownRedis.declaration,
            ServerURLs.knownMongodb.declaration, ServerURLs.vault.declaration,
            SystemSettings.spool.declaration,
            SystemSettings.chunkStore.declaration, SystemSettings.keys.declaration,
            SystemSettings.archive.declaration,
        ] + DurabilitySettings.declarations

    static let session = Positional("SESSION", .identifier, help: "Id of the session")

    static let usageStatus = "2  bad usage: an unknown option, or a value that breaks a rule"
    static let dependencyStatus = "3  no system is found, or Redis, MongoDB or a folder cannot be used"
    static let notFoundStatus = "1  there is no such session"
}
