internal import CMongo
internal import ReadModels

/// A connection string that was read, with the limits of our settings in it.
final class MongoURI: Sendable {
    /// The hosts, `host:port` joined by commas, without credentials.
    let host: String
    // Set once here, never changed by any call after that, and freed once in `deinit`.
    private nonisolated(unsafe) let pointer: OpaquePointer

    init(_ settings: MongoSettings) throws(MongoFailure) {
        reel_mongoc_begin()
        let nowhere = MongoTarget(operation: "connect", collection: "", host: "(MONGODB_URL)")
        guard let uri = mongoc_uri_new_with_error(settings.url, nil) else {
            throw MongoFailure("the connection string is not a valid mongodb:// url", at: nowhere)
        }
        let limits: [(String, Int32)] = [
            ("waitqueuetimeoutms", settings.waitQueueTimeout_ms),
            ("serverselectiontimeoutms", settings.serverSelectionTimeout_ms),
            ("connecttimeoutms", settings.connectTimeout_ms),
            ("sockettimeoutms", settings.socketTimeout_ms),
            ("maxpoolsize", settings.maxPoolSize),
        ]
        for (name, value) in limits where !mongoc_uri_set_option_as_int32(uri, name, value) {
            mongoc_uri_destroy(uri)
            throw MongoFailure("setting \(name) = \(value) was refused", at: nowhere)
        }
        mongoc_uri_set_appname(uri, settings.applicationName)
        pointer = uri
        host = Self.hosts(of: uri).joined(separator: ",")
    }

    deinit { mongoc_uri_destroy(pointer) }

    /// Connections to the deployment; none is made yet.
    func pool() throws(MongoFailure) -> PoolHandle {
        var error = bson_error_t()
        guard let pool = mongoc_client_pool_new_with_error(pointer, &error) else {
            throw MongoFailure(error, at: MongoTarget(operation: "connect", collection: "", host: host))
        }
        mongoc_client_pool_set_error_api(pool, MONGOC_ERROR_API_VERSION_2)
        return PoolHandle(owning: pool)
    }

    private static func hosts(of uri: OpaquePointer) -> [String] {
        var names: [String] = []
        var next = mongoc_uri_get_hosts(uri)
        while let entry = next {
            let name = withUnsafeBytes(of: entry.pointee.host_and_port) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            names.append(name)
            next = UnsafePointer(entry.pointee.next)
        }
        if names.isEmpty, let service = mongoc_uri_get_srv_hostname(uri) {
            names.append(String(cString: service))
        }
        return names
    }

    // MARK: - Looking at servers that are not what was looked for

    /// What a server is, in words.
    struct Finding: Sendable {
        let text: String
        let kind: MongoFailureKind
    }

    /// Asks each server of the string by itself what it is; nil when none answers, or one takes writes after
    /// all. Without logging in: a server tells everybody that much.
    func look() -> Finding? {
        let wanted = mongoc_uri_get_replica_set(pointer).map { String(cString: $0) }
        var secondary: String?
        for host in Self.hosts(of: pointer) {
            guard let found = hello(of: host) else { continue }
            if let wanted, found.set != wanted {
                let set = found.set.map { "of the replica set \($0)" } ?? "of no replica set"
                return Finding(text: "\(host) is \(set), and the URL names \(wanted)", kind: .otherSet)
            }
            if found.isWritable { return nil }
            secondary = secondary ?? host
        }
        return secondary.map {
            Finding(text: "\($0) answers, and is no primary: it takes no writes", kind: .notPrimary)
        }
    }

    private func hello(of host: String) -> (set: String?, isWritable: Bool)? {
        var error = bson_error_t()
        // One host alone, whatever set it belongs to; options of TLS stay as they are.
        guard let single = mongoc_uri_new_with_error("mongodb://\(host)/?directConnection=true", &error)
        else { return nil }
        defer { mongoc_uri_destroy(single) }
        if let options = mongoc_uri_get_options(pointer) { Self.copyTLS(from: options, to: single) }
        for name in ["connecttimeoutms", "serverselectiontimeoutms", "sockettimeoutms"] {
            mongoc_uri_set_option_as_int32(single, name, 1_000)
        }
        guard let client = mongoc_client_new_from_uri(single) else { return nil }
        defer { mongoc_client_destroy(client) }
        let command = BSONDocument { $0.append("hello", int32: 1) }
        let (isDone, reply) = command.withBSON { command in
            BSONDocument.reply { mongoc_client_command_simple(client, "admin", command, nil, $0, &error) }
        }
        guard isDone, let fields = try? reply.fields(),
            let isWritable = try? fields.bool("isWritablePrimary")
        else { return nil }
        return (try? fields.string("setName"), isWritable)
    }

    private static func copyTLS(from options: OpaquePointer, to uri: OpaquePointer) {
        guard let fields = try? BSONDocument(copying: options).fields() else { return }
        for name in fields.names where name.lowercased().hasPrefix("tls") {
            if let text = try? fields.string(name) { mongoc_uri_set_option_as_utf8(uri, name, text) }
            if let flag = try? fields.bool(name) { mongoc_uri_set_option_as_bool(uri, name, flag) }
        }
    }
}
