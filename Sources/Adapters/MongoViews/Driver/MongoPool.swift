internal import Base
internal import CMongo
internal import ReadModels

/// The connections to one MongoDB deployment, shared by all threads of a process.
///
/// Every call blocks and belongs on a thread of its own. A client is lent to one thread at a time.
package final class MongoPool: Sendable {
    /// The hosts of the connection string, `host:port` joined by commas, without credentials.
    package let host: String
    let settings: MongoSettings
    private let uri: MongoURI
    private let connections: Lock<Connections>
    private let diagnosis: Lock<Diagnosis>

    /// The pool in use. Others may be on their way out, for as long as somebody has a client of theirs.
    private struct Connections {
        var pool: PoolHandle
        var renewed: ContinuousClock.Instant?
    }

    /// What was found out about servers that answer and are none of those that were looked for.
    private struct Diagnosis {
        var asked: ContinuousClock.Instant?
        var finding: MongoURI.Finding?
    }

    /// How often connections are made anew, and servers asked what they are, at most.
    private static let pause = Duration.seconds(1)

    /// Reads the connection string; connects to nothing yet.
    ///
    /// Throws a failure that names what is wrong with the connection string, never the string itself.
    package init(_ settings: MongoSettings) throws(MongoFailure) {
        let uri = try MongoURI(settings)
        self.settings = settings
        self.uri = uri
        host = uri.host
        connections = Lock(Connections(pool: try uri.pool()))
        diagnosis = Lock(Diagnosis())
    }

    /// Lends a client to `body` and takes it back when `body` returns or throws.
    ///
    /// Throws a transient failure when all clients are taken for longer than `waitQueueTimeout_ms`.
    package func withClient<Answer>(
        _ body: (borrowing MongoClient) throws(MongoFailure) -> Answer
    ) throws(MongoFailure) -> Answer {
        let pool = connections.withLock { $0.pool }
        guard let handle = mongoc_client_pool_pop(pool.pointer) else {
            let target = MongoTarget(operation: "connection checkout", collection: "", host: host)
            let limit = "all \(settings.maxPoolSize) connections of the pool stayed taken for "
            throw MongoFailure(
                "\(limit)\(settings.waitQueueTimeout_ms) ms", isTransient: true, at: target)
        }
        let client = MongoClient(handle: handle, pool: pool, host: host, settings: settings)
        do throws(MongoFailure) { return try body(client) } catch {
            switch error.kind {
            case .denied: renew(pool)
            case .notPrimary: throw diagnosed(error)
            default: break
            }
            throw error
        }
    }

    /// Gives up connections that the server takes for nobody's: their user was removed meanwhile, and put
    /// back, or got its rights back. They would stay nobody's for as long as they last.
    private func renew(_ pool: PoolHandle) {
        connections.withLock { connections in
            let now = ContinuousClock.now
            guard connections.pool === pool,
                connections.renewed.map({ now - $0 > Self.pause }) ?? true,
                let fresh = try? uri.pool()
            else { return }
            connections = Connections(pool: fresh, renewed: now)
        }
    }

    /// Says what the servers are that answered, where none of them was what was looked for.
    private func diagnosed(_ failure: MongoFailure) -> MongoFailure {
        let isDue = diagnosis.withLock { diagnosis in
            let now = ContinuousClock.now
            if let asked = diagnosis.asked, now - asked < Self.pause { return false }
            diagnosis.asked = now
            return true
        }
        if isDue {
            let finding = uri.look()
            diagnosis.withLock { $0.finding = finding }
        }
        guard let finding = diagnosis.withLock({ $0.finding }) else { return failure }
        return failure.explained(finding.text, kind: finding.kind)
    }
}

/// Owns a pool of libmongoc.
final class PoolHandle: Sendable {
    // libmongoc documents `mongoc_client_pool_t` as safe to use from several threads; the pointer is set
    // once here and freed once in `deinit`, when the last client is back.
    fileprivate nonisolated(unsafe) let pointer: OpaquePointer

    init(owning pointer: OpaquePointer) { self.pointer = pointer }

    deinit { mongoc_client_pool_destroy(pointer) }
}

/// One client of the pool, lent to one thread. Its `deinit` gives it back.
package struct MongoClient: ~Copyable {
    let handle: OpaquePointer
    private let pool: PoolHandle
    let host: String
    let settings: MongoSettings

    fileprivate init(handle: OpaquePointer, pool: PoolHandle, host: String, settings: MongoSettings) {
        self.handle = handle
        self.pool = pool
        self.host = host
        self.settings = settings
    }

    deinit {
        mongoc_client_pool_push(pool.pointer, handle)
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

    /// What an operation is about, for the failure that it may end in.
    package func target(_ operation: String, _ name: MongoNamespace) -> MongoTarget {
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
package struct MongoNamespace: Hashable, Sendable, CustomStringConvertible {
    /// Name of the database.
    package let database: String
    /// Name within it; empty where the database is meant.
    package let collection: String
    package init(database: String, collection: String) {
        self.database = database
        self.collection = collection
    }

    /// Both, with a dot between.
    package var description: String { collection.isEmpty ? database : "\(database).\(collection)" }
}
