import EventSourcing
import Glibc
import Supervision

/// Where a running system is: `endpoints.json` in its data folder.
struct Endpoints {
    var redisURL: String
    var mongodbURL: String
    /// Nil while no gateway runs.
    var apiURL: String?
    /// Root folder of the sealed files.
    var chunkStore: String
    /// Nil while no gateway runs.
    var adminTokenFile: String?
    /// Folder of recorded chunks that are not stored yet.
    var spool: String
    /// Folder of the key-encryption keys.
    var keys: String
    /// The process that wrote the file.
    var pid: Int32
    var startedAt: Timestamp

    private func encoded() -> [UInt8] {
        var writer = JSONWriter()
        func optional(_ json: inout JSONWriter, _ name: StaticString, _ value: String?) {
            json.key(name)
            if let value { json.value(value) } else { json.null() }
        }
        writer.object { json in
            json.member("redis_url", redisURL)
            json.member("mongodb_url", mongodbURL)
            optional(&json, "api_url", apiURL)
            json.member("chunk_store", chunkStore)
            optional(&json, "admin_token_file", adminTokenFile)
            json.member("spool", spool)
            json.member("keys", keys)
            json.member("pid", pid)
            json.member("started_at", startedAt)
        }
        return writer.bytes + [0x0A]
    }

    /// Writes the file whole or not at all, for us alone: URLs may hold passwords.
    func write(to path: String) throws(SystemFailure) {
        let temporary = "\(path).\(getpid()).new"
        let file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw SystemFailure("create", temporary) }
        let bytes = encoded()
        let count = Glibc.write(file, bytes, bytes.count)
        let code = count == bytes.count ? 0 : (count < 0 ? errno : ENOSPC)
        close(file)
        guard code == 0 else {
            unlink(temporary)
            throw SystemFailure("write", temporary, code: code)
        }
        if rename(temporary, path) != 0 { throw SystemFailure("rename to", path) }
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
            let mongodb = json["mongodb_url"]?.string, let chunks = json["chunk_store"]?.string,
            let spool = json["spool"]?.string, let keys = json["keys"]?.string,
            let pid = json["pid"]?.integer.flatMap({ Int32(exactly: $0) }), pid > 0,
            let started = json["started_at"]?.string.flatMap({ Timestamp(rfc3339: $0) })
        else { return nil }
        self.init(
            redisURL: redis, mongodbURL: mongodb, apiURL: json["api_url"]?.string, chunkStore: chunks,
            adminTokenFile: json["admin_token_file"]?.string, spool: spool, keys: keys, pid: pid,
            startedAt: started)
    }

    init(
        redisURL: String, mongodbURL: String, apiURL: String?, chunkStore: String, adminTokenFile: String?,
        spool: String, keys: String, pid: Int32, startedAt: Timestamp
    ) {
        self.redisURL = redisURL
        self.mongodbURL = mongodbURL
        self.apiURL = apiURL
        self.chunkStore = chunkStore
        self.adminTokenFile = adminTokenFile
        self.spool = spool
        self.keys = keys
        self.pid = pid
        self.startedAt = startedAt
    }
}
