import Base
import Console
import Glibc
import Supervision

/// Where a running system is: `endpoints.json` in its data folder.
struct Endpoints {
    var redisURL: String
    /// MongoDB with the read models.
    var mongodbURL: String
    /// MongoDB with the vault's database.
    var vaultURL: String
    /// MongoDB for whoever only reads the read models; nil when that server is somebody else's.
    var dashboardURL: String?
    /// Where the roles answer over HTTP; empty while none does.
    var roleURLs: [RoleName: String]
    /// Root folder of the sealed files.
    var chunkStore: String
    /// Nil while no gateway runs.
    var adminTokenFile: String?
    /// Folder of recorded chunks that are not stored yet.
    var spool: String
    /// Folder of the key-encryption keys.
    var keys: String
    /// Folder of the log's archived segments.
    var archive: String
    /// The process that wrote the file; nil when there is none and the servers were named.
    var pid: Int32?
    var startedAt: Timestamp?

    /// Of the process that wrote the file, for people.
    var processText: String {
        pid.map { ", process \($0), started \(ShortTime.text(startedAt))" } ?? ""
    }

    private func encoded() -> [UInt8] {
        var writer = JSONWriter()
        func optional(_ json: inout JSONWriter, _ name: StaticString, _ value: String?) {
            json.key(name)
            if let value { json.value(value) } else { json.null() }
        }
        writer.object { json in
            json.member("redis_url", redisURL)
            json.member("mongodb_url", mongodbURL)
            json.member("mongodb_vault_url", vaultURL)
            optional(&json, "mongodb_read_url", dashboardURL)
            optional(&json, "api_url", roleURLs[.api])
            json.member("chunk_store", chunkStore)
            optional(&json, "admin_token_file", adminTokenFile)
            json.member("spool", spool)
            json.member("keys", keys)
            json.member("archive", archive)
            for role in RoleName.allCases where role != .api {
                json.key(dynamic: Self.member(of: role))
                if let url = roleURLs[role] { json.value(url) } else { json.null() }
            }
            if let pid { json.member("pid", pid) }
            if let startedAt { json.member("started_at", startedAt) }
        }
        return writer.bytes + [0x0A]
    }

    /// `api_url`, `pipeline_url` …
    private static func member(of role: RoleName) -> String { "\(role.rawValue)_url" }

    /// Writes the file whole or not at all, for us alone: URLs may hold passwords.
    func write(to path: String) throws(SystemFailure) {
        try FileText.write(encoded(), to: path)
    }

    /// The endpoints of a system whose parts are where `places` says.
    init(_ places: Places, pid: Int32?, startedAt: Timestamp?) {
        func resolved(_ path: String) -> String { DataFolder.absolute(path) ?? path }
        self.init(
            redisURL: places.redisURL, mongodbURL: places.mongodbURL, vaultURL: places.vaultURL,
            roleURLs: [:], chunkStore: resolved(places.chunks), adminTokenFile: nil,
            spool: resolved(places.spool),
            keys: resolved(places.keys), archive: resolved(places.archive), pid: pid, startedAt: startedAt)
    }

    /// Finds a system: by its servers when both are named, else by the file that `reel up` wrote. Where the
    /// vault's database is can be named beside either.
    static func find(_ settings: Settings) throws(CommandFailure) -> Endpoints {
        var found = try findServers(settings)
        if let vault = settings[ServerURLs.vault] { found.vaultURL = vault }
        return found
    }

    private static func findServers(_ settings: Settings) throws(CommandFailure) -> Endpoints {
        let data = settings[Common.data] ?? Common.defaultData
        let named = (settings[ServerURLs.redis], settings[ServerURLs.mongodb])
        guard let redis = named.0, let mongodb = named.1 else {
            do throws(CommandFailure) { return try find(in: data) } catch {
                guard named.0 != nil || named.1 != nil, error.status == .dependency else { throw error }
                let (given, other) =
                    named.0 != nil ? ("REDIS_URL", "MONGODB_URL") : ("MONGODB_URL", "REDIS_URL")
                throw CommandFailure(.dependency, "\(error.message); \(given) is given, \(other) is missing")
            }
        }
        // The file of a 'reel up' on the same servers knows more.
        if let running = try? find(in: data), running.redisURL == redis, running.mongodbURL == mongodb {
            return running
        }
        let base = DataFolder.absolute(data) ?? data
        return Endpoints(
            Places(
                redisURL: redis, mongodbURL: mongodb, vaultURL: mongodb,
                spool: settings[SystemSettings.spool] ?? DataFolder.spool(in: base),
                chunks: settings[SystemSettings.chunkStore] ?? DataFolder.chunks(in: base),
                keys: settings[SystemSettings.keys] ?? DataFolder.keys(in: base),
                archive: settings[SystemSettings.archive] ?? DataFolder.archive(in: base)), pid: nil,
            startedAt: nil)
    }

    /// Reads the file of a running system.
    static func find(in data: String) throws(CommandFailure) -> Endpoints {
        guard let folder = DataFolder(existing: data) else { throw missing(data) }
        let text: String
        do throws(SystemFailure) { text = try FileText.read(folder.endpoints) } catch {
            if error.code == ENOENT { throw missing(data) }
            throw CommandFailure(.dependency, "\(folder.endpoints): \(error.text)")
        }
        guard let found = Endpoints(text) else {
            throw CommandFailure(
                .dependency, "\(folder.endpoints) is not what 'reel up' writes; start 'reel up' again")
        }
        return found
    }

    private static func missing(_ data: String) -> CommandFailure {
        CommandFailure(
            .dependency,
            "no running system in \(data) (no endpoints.json there); start one with "
                + "'reel up --data \(data)', or name its folder with --data")
    }

    private init?(_ text: String) {
        guard let json = try? JSONValue(parsing: Array(text.utf8)), let redis = json["redis_url"]?.string,
            let mongodb = json["mongodb_url"]?.string, let vault = json["mongodb_vault_url"]?.string,
            let chunks = json["chunk_store"]?.string,
            let spool = json["spool"]?.string, let keys = json["keys"]?.string,
            let archive = json["archive"]?.string,
            let pid = json["pid"]?.integer.flatMap({ Int32(exactly: $0) }), pid > 0,
            let started = json["started_at"]?.string.flatMap({ Timestamp(rfc3339: $0) })
        else { return nil }
        var urls: [RoleName: String] = [:]
        for role in RoleName.allCases { urls[role] = json[Self.member(of: role)]?.string }
        self.init(
            redisURL: redis, mongodbURL: mongodb, vaultURL: vault,
            dashboardURL: json["mongodb_read_url"]?.string, roleURLs: urls, chunkStore: chunks,
            adminTokenFile: json["admin_token_file"]?.string, spool: spool, keys: keys,
            archive: archive, pid: pid, startedAt: started)
    }

    init(
        redisURL: String, mongodbURL: String, vaultURL: String, dashboardURL: String? = nil,
        roleURLs: [RoleName: String], chunkStore: String,
        adminTokenFile: String?, spool: String, keys: String, archive: String, pid: Int32?,
        startedAt: Timestamp?
    ) {
        self.redisURL = redisURL
        self.mongodbURL = mongodbURL
        self.vaultURL = vaultURL
        self.dashboardURL = dashboardURL
        self.roleURLs = roleURLs
        self.chunkStore = chunkStore
        self.adminTokenFile = adminTokenFile
        self.spool = spool
        self.keys = keys
        self.archive = archive
        self.pid = pid
        self.startedAt = startedAt
    }
}
