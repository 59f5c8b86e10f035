internal import CMongo

/// The connections to one MongoDB deployment, shared by all threads of a process.
///
/// Every call blocks and belongs on a thread of its own. A client is lent to one thread at a time.
public final class MongoPool: Sendable {
    /// The hosts of the connection string, `host:port` joined by commas, without credentials.
    public let host: String
    let settings: MongoSettings
    // libmongoc documents `mongoc_client_pool_t` as safe to use from several threads; the pointer is set
    // once here and freed once in `deinit`.
    private nonisolated(unsafe) let pool: OpaquePointer

    /// libmongoc is set up once for the process, and never torn down: other pools may still use it.
    private static let setUp: Void = {
        mongoc_init()
        // Everything worth knowing comes back as a failure; libmongoc's own lines could carry addresses.
        mongoc_log_set_handler(nil, nil)
    }()

    /// Reads the connection string; connects to nothing yet.
    ///
    /// Throws a failure that names what is wrong with the connection string, never the string itself.
    public init(_ settings: MongoSettings) throws(MongoFailure) {
        Self.setUp
        let nowhere = MongoTarget(operation: "connect", collection: "", host: "(MONGODB_URL)")
        guard let uri = mongoc_uri_new_with_error(settings.url, nil) else {
            throw MongoFailure("the connection string is not a valid mongodb:// url", at: nowhere)
        }
        defer { mongoc_uri_destroy(uri) }
        let limits: [(String, Int32)] = [
            ("waitqueuetimeoutms", settings.waitQueueTimeout_ms),
            ("serverselectiontimeoutms", settings.serverSelectionTimeout_ms),
            ("connecttimeoutms", settings.connectTimeout_ms),
            ("sockettimeoutms", settings.socketTimeout_ms),
            ("maxpoolsize", settings.maxPoolSize),
        ]
        for (name, value) in limits {
            guard mongoc_uri_set_option_as_int32(uri, name, value) else {
                throw MongoFailure("setting \(name) = \(value) was refused", at: nowhere)
            }
        }
        mongoc_uri_set_appname(uri, settings.applicationName)
        let host = Self.hosts(of: uri)
        var error = bson_error_t()
        guard let pool = mongoc_client_pool_new_with_error(uri, &error) else {
            throw MongoFailure(error, at: MongoTarget(operation: "connect", collection: "", host: host))
        }
        mongoc_client_pool_set_error_api(pool, MONGOC_ERROR_API_VERSION_2)
        self.settings = settings
        self.host = host
        self.pool = pool
    }

    deinit {
        mongoc_client_pool_destroy(pool)
    }

    /// Lends a client to `body` and takes it back when `body` returns or throws.
    ///
    /// Throws a transient failure when all clients are taken for longer than `waitQueueTimeout_ms`.
    func withClient<Answer>(
        _ body: (borrowing MongoClient) throws(MongoFailure) -> Answer
    ) throws(MongoFailure) -> Answer {
        guard let handle = mongoc_client_pool_pop(pool) else {
            let target = MongoTarget(operation: "connection checkout", collection: "", host: host)
            let limit = "all \(settings.maxPoolSize) connections of the pool stayed taken for "
            throw MongoFailure(
                "\(limit)\(settings.waitQueueTimeout_ms) ms", isTransient: true, at: target)
        }
        let client = MongoClient(handle: handle, pool: pool, host: host, settings: settings)
        return try body(client)
    }

    private static func hosts(of uri: OpaquePointer) -> String {
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
        return names.joined(separator: ",")
    }
}

/// One client of the pool, lent to one thread. Its `deinit` gives it back.
struct MongoClient: ~Copyable {
    let handle: OpaquePointer
    private let pool: OpaquePointer
    let host: String
    let settings: MongoSettings

    fileprivate init(handle: OpaquePointer, pool: OpaquePointer, host: String, settings: MongoSettings) {
        self.handle = handle
        self.pool = pool
        self.host = host
        self.settings = settings
    }

    deinit {
        mongoc_client_pool_push(pool, handle)
    }

    /// Lends the handle of a collection; libmongoc makes it without talking to the server.
    func withCollection<Answer>(
        _ name: MongoNamespace, _ body: (OpaquePointer) throws(MongoFailure) -> Answer
    ) throws(MongoFailure) -> Answer {
        guard let handle = mongoc_client_get_collection(handle, name.database, name.collection) else {
            throw MongoFailure("no collection handle", at: target("open", name))
        }
        defer { mongoc_collection_destroy(handle) }
        return try body(handle)
    }

    func target(_ operation: String, _ name: MongoNamespace) -> MongoTarget {
        MongoTarget(operation: operation, collection: name.description, host: host)
    }

    /// A write that is acknowledged only when a majority of the replica set has it in its journal.
    func appendDurability(to builder: inout BSONBuilder) {
        let limit_ms = settings.writeTimeout_ms
        builder.append("writeConcern") {
            $0.append("w", "majority")
            $0.append("j", true)
            $0.append("wtimeout", int32: limit_ms)
        }
    }
}

/// A collection by its full name.
struct MongoNamespace: Hashable, Sendable, CustomStringConvertible {
    let database: String
    let collection: String

    var description: String { collection.isEmpty ? database : "\(database).\(collection)" }
}
